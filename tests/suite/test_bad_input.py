"""What a person may get wrong, and the message for it: never a traceback, before any training."""

from __future__ import annotations

import copy
import json
import shutil
from datetime import date
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.helpers.project import make_project, prepare
from tests.helpers.tiny import make_tiny_bert, make_tiny_gpt2
from wsa.cli import main
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.records.record import read_record, write_record
from wsa.records.run import Training
from wsa.stages.evaluate import evaluate
from wsa.stages.prune import prune
from wsa.stages.train import train
from wsa.suite.load import load_suite
from wsa.suite.settings import choose_suites, read_settings

CLAIM = {"id": "a", "sentence": "s", "source": "s"}
VALUE = {**CLAIM, "kind": "value", "method": "lora", "expected": 90, "margin": 1}
RATIO = {**CLAIM, "kind": "ratio", "quantity": "parameters_kept", "method": "wsa", "high": 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project whose inputs are fetched, tokenised and decomposed."""
    folder = make_project(tmp_path_factory.mktemp("bad"), methods=["majority", "lora", "wsa"])
    prepare(folder)
    return folder


@pytest.fixture
def project(prepared, tmp_path):
    """A copy of it to spoil, in a folder with nothing else."""
    folder = tmp_path / "project"
    for part in ("config", "resources", "model", "data"):
        shutil.copytree(prepared / part, folder / part)
    for kind in ("models", "data"):
        path = folder / f"config/{kind}/tiny.yaml"
        path.write_text(path.read_text().replace(str(prepared), str(folder)))
    return folder


@pytest.fixture
def run(project, capsys):
    """Run `wsa …` on the project; returns its exit status and what a person sees."""

    def command(*arguments: str) -> tuple[int, str]:
        folders = []
        for name in ("config", "resources", "results", "site"):
            folders += [f"--{name}", str(project / name)]
        status = main([*folders, *arguments])
        return status, capsys.readouterr().err

    return command


def change(path: Path, key: str, value: object) -> None:
    """Set a dotted key of a YAML file; DELETE removes it."""
    content = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        node = node[parent]
    if value is DELETE:
        del node[last]
    else:
        node[last] = value
    path.write_text(yaml.safe_dump(content, sort_keys=False))


DELETE = object()

# file, key, value, and what the message says of it
SUITE, MODEL, DATA = "suites/tiny.yaml", "models/tiny.yaml", "data/tiny.yaml"
CONFIGURATION = [
    (SUITE, "methods.wsa.adapter.threshold", -0.1,
     "methods.wsa: adapter.threshold should be a number of 0 or more, not -0.1"),
    (SUITE, "methods.wsa.adapter.threshold", "low", "adapter.threshold should be a number"),
    (SUITE, "protocol.epochs", "3", "protocol.epochs: should be a whole number (found '3')"),
    (SUITE, "protocol.epochs", True, "protocol.epochs: should be a whole number (found True)"),
    (SUITE, "protocol.epochs", 0, "protocol.epochs: should be greater than 0 (found 0)"),
    (SUITE, "protocol.epochs", 10**20, "protocol.epochs: should be less than or equal to 10000"),
    (SUITE, "protocol.epochs", None, "protocol.epochs: should be a whole number, and nothing is"),
    (SUITE, "protocol.epochs", DELETE, "protocol.epochs: is missing"),
    (SUITE, "protocol.epoch", 2, "protocol.epoch: unknown key (found 2)"),
    (SUITE, "protocol.epoch", 2, "what to do: did you mean 'epochs'?"),
    (SUITE, "protocol.batch_size", -1, "protocol.batch_size: should be greater than 0 (found -1)"),
    (SUITE, "protocol.batch_size", 2.5, "batch_size: should be a whole number (found 2.5)"),
    (SUITE, "protocol.batching", "sorted", "protocol.batching: should be 'sorted_windows' or"),
    (SUITE, "protocol.weight_decay", -0.1, "should be greater than or equal to 0 (found -0.1)"),
    (SUITE, "protocol.weight_decay", float("nan"), "weight_decay: should be a finite number"),
    (SUITE, "protocol.head_learning_rate", "high", "should be a number (found 'high')"),
    (SUITE, "protocol.max_length", 2, "protocol.max_length: should be greater than 4 (found 2)"),
    (SUITE, "protocol.max_length", 2**40, "max_length: should be less than 2147483648 (found 10"),
    (SUITE, "protocol.precision", "fp16", "should be 'float32' or 'bfloat16' (found 'fp16')"),
    (SUITE, "protocol.threads", 0, "protocol.threads: should be greater than 0 (found 0)"),
    (SUITE, "protocol.threads", 10**6, "threads: should be less than or equal to 1024 (found 10"),
    (SUITE, "protocol", [1], "protocol: should be a mapping of keys to values (found [1])"),
    (SUITE, "seeds", [0, 1, 0], "seeds: a seed is named twice (found [0, 1, 0])"),
    (SUITE, "seeds", [], "seeds: should not be empty"),
    (SUITE, "seeds", 3, "seeds: should be a list (found 3)"),
    (SUITE, "seeds", [-1], "seeds.0: should be greater than or equal to 0 (found -1)"),
    (SUITE, "seeds", [2**40], "seeds.0: should be less than 4294967296"),
    (SUITE, "methods", {}, "methods: should not be empty"),
    (SUITE, "methods.lora", None, "methods.lora: should be a mapping of keys to values"),
    (SUITE, "methods.lora.learning_rate", -1e-3, "methods.lora.learning_rate: should be greater"),
    (SUITE, "methods.lora.learning_rate", DELETE, "methods.lora: learning_rate is missing"),
    (SUITE, "methods.lora.adapter.peft_type", DELETE, "needs adapter.peft_type, a PEFT type"),
    (SUITE, "methods.lora.adapter.peft_type", ["LORA"], "needs adapter.peft_type, a PEFT type"),
    (SUITE, "methods.lora.adapter.r", "eight", "adapter.r should be a whole number from 1 on, not"),
    (SUITE, "methods.lora.adapter.r", 0, "adapter.r should be a whole number from 1 on, not 0"),
    (SUITE, "methods.lora.adapter.task_type", "SEQ_CLS", "adapter.task_type is set by the model"),
    (SUITE, "methods.lora.adapter.r", date(2026, 1, 1), "adapter.r: should be text, a number, tr"),
    (SUITE, "methods.wsa.adapter.l1", float("inf"), "adapter.l1: should be a finite number (fou"),
    (SUITE, "methods.majority.learning_rate", 1, "of kind 'majority' has no body to train"),
    (SUITE, "methods.lora.kind", "lora", "methods.lora.kind: should be 'adapter', 'full',"),
    (SUITE, "methods.bad name", {}, "methods.bad name"),
    (SUITE, "methods.base", {"title": "B", "kind": "full", "learning_rate": 1e-3},
     "methods: no method can be called 'base': that is the pretrained model in the inference"),
    (SUITE, "claims", [{**VALUE, "method": "lorra"}], "'lorra', did you mean 'lora'?"),
    (SUITE, "claims", [VALUE, VALUE], "claim 'a' is named twice"),
    (SUITE, "claims", [{**VALUE, "expected": 943}], "accuracy is from 0 to 100 %, not 943"),
    (SUITE, "claims", [{**VALUE, "kind": "guess"}], "claims.0.kind: is unknown (found 'guess')"),
    (SUITE, "claims", [CLAIM], "claims.0.kind: is missing"),
    (SUITE, "claims", [{**RATIO, "reference": "base"}], "only inference_seconds can be compared"),
    (SUITE, "claims", [{**RATIO, "reference": "lora", "low": 3}], "low (3) is above high (2)"),
    (SUITE, "claims", [{**RATIO, "reference": "lora", "hihg": 3}], "did you mean 'high'?"),
    (SUITE, "sweep", {"lorra": {"learning_rate": [1e-3]}}, "unknown method 'lorra'"),
    (SUITE, "sweep", {"lora": {"learning_rate": ["high", "low"]}}, "to lists of numbers"),
    (SUITE, "sweep", {"lora": {"adaptor.r": [1, 2]}}, "method 'lora' has no adaptor"),
    (SUITE, "sweep", {"lora": {"learning_rate": [1e-3, 2e-3, 1e-3]}}, "'lora.0.001' twice"),
    (SUITE, "sweep", ["lora"], "sweep: should map names of methods to what is swept"),
    (SUITE, "extends", "tinny", "tinny.yaml: there is no such file"),
    (SUITE, "extends", "tinny", "did you mean 'tiny'?"),
    (SUITE, "extends", "tiny", "extends: a suite cannot extend itself"),
    (SUITE, "extends", "ti\0ny", "cannot be read: embedded null byte"),
    (SUITE, "extends", "../suites/tiny", "extends: should be a suite's name, of a file in the"),
    (SUITE, "extends", 5, "extends: should be a suite's name, of a file in the same folder (found"),
    (SUITE, "name", "other", "name: a suite is called as its file is (found 'other')"),
    (SUITE, "model", "tinny", "tinny.yaml: there is no such file"),
    (SUITE, "model", {"name": "tiny"}, "model: should be the name of a file in"),
    (SUITE, "title", "", "title: should not be empty"),
    (MODEL, "target_modules", [], "models/tiny.yaml: target_modules: should not be empty"),
    (MODEL, "target_modules", "query", "target_modules: should be a list (found 'query')"),
    (MODEL, "head_modules", [""], "head_modules.0: should not be empty"),
    (MODEL, "source.kind", "ftp", "source.kind: is unknown (found 'ftp')"),
    (MODEL, "source.kind", DELETE, "source.kind: is missing"),
    (MODEL, "source", {"kind": "hub", "id": "a/b", "revision": "main"}, "source.revision: should"),
    (MODEL, "source", {"kind": "hub", "id": "bert", "revision": "0" * 40}, "source.id: should"),
    (DATA, "reader", {"kind": "rated_sentences", "minimum_rating": -1, "validation": 9},
     "reader.minimum_rating: should be greater than or equal to 0 (found -1)"),
    (DATA, "reader", {"kind": "rated_sentences", "minimum_rating": 1}, "reader.validation: is"),
    (DATA, "labels", ["a"], "labels should be two classes or more, or 'number'"),
    (DATA, "labels", ["a", "a"], "a label is named twice"),
    (DATA, "labels", "numbers", "labels"),
    (DATA, "text", ["a", "b", "c"], "text"),
    (DATA, "metrics", ["acuracy"], "unknown metric 'acuracy': did you mean 'accuracy'?"),
    (DATA, "metrics", ["pearson"], "metric 'pearson' does not fit these labels"),
    (DATA, "name", "other", "name: a source is called as its file is (found 'other')"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "key", "value", "message"), CONFIGURATION)
def test_configuration(project, run, file, key, value, message):
    change(project / "config" / file, key, value)
    status, printed = run("prune", "tiny", "wsa", "0")
    assert status == 2 and printed.startswith("wsa: ")
    assert message in printed and ".yaml" in printed


TEXTS = [
    ("name: tiny\nname: tiny\n", "not valid YAML: 'name' is named twice"),
    ("methods:\n  lora: {title: a}\n  lora: {title: b}\n", "not valid YAML: 'lora' is named twice"),
    ("name: tiny\n1: x\n", "not valid YAML: a key should be text; put it in quotes"),
    ("name: tiny\n? [a, b]\n: x\n", "not valid YAML: a key should be text; put it in quotes"),
    ("name: tiny\ntitle: 2026-13-01\n", "not valid YAML: month must be in 1..12"),
    ("name: tiny\ntitle: " + 2000 * "[" + "\n", "not valid YAML: nested too deeply"),
    ("name: &a {b: *a}\n", "name: a suite is called as its file is (found {'b': {...}})"),
    ("name: [tiny\n", "not valid YAML"),
    ("a: &a {b: c}\nd: {<<: *a}\n", "not valid YAML: merge keys (<<) are not read: write the"),
    ("name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ("- name\n", "should hold a mapping of keys to values"),
    ("", "should hold a mapping of keys to values"),
    ("name: caf\udce9\n", "not valid UTF-8"),
]


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_text_that_is_no_suite(project, run, text, message):
    path = project / "config" / SUITE
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    status, printed = run("prune", "tiny", "wsa", "0")
    assert status == 2 and f"wsa: {path}: {message}" in printed


@pytest.mark.parametrize("number", ["010", "1:30", "0b11", "1:30.5"])
def test_a_number_is_what_a_person_reads(project, run, number):
    path = project / "config" / SUITE
    text = path.read_text()
    path.write_text(text.replace("epochs: 2", f"epochs: {number}"))
    printed = run("prune", "tiny", "wsa", "0")[1]
    assert f"epochs: should be a whole number (found '{number}')" in printed
    path.write_text(text.replace("learning_rate: 0.005", "learning_rate: 0_1.5e+1", 1))
    assert load_suite("tiny", project / "config").protocol.head_learning_rate == 15


@pytest.mark.parametrize(
    ("key", "value", "file"),
    [
        ("protocol.epoch", 3, "tiny.yaml"),
        ("methods.lora.adapter.r", 0, "tiny.yaml"),
        ("methods.lora.learning_rate", "x", "child.yaml"),
        ("title", DELETE, "child.yaml"),
    ],
)
def test_a_fault_is_told_of_the_file_that_has_it(project, run, key, value, file):
    """Not of the one that extends it."""
    suites = project / "config/suites"
    child = {"extends": "tiny", "name": "child", "protocol": {"threads": 1}}
    (suites / "child.yaml").write_text(yaml.safe_dump(child))
    if file == "child.yaml":
        rate = {"methods": {"lora": {"learning_rate": value}}}
        child |= {"title": None} if key == "title" else rate
        (suites / file).write_text(yaml.safe_dump(child))
    else:
        change(project / "config" / SUITE, key, value)
    status, printed = run("prune", "child", "wsa", "0")
    assert status == 2 and printed.startswith(f"wsa: {suites / file}: ")


def test_a_suite_that_extends_itself_by_a_link(project, run):
    suites = project / "config/suites"
    (suites / "link.yaml").symlink_to(suites / "tiny.yaml")
    change(project / "config" / SUITE, "extends", "link")
    assert "tiny.yaml: extends: a suite cannot extend itself" in run("prune", "tiny", "wsa", "0")[1]


def test_a_suite_that_is_a_folder(project, run):
    (project / "config" / SUITE).unlink()
    (project / "config" / SUITE).mkdir()
    assert "tiny.yaml: cannot be read: Is a directory" in run("prune", "tiny", "wsa", "0")[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"suites": "tinny"}, "tinny.yaml: there is no such file"),
        ({"suites": "tinny"}, "did you mean 'tiny'?"),
        ({"suites": []}, "suites: no suite is named"),
        ({"suites": ["tiny", "tiny"]}, "suites: a suite is named twice"),
        ({"suites": "/other/tiny.yaml"}, "suites: should be a suite's name, not a path (found"),
        ({"suites": ["../tiny"]}, "suites: should be a suite's name, not a path (found '../tiny')"),
        ({"suites": "other/tiny.yaml"}, "into {config}/suites/ and name it without .yaml: suites="),
        ({"suites": "ti\0ny"}, "cannot be read: embedded null byte"),
        ({"suite": "tiny"}, "suite: unknown key (found 'tiny')"),
        ({"suite": "tiny"}, "did you mean 'suites'?"),
        ({"suites": 5}, "suites: should be text (found 5)"),
        ({"seeds": 0}, "seeds: should be greater than or equal to 1 (found 0)"),
        ({"seeds": "3"}, "seeds: should be a whole number (found '3')"),
        ({"seeds": "0,1"}, "a list in brackets: seeds=[0,1]"),
        ({"suites": "tiny", "seeds": [1, 1]}, "seeds: a seed is named twice"),
        ({"suites": "tiny", "seeds": []}, "seeds: should not be empty"),
        ({"allow_cpu": "yes"}, "allow_cpu: should be true or false (found 'yes')"),
        ({"folders": {"result": "x"}}, "folders.result: unknown key"),
        ({"folders": {"results": 5}}, "folders.results: should be text (found 5)"),
    ],
)  # fmt: skip
def test_the_workflows_configuration(project, settings, message):
    raw = copy.deepcopy(settings)
    raw.setdefault("folders", {})
    raw["folders"].setdefault("config", str(project / "config"))
    with pytest.raises(InputError) as caught:
        choose_suites(read_settings(raw))
    assert message.format(config=raw["folders"]["config"]) in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "tiny", "lorra", "0"], "has no method 'lorra'"),
        (["train", "tiny", "lorra", "0"], "did you mean 'lora'?"),
        (["train", "tinny", "lora", "0"], "did you mean 'tiny'?"),
        (["aggregate", "tiny", "--seeds", "0,one"], "--seeds: should be whole numbers with commas"),
        (["fetch-model", "../tiny"], "there is no such file"),
        (["factors", "tiny", "33"], "rank 33 does not fit encoder.layer.0.attention.self.query, a"),
        (["factors", "tiny", "0"], "rank: should be a whole number from 1 on, or 'all' (found"),
        (["factors", "tiny", "0"], "what to do: wsa factors tiny RANK, with the largest rank (ad"),
        (["calibrate", "", "--worlds", "1"], "ends in no name, so nothing can be written there"),
        (["publish", "tiny", "--seeds", "0,one"], "(snakemake's --config takes brackets: seeds=["),
        (["prune", "tiny", "lora", "0"], "method 'lora' has no gates: there is nothing to prune"),
        (["prune", "tiny", "wsa", "0"], "training.json: there is no such record"),
        (["evaluate", "tiny", "lora", "7"], "training.json: there is no such record"),
        (["verify", "tiny"], "no run of this suite has a result"),
        (["bundle", "tiny"], "6 of 6 runs have not been made, the first is majority with seed 0"),
        (["bundle", "--check", "nothing.zip"], "nothing.zip: there is no such file"),
    ],
)  # fmt: skip
def test_the_command_line(run, arguments, message):
    status, printed = run(*arguments)
    assert status == 2 and printed.startswith("wsa: ") and message in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "tiny", "lora", "one"], "seed: should be a whole number from 0 on"),
        (["train", "tiny", "lora", str(2**32)], "from 0 on and below 4294967296, not '4294967296'"),
        (["train", "tiny", "lora", "0", "--checkpoint-seconds=-1"], "be a number from 0 on, not"),
        (["train", "tiny", "lora", "0", "--checkpoint-seconds=nan"], "be a number from 0 on, not"),
        (["factors", "tiny", "one"], "rank: should be a whole number, or 'all'"),
        (["verify", "tiny", "--sample", "0"], "--sample: should be a whole number from 1 on"),
        (["calibrate", "a.json", "--worlds", "0"], "--worlds: should be a whole number from 1 on"),
        (["trian", "tiny", "lora", "0"], "invalid choice: 'trian'"),
        (["train", "tiny", "lora"], "the following arguments are required: seed"),
    ],
)
def test_arguments_that_are_none(run, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    printed = capsys.readouterr().err
    assert caught.value.code == 2 and printed.startswith("usage: wsa") and message in printed


@pytest.mark.parametrize("stage", ["train", "prune", "evaluate"])
@pytest.mark.parametrize(
    "run_of",
    [("tinny", "lora", "0"), ("tiny", "lorra", "0"), ("tiny", "../../../outside", "0"),
     ("../tiny", "lora", "0"), ("ti\0ny", "lora", "0"), ("tiny", "lo\0ra", "0")],
)  # fmt: skip
def test_a_mistyped_run_leaves_nothing_behind(project, run, stage, run_of):
    before = set(project.parent.rglob("*"))
    status, printed = run(stage, *run_of)
    assert status == 2 and printed.startswith("wsa: ")
    assert set(project.parent.rglob("*")) == before


@pytest.mark.parametrize("stage", ["prune", "evaluate"])
def test_a_run_that_was_not_trained_leaves_nothing_behind(project, run, stage):
    status, printed = run(stage, "tiny", "wsa", "7")
    assert status == 2 and "training.json: there is no such record" in printed
    assert not (project / "results").exists()


# --- methods that do not fit the model ------------------------------------------------------------

METHODS = [
    ("methods.lora.adapter.peft_type", "LORRA", "unknown PEFT type", "did you mean 'LORA'?"),
    ("methods.lora.adapter.lora_alfa", 4, "unknown argument of LORA", "did you mean 'lora_alpha'?"),
    ("methods.lora.adapter.lora_alpha", "x", "methods.lora.adapter.lora_alpha", "PEFT wants int"),
    ("methods.lora.adapter.lora_dropout", 2.0, "methods.lora", "dropout probability"),
    ("methods.lora.adapter.target_modules", ["querry"], "has no module 'querry'", "'query'?"),
    ("methods.lora.adapter.target_modules", 5, "methods.lora", ""),
    ("methods.wsa.adapter.r", 33, "rank 33 does not fit", "32×32"),
    ("methods.wsa.adapter.l1", "x", "methods.wsa", ""),
    ("methods.wsa.adapter.l1", 1e300, "the loss of the first step is", ""),
    ("methods.wsa.adapter.gate", "gte", "gate should be one of", "'gte'"),
    ("protocol.train_sentences", 10_000, "only 96 sentences are there to train on", "at most 96"),
    ("protocol.evaluate_on", "holdout", "the holdout leaves none of the 96", "fewer than 96"),
]


@pytest.mark.parametrize(("key", "value", "first", "second"), METHODS)
def test_a_method_that_does_not_fit_is_refused_before_training(
    project, run, key, value, first, second
):
    change(project / "config" / SUITE, key, value)
    status, printed = run("check", "tiny")
    assert status == 2 and printed.startswith("wsa: ")
    assert first in printed and second in printed
    if key.startswith("methods"):
        name = key.split(".")[1]
        assert printed.startswith(f"wsa: {project / 'config' / SUITE}: methods.{name}")
        assert "what to do: " in printed
    assert not (project / "resources/checked/tiny" / f"{key.split('.')[1]}.json").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("target_modules", ["querry"], "target_modules: the model 'tiny' has no module 'querry'"),
        ("head_modules", ["clasifier"], "did you mean 'classifier'?"),
        ("head_modules", ["clasifier"], "models/tiny.yaml: head_modules: the model 'tiny' has no"),
        (
            "head_modules",
            ["pooler.dense"],
            "models/tiny.yaml: head_modules: the model has a new "
            "head 'classifier', which is not among them (found ['pooler.dense'])\n"
            "  what to do: head_modules: [classifier, pooler.dense]",
        ),
    ],
)
def test_modules_that_the_model_does_not_have(project, run, key, value, message):
    change(project / "config" / MODEL, key, value)
    change(project / "config" / SUITE, "methods.wsa", DELETE)
    assert message in run("check", "tiny")[1]


def test_a_good_suite_is_found_fit(project, run):
    assert run("check", "tiny")[0] == 0
    checked = {path.stem for path in (project / "resources/checked/tiny").iterdir()}
    assert checked == {"majority", "lora", "wsa"}


# --- models ---------------------------------------------------------------------------------------


def spoil_weights(folder: Path, value: float) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["embeddings.word_embeddings.weight"][3, 3] = value
    save_file(tensors, path, metadata={"format": "pt"})


MODELS = [
    (lambda f: (f / "model.safetensors").unlink(), "fetch-model", "there is no weight file"),
    (lambda f: (f / "config.json").unlink(), "fetch-model", "there is no config.json"),
    (lambda f: (f / "config.json").write_text("{"), "fetch-model", "is not a model's config"),
    (lambda f: [p.unlink() for p in f.glob("*okeni*")] + [p.unlink() for p in f.glob("vocab*")],
     "fetch-model", "there is no tokenizer"),
    (lambda f: shard(f, ["a"]), "fetch-model", "is not an index of weights"),
    (lambda f: shard(f, {"a": 5}), "fetch-model", "weight files are missing: 5"),
    (lambda f: shard(f, {"a": "../../x"}), "fetch-model", "weight files are missing: ../../x"),
    (lambda f: pickled(f, [1]), "factors", "it holds a list, not named tensors"),
    (lambda f: pickled(f, {1: torch.ones(2, 2)}), "factors", "target 'query' matches no matrix"),
    (lambda f: spoil_weights(f, torch.nan), "check", "embeddings.word_embeddings.weight holds NaN"),
    (lambda f: spoil_weights(f, torch.inf), "check", "holds NaN or Inf"),
    (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "check", "cannot load this"),
    (lambda f: replace(f, num_hidden_layers=3), "check", "lack 16 parameters of the body, such as"),
    (lambda f: replace(f, vocab_size=9), "check", "cannot load this model"),
    (lambda f: replace(f, model_type="nonsense"), "check", "cannot load this model"),
    (lambda f: replace(f, hidden_size="wide"), "tokenise", "cannot load"),
    (lambda f: make_tiny_bert(f, max_position_embeddings=8), "check", "protocol.max_length"),
    (lambda f: make_tiny_bert(f, vocab_size=20), "check", "the model knows 20 tokens, and its"),
    (lambda f: (shutil.rmtree(f), make_tiny_gpt2(f)), "check", "has no module"),
]  # fmt: skip


def shard(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    text = json.dumps({"weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(text)


def pickled(folder: Path, value: object) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(value, folder / "pytorch_model.bin")


def replace(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(("spoil", "stage", "message"), MODELS)
def test_a_model_that_cannot_be_used(project, run, spoil, stage, message):
    spoil(project / "model")
    if stage != "factors":  # which comes before the check
        change(project / "config" / SUITE, "methods.wsa", DELETE)
    commands = [["fetch-model", "tiny"], ["tokenise", "tiny", "tiny"], ["check", "tiny"]]
    if stage == "factors":
        commands.insert(2, ["factors", "tiny", "4"])
    for command in commands:
        status, printed = run(*command)
        if status != 0:
            break
    assert command[0] == stage
    assert status == 2 and printed.startswith("wsa: ") and message in printed


# --- data -----------------------------------------------------------------------------------------

GOOD = b"sentence\tlabel\na film\t1\nno film\t0\n"
FILES = [
    (b"sentence,label\na film,1\n", "columns: there is no column 'sentence'"),
    (b"sentence\n", "columns: there is no column 'label'"),
    (b"sentence\tlabel\na film\tgood\n", "line 2: the label is no class of this data set (found"),
    (b"sentence\tlabel\n  \t1\n", "line 2: the text is empty"),
    (b"sentence\tlabel\na\t1\nb\t1\n", "has only the label 1"),
    (b"sentence\tlabel\ncaf\xe9\t1\n", "line 2: not valid UTF-8"),
    (b"sentence\tlabel\na\t1\t\nb\t0\n", "line 2: has 3 cells instead of 2"),
    (b"", "there is no column 'sentence'"),
    (b"\x00\x01\x02", "there is no column 'sentence'"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_a_data_file_that_cannot_be_used(project, run, content, message):
    (project / "data/train.tsv").write_bytes(content)
    status, printed = run("fetch-data", "tiny")
    assert status == 2 and "train.tsv" in printed and message in printed


# --- results --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(prepared):
    suite = load_suite("tiny", prepared / "config")
    layout = Layout(prepared / "config", prepared / "resources", prepared / "results")
    train(suite, "wsa", 0, layout)
    prune(suite, "wsa", 0, layout)
    evaluate(suite, "wsa", 0, layout)
    return prepared / "results"


@pytest.mark.parametrize("name", ["training.json", "pruning.json", "result.json"])
def test_results_of_another_schema_are_refused_with_how(project, run, trained, name):
    shutil.copytree(trained, project / "results")
    path = project / "results/tiny/runs/wsa/seed-0" / name
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"schema_version": 0}))
    stage = {"training.json": "prune", "pruning.json": "evaluate", "result.json": "verify"}[name]
    arguments = [stage, "tiny", *(["wsa", "0"] if stage != "verify" else [])]
    status, printed = run(*arguments)
    assert status == 2
    assert f"{path}: schema_version: written with another schema version" in printed
    assert f"-R {path}" in printed


def test_an_adapter_for_another_model_is_refused(project, run, trained):
    shutil.copytree(trained, project / "results")
    make_tiny_bert(project / "model", seed=1)
    assert run("fetch-model", "tiny")[0] == 0 and run("tokenise", "tiny", "tiny")[0] == 0
    status, printed = run("evaluate", "tiny", "wsa", "0")
    assert status == 2 and "the run was trained with another data than is here" in printed


def test_a_result_of_another_configuration_is_refused(project, run, trained):
    shutil.copytree(trained, project / "results")
    change(project / "config" / SUITE, "methods.wsa.adapter.l1", 0.5)
    for stage in ("prune", "evaluate"):
        status, printed = run(stage, "tiny", "wsa", "0")
        assert status == 2
        assert "the run was trained with another configuration than is here" in printed


def test_a_run_pruned_at_another_threshold_is_pruned_again_not_trained(project, run, trained):
    shutil.copytree(trained, project / "results")
    change(project / "config" / SUITE, "methods.wsa.adapter.threshold", 0.5)
    path = project / "results/tiny/runs/wsa/seed-0/pruning.json"
    status, printed = run("evaluate", "tiny", "wsa", "0")
    assert status == 2
    assert f"{path}: rank.threshold: the run was pruned at another threshold" in printed
    assert "prune it again: " in printed and f"-R {path}" in printed
    for stage in ("prune", "evaluate"):
        assert run(stage, "tiny", "wsa", "0")[0] == 0


def test_a_number_typed_into_a_record_is_noticed(project, trained):
    path = trained / "tiny/runs/wsa/seed-0/training.json"
    copy_ = project / "training.json"
    copy_.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match="damaged: its content has changed"):
        read_record(copy_, Training)
    write_record(copy_, read_record(path, Training))
    assert read_record(copy_, Training) == read_record(path, Training)


# --- anything at all ------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1e-3", "../../etc", "auto", "x" * 300]),
    lambda value: (
        st.lists(value, max_size=2) | st.dictionaries(st.text(max_size=4), value, max_size=2)
    ),
    max_leaves=4,
)


def paths(node: object, path: tuple = ()) -> list[tuple]:
    """Every key and index below `node`."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += paths(value, (*path, key))
    return found


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_value_at_any_key_is_read_or_refused_with_file_and_key(prepared, tmp_path, data):
    """Only InputError ever comes out, and it names the file."""
    config = tmp_path / "config"
    shutil.copytree(prepared / "config", config, dirs_exist_ok=True)
    suite = config / SUITE
    content = yaml.safe_load(suite.read_text())
    content["claims"] = [VALUE, RATIO | {"id": "b", "reference": "lora"}]
    suite.write_text(yaml.safe_dump(content))
    file = config / data.draw(st.sampled_from([SUITE, SUITE, SUITE, MODEL, DATA]))
    content = yaml.safe_load(file.read_text())
    *parents, last = data.draw(st.sampled_from(paths(content)))
    node = content
    for parent in parents:
        node = node[parent]
    match data.draw(st.sampled_from(["replace", "remove", "misspell"])):
        case "replace":
            node[last] = data.draw(VALUES)
        case "remove":
            del node[last]
        case "misspell" if isinstance(node, dict):
            node[f"{last}_"] = node.pop(last)
    file.write_text(yaml.safe_dump(content, allow_unicode=True))
    try:
        loaded = load_suite("tiny", config)
    except InputError as error:
        assert str(error).startswith(str(config))
    else:
        assert loaded.runs() and loaded.largest_rank >= 0
        assert all(loaded.run_digest(name) for name in loaded.methods)
