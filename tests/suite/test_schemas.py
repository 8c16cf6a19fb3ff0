"""The JSON schemas that editors use are current, and right about the files people write."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests.helpers.project import ROOT
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.suite.load import read_yaml
from wsa.suite.schemas import write_schemas

SCHEMAS = ROOT / "config/schemas"
FOLDERS = {"suites": "suite", "data": "data", "models": "model"}
SHIPPED = [path for folder in FOLDERS for path in sorted((ROOT / "config" / folder).iterdir())]


def faults(path: Path, content: dict) -> list[str]:
    """What the schema of the file at `path` has against `content`."""
    schema = json.loads((SCHEMAS / f"{FOLDERS[path.parent.name]}.schema.json").read_text())
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(content)]


def test_the_committed_schemas_are_current_and_short(tmp_path):
    write_schemas(tmp_path)
    assert {path.name for path in SCHEMAS.iterdir()} == {path.name for path in tmp_path.iterdir()}
    for made in tmp_path.iterdir():
        committed = (SCHEMAS / made.name).read_text()
        assert committed == made.read_text(), "run: wsa schemas config/schemas"
        assert committed.count("\n") == 1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_file_is_accepted_and_a_misspelt_key_in_it_is_not(path):
    content = read_yaml(path)
    assert not faults(path, content)
    for key in content:
        assert faults(path, {f"{k}_" if k == key else k: v for k, v in content.items()})
    for key in ("protocol", "source"):
        if key in content:
            assert faults(path, content | {key: content[key] | {"epoch": 1}})
    for name, method in content.get("methods", {}).items():
        if method is not None:
            assert faults(path, content | {"methods": {name: method | {"learning_rat": 1e-3}}})


def test_what_extends_does_may_be_written():
    path = ROOT / "config/suites/new.yaml"
    new = {"name": "new", "extends": "minilm-l6_sst2"}
    for change in (
        {"methods": {"lora": None, "wsa": {"learning_rate": 1e-3, "adapter": {"l1": None}}}},
        {"protocol": {"epochs": 3, "train_sentences": None}},
        {"baseline": None, "claims": []},
        {"sweep": {"lora": {"learning_rate": [1e-3, 2e-3], "adapter.r": [4, 8]}}},
    ):
        assert not faults(path, new | change)
    # a list replaces the list, so what is in it stands alone
    assert faults(path, new | {"claims": [{"id": "wsa-beats-spectral"}]})
    assert faults(path, new | {"sweep": {"lora": {"learning_rate": []}}})
    # without the other suite, all of it is needed
    assert "'protocol' is a required property" in faults(path, {"name": "new"})


# made while two README files were missing from the working tree, and nothing else; its page says so
UNCLEAN = {"minilm-l6_basis", "minilm-l6_basis_tuning"}


def test_every_published_record_can_be_read_and_was_made_on_a_clean_commit():
    """Those of an older schema too."""
    paths = list((ROOT / "published").glob("*/runs/*/seed-*/result.json"))
    assert paths
    for path in paths:
        result = read_record(path, Result)
        for place in result.provenance.environments.values():
            assert place.git_commit and place.git_clean is (result.suite not in UNCLEAN), path
    findings = (ROOT / "published/minilm-l6_basis/findings.json").read_text(encoding="utf-8")
    assert "made from a working tree with uncommitted changes" in findings
