"""Collections of suites: what they may say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.project import METHODS, ROOT, write_yaml
from wsa.cli import main
from wsa.errors import InputError
from wsa.suite.load import load_collection, load_suite, load_suites

CLAIM = {
    "id": "better", "kind": "order", "better": "wsa", "worse": "lora", "sentence": "it is better",
    "source": "a test",
}  # fmt: skip


@pytest.fixture
def config(tmp_path) -> Path:
    """The suites `one`, `two` (both with LoRA and WSA) and `lora-only`; a collection of two."""
    config = tmp_path / "config"
    source = {"kind": "path", "path": "nowhere"}
    write_yaml(
        config / "models/m.yaml", name="m", title="M", source=source, target_modules=["query"],
        head_modules=["classifier"],
    )  # fmt: skip
    write_yaml(config / "data/d.yaml", name="d", title="D", source=source)
    suites = {"one": ["lora", "wsa"], "two": ["lora", "wsa"], "lora-only": ["lora"]}
    for name, methods in suites.items():
        write_yaml(
            config / f"suites/{name}.yaml", name=name, title=name, model="m", data="d", seeds=[0],
            protocol={
                "epochs": 2, "batch_size": 16, "batching": "random", "max_length": 32,
                "schedule": "linear", "weight_decay": 0.01, "head_learning_rate": 5.0e-3,
            },
            methods={method: METHODS[method] for method in methods},
        )  # fmt: skip
    collection(config)
    return config


def collection(config: Path, **changes: object) -> None:
    said = {"title": "Both", "suites": ["one", "two"], "claims": [CLAIM]} | changes
    write_yaml(config / "suites/both.yaml", **{"name": "both"} | said)


def refused(config: Path, *names: str) -> str:
    with pytest.raises(InputError) as error:
        load_suites(names or ["both"], config)
    return str(error.value)


def test_a_collection_stands_for_its_suites_each_once_and_in_order(config):
    suites, collections = load_suites(["two", "both", "lora-only"], config, seeds=[4, 5])
    assert [suite.name for suite in suites] == ["two", "one", "lora-only"]
    assert all(suite.seeds == (4, 5) for suite in suites)
    assert [one.name for one in collections] == ["both"]
    assert collections[0].claims[0].methods_named() == ("wsa", "lora")
    assert load_collection("one", config) is None and load_collection("none", config) is None


def test_an_unknown_suite_is_told_with_the_nearest_name(config):
    assert "did you mean 'both'?" in refused(config, "bth")
    collection(config, suites=["one", "twoo"])
    said = refused(config)
    assert "twoo.yaml" in said and "did you mean 'two'?" in said


def test_a_claim_about_a_method_that_a_suite_lacks(config):
    collection(config, suites=["one", "lora-only"])
    said = refused(config)
    assert "claim 'better': suite 'lora-only' has no method 'wsa'" in said
    assert "both.yaml" in said and "lora" in said
    collection(config, claims=[CLAIM | {"worse": "lorra"}])
    said = refused(config)
    assert "no method 'lorra'" in said and "did you mean 'lora'?" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"suites": ["one"]}, "suites"),
        ({"suites": ["one", "one"]}, "a suite is named twice"),
        ({"suites": "one"}, "should be a list"),
        ({"suites": ["one", "../two"]}, "suites"),
        ({"suites": ["one", "both"]}, "is a collection of suites, not one"),
        ({"claims": [CLAIM, CLAIM]}, "a claim is named twice"),
        ({"claims": [CLAIM | {"kind": "value"}]}, "claims.0.kind"),
        ({"claims": [CLAIM | {"state": ["pruned"]}]}, "did you mean 'states'?"),
        ({"title": ""}, "title"),
        ({"seeds": [0]}, "unknown key"),
        ({"name": "other"}, "name: both"),
    ],
    ids=str,
)
def test_what_a_collection_cannot_say(config, changes, words):
    collection(config, **changes)
    said = refused(config)
    assert words in said and "both.yaml" in said


def test_a_collection_is_no_suite(config, capsys):
    with pytest.raises(InputError, match="is a collection of suites, not one"):
        load_suite("both", config)
    for line in ("train both lora 0", "evaluate both lora 0", "check both", "aggregate both"):
        assert main(["--config", str(config), *line.split()]) == 2
        said = capsys.readouterr().err
        assert "is a collection of suites, not one" in said and "name one of them" in said
    assert not Path("results/both").exists()


def test_a_suite_is_no_collection(config, capsys):
    assert main(["--config", str(config), "across", "one"]) == 2
    assert "wsa aggregate one" in capsys.readouterr().err


def test_the_shipped_collections_load():
    for path in sorted((ROOT / "config/suites").glob("*.yaml")):
        if found := load_collection(path.stem, ROOT / "config"):
            suites, _ = load_suites([found.name], ROOT / "config")
            assert [suite.name for suite in suites] == list(found.suites)
