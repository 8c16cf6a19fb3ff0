"""The JSON schemas beside the workflow are those of the typed models."""

from __future__ import annotations

import json

import jsonschema
import yaml
from tests.helpers.project import ROOT
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.schemas import write_schemas


def test_the_committed_schemas_are_current(tmp_path):
    write_schemas(tmp_path)
    for made in tmp_path.iterdir():
        committed = ROOT / "workflow/schemas" / made.name
        assert committed.read_text() == made.read_text(), "run: wsa schemas workflow/schemas"


def test_every_published_record_can_be_read_and_was_made_on_a_clean_commit():
    """Those of an older schema too."""
    paths = list((ROOT / "published").glob("*/runs/*/seed-*/result.json"))
    assert paths
    for path in paths:
        for place in read_record(path, Result).provenance.environments.values():
            assert place.git_clean and place.git_commit, path


def test_the_schemas_accept_what_the_project_ships():
    def schema(name: str) -> dict:
        return json.loads((ROOT / f"workflow/schemas/{name}.schema.json").read_text())

    for folder, name in (("models", "model"), ("data", "data")):
        for path in (ROOT / "config" / folder).glob("*.yaml"):
            jsonschema.validate(yaml.safe_load(path.read_text()), schema(name))
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    jsonschema.validate(settings, schema("config"))
