"""The JSON schemas beside the workflow are those of the typed models."""

from __future__ import annotations

import json

import jsonschema
import yaml
from wsa.schemas import write_schemas

from tiny_project import ROOT


def test_the_committed_schemas_are_current(tmp_path):
    write_schemas(tmp_path)
    for made in tmp_path.iterdir():
        committed = ROOT / "workflow/schemas" / made.name
        assert committed.read_text() == made.read_text(), "run: wsa schemas workflow/schemas"


def test_the_schemas_accept_what_the_project_ships():
    def schema(name: str) -> dict:
        return json.loads((ROOT / f"workflow/schemas/{name}.schema.json").read_text())

    for folder, name in (("models", "model"), ("data", "data")):
        for path in (ROOT / "config" / folder).glob("*.yaml"):
            jsonschema.validate(yaml.safe_load(path.read_text()), schema(name))
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    jsonschema.validate(settings, schema("config"))
