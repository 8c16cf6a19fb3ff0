"""Damage to any file is noticed and named, never used, and mended by the command of the message."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from tests.helpers.damage import DAMAGES, flipped, spoil
from tests.helpers.project import METHODS, edit_yaml, environment
from wsa.adapters.factors import FactorCache
from wsa.cli import main
from wsa.errors import InputError
from wsa.evidence.runs import read_runs
from wsa.records.predictions import read_predictions
from wsa.records.record import read_record
from wsa.records.run import Pruning, Result, Training
from wsa.stages.evaluate import evaluate
from wsa.stages.prune import prune
from wsa.stages.tokenise import tokenise
from wsa.stages.train import train
from wsa.suite.load import load_suite

RUN = "results/tiny/runs/wsa/seed-0"
WEIGHTS = "adapter_model.safetensors"


def command(project, *arguments: str) -> int:
    """The exit status of `wsa …` on the project."""
    roots = ("config", "resources", "results", "site")
    return main([*(f"--{root}={project / root}" for root in roots), *arguments])


# file → the stage that reads it next; None: none does, `wsa verify --hashes` finds it
FILES = {
    "resources/models/tiny/model.safetensors": train,
    "resources/data/tiny/train.parquet": tokenise,
    "resources/tokens/tiny__tiny.safetensors": train,
    f"{RUN}/trained/{WEIGHTS}": prune,
    f"{RUN}/trained/adapter_config.json": evaluate,
    f"{RUN}/training.json": prune,
    f"{RUN}/curve.parquet": None,
    f"{RUN}/gates.parquet": None,
    f"{RUN}/predictions.parquet": None,
    "resources/data/tiny/validation.parquet": None,
    f"{RUN}/pruned/{WEIGHTS}": evaluate,
    f"{RUN}/pruning.json": evaluate,
    f"{RUN}/result.json": None,
}


def notice(name: str, project, suite, layout, capsys) -> str:
    """What the next reader of a damaged file says."""
    reader = FILES.get(name)
    if reader is None:
        assert command(project, "verify", "tiny", "--hashes") == 1
        return capsys.readouterr().out
    with pytest.raises(InputError) as caught:
        if reader is tokenise:
            tokenise(suite.model, suite.data, layout)
        else:
            reader(suite, "wsa", 0, layout)
    return str(caught.value)


def without_tables(monkeypatch) -> None:
    """Verify files alone: the tables of the suite take their time, and are another matter."""
    monkeypatch.setattr("wsa.archive.verify.table_damages", lambda suite, layout: [])


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_noticed_and_named(project, suite, layout, capsys, monkeypatch, name, damage):
    without_tables(monkeypatch)
    spoil(project / name, damage)
    message = notice(name, project, suite, layout, capsys)
    assert str(project / name) in message
    assert re.search(r"what to do: .*snakemake --cores 1 -R \S+", message)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_factors_are_named_and_decomposed_again(project, suite, layout, capsys, damage):
    before = read_record(project / RUN / "result.json", Result)
    for path in layout.factors.glob("*.safetensors"):
        spoil(path, damage)
    train(suite, "wsa", 0, layout)
    printed = capsys.readouterr().out
    for path in layout.factors.glob("*.safetensors"):
        assert f"{path}: damaged" in printed
    prune(suite, "wsa", 0, layout)
    assert evaluate(suite, "wsa", 0, layout).predictions == before.predictions


def test_damaged_factors_beside_a_training_are_told_with_a_whole_command(layout):
    cache = FactorCache(layout.factors)
    for path in layout.factors.glob("*.safetensors"):
        spoil(path, "truncated")
        for index in (None, layout.factor_index("tiny", 4)):
            with pytest.raises(InputError) as caught:
                cache.digest([path.stem], index)
            command = f"-R {index}" if index else "wsa factors MODEL RANK, with the model's name"
            assert command in str(caught.value)


def test_no_flipped_byte_of_the_predictions_is_ever_used(project, suite, layout):
    """Where the tables use a damaged file, it holds what it held: the byte was of no matter."""
    suite = suite.model_copy(update={"methods": {"wsa": suite.methods["wsa"]}, "seeds": (0,)})
    path = project / RUN / "predictions.parquet"
    content, table = path.read_bytes(), read_predictions(path)
    noticed = 0
    for position in range(0, len(content), len(content) // 60):
        path.write_bytes(flipped(content, position))
        runs = read_runs(suite, layout)
        if ("wsa", 0) in runs.results:
            assert read_predictions(path).equals(table)
        else:
            noticed += 1
            assert any(str(path) in finding.message for finding in runs.findings)
    assert noticed > 10


@pytest.mark.parametrize(
    "name",
    [
        *(f"{RUN}/{table}.parquet" for table in ("curve", "gates", "predictions")),
        *(f"resources/data/tiny/{split}.parquet" for split in ("train", "validation")),
    ],
)
def test_every_changed_byte_of_a_table_is_noticed(project, layout, monkeypatch, capsys, name):
    """Also one that does not change what the table holds."""
    without_tables(monkeypatch)
    path = project / name
    content = path.read_bytes()
    for position in range(0, len(content), len(content) // 12):
        path.write_bytes(flipped(content, position))
        assert command(project, "verify", "tiny", "--hashes") == 1
        assert f"{path}: is not what its record says" in capsys.readouterr().out
    path.write_bytes(content)
    assert command(project, "verify", "tiny", "--hashes") == 0


@pytest.mark.parametrize("name", ["inference.json", "thresholds.json"])
def test_a_record_that_the_pages_show_and_that_is_gone(project, capsys, name):
    shown = project / "site/tiny/downloads" / name
    shown.parent.mkdir(exist_ok=True)
    shown.write_text("{}")
    assert command(project, "verify", "tiny", "--hashes") == 1
    path = project / "results/tiny" / name
    printed = capsys.readouterr().out
    assert f"{path}: there is no such record" in printed and f"-R {path}" in printed


def test_a_digit_changed_in_any_record_is_noticed(project):
    kinds = {"training.json": Training, "pruning.json": Pruning, "result.json": Result}
    for name, kind in kinds.items():
        path = project / RUN / name
        text = path.read_text()
        digits = [match.start() for match in re.finditer("[1-8]", text)]
        for position in digits[:: len(digits) // 20]:
            changed = text[:position] + "9" + text[position + 1 :]
            if json.loads(changed) == json.loads(text):
                continue  # the last of seventeen digits may say the same float64
            path.write_text(changed)
            with pytest.raises(InputError, match=name):
                read_record(path, kind)
        path.write_text(text)


def test_the_tables_name_a_damaged_run_and_leave_it_out(project, suite, layout, capsys):
    spoil(project / RUN / "predictions.parquet", "truncated")
    assert command(project, "aggregate", "tiny") == 0
    findings = json.loads(layout.findings_json("tiny").read_text())["findings"]
    [finding] = [found for found in findings if found["about"] == "wsa, seed 0"]
    assert "predictions.parquet" in finding["message"] and " -R " in finding["remedy"]


@pytest.fixture
def one_run(project, layout):
    """The project's suite cut down to one run, so that mending it is a matter of seconds."""
    path = project / "config/suites/tiny.yaml"
    edit_yaml(path, methods={"wsa": METHODS["wsa"]}, seeds=[0], claims=[])
    for folder in (project / "results/tiny/runs").glob("*/seed-*"):
        if folder != project / RUN:
            shutil.rmtree(folder)
    assert command(project, "aggregate", "tiny") == 0
    return load_suite("tiny", layout.config)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FILES, f"{RUN}/predictions.parquet"])
def test_the_command_of_the_message_mends_it(project, one_run, layout, capsys, name):
    before = read_record(project / RUN / "result.json", Result).predictions
    content = (project / name).read_bytes()
    spoil(project / name, "flipped" if name != f"{RUN}/predictions.parquet" else "truncated")
    capsys.readouterr()
    message = notice(name, project, one_run, layout, capsys)
    # the file's own comes first; tables that no longer agree with it may be named after it
    assert str(project / name) in message.split("what to do")[0]
    remedy = re.findall(r"(snakemake --cores 1 -R \S+)", message)[0]
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(remedy.replace(f"{project}/", ""))],
        cwd=project, env=environment(project), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_record(project / RUN / "result.json", Result).predictions == before
    assert command(project, "verify", "tiny", "--hashes") == 0, capsys.readouterr().out
    # an adapter's configuration names the model's folder as the command did
    if name.endswith((".safetensors", "curve.parquet")):
        assert (project / name).read_bytes() == content
