"""What counts as a change of a stage's code, and of what a suite asks for."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.helpers.project import METHODS, ROOT
from wsa.identity import DECIDES, code_hash, token_hash
from wsa.suite.load import load_data
from wsa.suite.schema import Suite

# what the versions of Python cut into tokens differently; as they all read it
SOURCE = '''
"""A module: é."""

import functools  # a remark with\u2028what other splitters take for an end of line


@functools.cache
class Thing:
    """A class."""

    x: int = 0x1F
    """An attribute."""

    def say(self, *args, width=10, **kwargs):
        \'\'\'A method.\'\'\'
        ü = f"{self.x!r:>{width}} {{}} é {', '.join(map(str, args))}" f'{self.x=}'
        return rf"""{ü:=^{width}}\\d
        {kwargs["a"]}
""" + (
            "a" 'b'  # another

            f"{'nested'}"
        )

\x0c
if True: y = f"{1}"; z = \\
    2
# the end'''
SOURCE_HASH = "e0aacd56f19a84cad7f31440bd441a23ae2a3dcc27069e0464bc68030a2a8f76"


def load_identity(path: Path) -> ModuleType:
    """The module at `path`, which reads nothing beside it but the files that it hashes."""
    spec = importlib.util.spec_from_file_location("identity_of_a_copy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.token_hash = token_hash  # the same, and it keeps what it found for a text
    return module


@pytest.fixture
def package(tmp_path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "wsa", tmp_path / "wsa", ignore=ignore))


def hashes(package: Path) -> dict[str, str]:
    identity = load_identity(package / "identity.py")
    return {stage: identity.code_hash(stage) for stage in identity.DECIDES}


def changed(package: Path, *names: str) -> set[str]:
    """The stages whose hash is another once code is added to these files."""
    for name in names:
        path = package / name
        path.parent.mkdir(exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{text}\nADDED = f'{{1}} more'\n", encoding="utf-8")
    after = hashes(package)
    return {stage for stage in DECIDES if after[stage] != code_hash(stage)}


# --- code ----------------------------------------------------------------------------------------

RUNS = {"tokenise", "factors", "train", "packed", "prune", "evaluate", "inference", "thresholds"}
TRAINED = {"train", "packed", "evaluate", "inference", "thresholds"}


def test_a_copy_has_the_hashes_of_the_original(package):
    assert hashes(package) == {stage: code_hash(stage) for stage in DECIDES}


def test_comments_docstrings_and_line_breaks_do_not_count(package):
    path = package / "learning/batches.py"
    text = path.read_text(encoding="utf-8")
    new = text.replace('"""Every sentence once', '"""Each sentence once')
    new = new.replace(
        "    order = np.argsort(lengths,", "    # one\n\n    order = np.argsort(\n\nlengths,"
    )
    assert new.count("\n") > text.count("\n")
    path.write_text(f"# a remark\n{new}\n\n# another", encoding="utf-8")
    assert hashes(package) == {stage: code_hash(stage) for stage in DECIDES}


def test_hashes_are_kept_for_as_long_as_a_file_is_what_it_was(package):
    right, kept = hashes(package), package / "__pycache__/token_hashes.json"
    one, name = json.loads(kept.read_text()), "learning/batches.py"
    kept.write_text(json.dumps(one | {name: [one[name][0], "something else"]}))
    assert hashes(package)["train"] != right["train"]  # so it was not found out again
    source = package / name
    source.write_bytes(source.read_bytes() + b"# a remark\n")
    assert hashes(package) == right
    for damaged in ("{", "[1]"):
        kept.write_text(damaged)
        assert hashes(package) == right
    kept.unlink()
    kept.parent.chmod(0o500)
    assert hashes(package) == right


@pytest.mark.parametrize(
    "name",
    [
        "errors.py", "cli.py", "files.py", "layout.py", "suite/load.py", "suite/strict.py",
        "suite/settings.py", "sources/hub.py", "sources/pypi.py", "machine/progress.py",
        "machine/estimates.py", "leaderboard/site.py", "leaderboard/plots/gates.py",
        "leaderboard/plots/of_mine.py", "evidence/verdicts.py", "evidence/claims/order.py",
        "evidence/claims/of_mine.py", "archive/verify.py", "records/run.py", "task.py",
        "stages/check.py", "stages/export.py", "suite/packing.py",
    ],
)  # fmt: skip
def test_what_moves_no_bit_can_change(package, name):
    assert not changed(package, name) & RUNS


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("adapters/layer.py", TRAINED | {"prune"}),
        ("adapters/factors.py", TRAINED | {"prune", "factors"}),
        ("adapters/of_mine/layer.py", TRAINED | {"prune"}),
        ("learning/loop.py", TRAINED),
        ("learning/tokens.py", TRAINED | {"tokenise"}),
        ("stages/session.py", TRAINED),
        ("suite/defaults.py", TRAINED | {"prune"}),
        ("packed/loop.py", {"packed"}),
        *((f"stages/{stage}.py", {stage}) for stage in sorted(RUNS)),
        ("suite/tuning.py", {"tune"}),
        ("stages/tune.py", {"tune"}),
        ("evidence/statistics.py", {"aggregate", "across", "literature", "site"}),
        ("literature/orderings.py", {"literature", "site"}),
        ("leaderboard/site.py", {"site"}),
    ],
)
def test_what_decides_a_stage_s_numbers_counts_there_and_nowhere_else(package, name, stages):
    assert changed(package, name) == stages


def test_a_tuner_counts_for_the_runs_of_its_own_type_alone(package):
    (package / "tuners/mine").mkdir()
    assert not changed(package, "tuners/mine/model.py")
    identity = load_identity(package / "identity.py")
    assert identity.code_hash("train", ("LORA",)) == code_hash("train")
    before = identity.code_hash("train", ("MINE",))
    assert before != code_hash("train")
    changed(package, "tuners/mine/model.py")
    after = load_identity(package / "identity.py")
    assert after.code_hash("train", ("MINE",)) not in (before, code_hash("train"))
    assert identity.own_tuners(["LORA", "MINE"]) == ["MINE"]


def test_what_tuners_share_counts_for_each_of_them_and_for_nothing_else(package):
    for name in ("mine", "other"):
        (package / f"tuners/{name}").mkdir()
        changed(package, f"tuners/{name}/model.py")
    identity = load_identity(package / "identity.py")
    types = [("MINE",), ("OTHER",), ("LORA", "MINE")]
    before = [identity.code_hash("train", kinds) for kinds in types]
    assert not changed(package, "tuners/shared/more.py")
    after = load_identity(package / "identity.py")
    assert all(after.code_hash("train", k) != b for k, b in zip(types, before, strict=True))
    assert after.code_hash("train", ("LORA",)) == code_hash("train")
    assert after.own_tuners(["SHARED"]) == []  # no PEFT type


def test_a_moved_and_a_removed_module_count(package):
    (package / "learning/predict.py").rename(package / "learning/predicting.py")
    moved = hashes(package)
    (package / "learning/predicting.py").unlink()
    assert len({code_hash("train"), moved["train"], hashes(package)["train"]}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 'a'", "x = 'b'"),
        ("x = f'a{y}'", "x = f'b{y}'"),
        ("x = f'{y:>3}'", "x = f'{y:>4}'"),
        ("x = f'{y}' + '{y}'", "x = '{y}' + f'{y}'"),
        ("if a:\n    b()\nc()\n", "if a:\n    b()\n    c()\n"),
        ("x = 1\ny = 2\n", "y = 2\nx = 1\n"),
        ("f('a', 'b')", "f('a' 'b')"),
        ("ab", "a b"),
        ("def f():\n    return 'text'", "def f():\n    'text'"),
    ],
)
def test_code_that_does_something_else_has_another_hash(one, other):
    assert token_hash(one) != token_hash(other)


# --- versions of Python --------------------------------------------------------------------------


def pythons() -> list[str]:
    """Every interpreter here that can run this project, one a version."""
    found = {sys.version_info[:2]: sys.executable}
    versions = Path.home() / ".pyenv/versions"
    for minor in range(11, 16):
        installed = sorted(versions.glob(f"3.{minor}.*/bin/python"))
        for path in [*map(str, installed), shutil.which(f"python3.{minor}")]:
            if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
                found.setdefault((3, minor), path)
    return list(found.values())


HASH_ALL = """
import importlib.util, json, pathlib, sys
spec = importlib.util.spec_from_file_location("identity", sys.argv[1])
identity = importlib.util.module_from_spec(spec)
spec.loader.exec_module(identity)
found = {stage: identity.code_hash(stage) for stage in identity.DECIDES}
for path in sorted(pathlib.Path(sys.argv[1]).parent.rglob("*.py")):
    found[str(path)] = identity.token_hash(path.read_text(encoding="utf-8"))
found["source"] = identity.token_hash(json.loads(sys.argv[2]))
print(json.dumps(found))
"""


def test_every_version_of_python_gives_one_hash():
    assert token_hash(SOURCE) == SOURCE_HASH  # where only one version is installed
    found = []
    for python in pythons():
        command = [python, "-c", HASH_ALL, str(ROOT / "wsa/identity.py"), json.dumps(SOURCE)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    assert all(one == found[0] for one in found)
    assert found[0]["source"] == SOURCE_HASH
    assert found[0]["train"] == code_hash("train")


# --- what a suite asks for -----------------------------------------------------------------------

CLAIM = {
    "id": "better", "kind": "order", "better": "wsa", "worse": "lora", "sentence": "it is better",
    "source": "a test",
}  # fmt: skip


def a_suite(**changes) -> Suite:
    """A suite of LoRA and WSA; `changes` name keys as `methods__wsa__title`."""
    source = {"kind": "path", "path": "nowhere"}
    raw = {
        "name": "a", "title": "A",
        "model": {
            "name": "m", "title": "M", "source": source, "target_modules": ["query"],
            "head_modules": ["classifier"],
        },
        "data": {"name": "d", "title": "D", "source": source},
        "seeds": [0],
        "protocol": {
            "epochs": 2, "batch_size": 16, "batching": "random", "max_length": 32,
            "schedule": "linear", "weight_decay": 0.01, "head_learning_rate": 5.0e-3,
        },
        "methods": json.loads(json.dumps({name: METHODS[name] for name in ("lora", "wsa")})),
    }  # fmt: skip
    for keys, value in changes.items():
        *parents, last = keys.split("__")
        node = raw
        for key in parents:
            node = node[key]
        node[last] = value
    return Suite.model_validate(raw)


def digests(suite: Suite) -> tuple[str, str, str]:
    return suite.run_digest("lora"), suite.run_digest("wsa"), suite.data.rows_digest()


def test_the_threshold_is_no_part_of_a_training():
    before, after = a_suite(), a_suite(methods__wsa__adapter__threshold=0.5)
    assert before.method("wsa").threshold != after.method("wsa").threshold
    assert digests(before) == digests(after)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another"}, {"question": "Why?"}, {"claims": [CLAIM]}, {"baseline": "lora"},
        {"seeds": [0, 1]}, {"data__title": "Another"}, {"data__metrics": ["f1", "accuracy"]},
        {"data__citation": "Somebody"}, {"data__max_length": 99}, {"methods__wsa__title": "Gates"},
        {"methods__wsa__note": "why"}, {"methods__wsa__family": "gates"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_about_it_changes_neither_runs_nor_rows(change):
    assert digests(a_suite(**change)) == digests(a_suite())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"protocol__epochs": 3}, (False, False, True)),
        ({"protocol__max_length": 16}, (False, False, True)),
        ({"methods__wsa__learning_rate": 1.0}, (True, False, True)),
        ({"methods__wsa__adapter__l1": 1.0}, (True, False, True)),
        ({"methods__lora__adapter__r": 3}, (False, True, True)),
        ({"model__target_modules": ["key"]}, (False, False, True)),
        ({"data__labels": ["a", "b"]}, (True, True, False)),  # which rows are of which class
        ({"data__labels": ["a", "b", "c"]}, (False, False, False)),
        ({"data__labels": "number"}, (False, False, False)),
        ({"data__text": ["one", "other"]}, (True, True, False)),
    ],
    ids=str,
)
def test_what_decides_runs_or_rows_changes_them(change, same):
    pairs = zip(digests(a_suite(**change)), digests(a_suite()), strict=True)
    assert tuple(a == b for a, b in pairs) == same


def test_every_shipped_data_set_has_rows_of_its_own():
    names = [path.stem for path in (ROOT / "config/data").glob("*.yaml")]
    specs = {name: load_data(name, ROOT / "config") for name in names}
    assert len({spec.rows_digest() for spec in specs.values()}) == len(names)
    plain = {name: spec.model_copy(update={"metrics": ()}) for name, spec in specs.items()}
    assert all(plain[name].rows_digest() == specs[name].rows_digest() for name in names)
