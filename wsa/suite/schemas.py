"""JSON schemas of the YAML that people write, for their editors; generated, never edited.

They describe a suite as its file says it, before `load_suite` resolves it. What only a resolved
suite can be asked, such as whether a claim's methods are there, they leave to the reader.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import models_json_schema

from wsa.files import write_text
from wsa.suite.schema import Collection, DataSpec, ModelSpec, Suite
from wsa.suite.strict import Many, Name, Text

Schema = dict[str, Any]


class SuiteFile(Suite):
    """A suite: one model, one data set, one protocol, several methods."""

    model: Name = Field(description="the name of a file in config/models")
    data: Name = Field(description="the name of a file in config/data")
    extends: Name = Field(
        description="a suite in the same folder: mappings merge with its own, null removes a key"
    )
    sweep: dict[Name, dict[Text, Annotated[Many[float], Field(min_length=1)]]] = Field(
        description="method → its keys → their values: a row for each, as {lora: {adapter.r: [4]}}"
    )


# what a suite may bring to one that extends it, key by key
_MERGED = ("SuiteFile", "Protocol", "Tuning", "Method")


def write_schemas(folder: Path) -> None:
    """Write the schemas of suites, data sets and models into `folder`, each on one line."""
    for name, schema in {
        "suite": _suite_schema(),
        "data": DataSpec.model_json_schema(),
        "model": ModelSpec.model_json_schema(),
    }.items():
        text = json.dumps(_bare(schema), ensure_ascii=False, separators=(",", ":"))
        write_text(folder / f"{name}.schema.json", text + "\n")


def _suite_schema() -> Schema:
    """Of a suite's file, or a collection's."""
    kinds = ((SuiteFile, "validation"), (Collection, "validation"))
    definitions = models_json_schema(kinds)[1]["$defs"]
    needed = set(definitions["SuiteFile"]["required"]) - {"name", "extends", "sweep"}
    for name in _MERGED:
        definition = definitions[name]
        del definition["required"]
        for key, value in definition["properties"].items():
            definition["properties"][key] = _or_null(value)
    definitions["Method"] = _or_null(definitions["Method"])
    definitions["SuiteFile"] |= {
        "required": ["name"],
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": sorted(needed)},
    }
    return {
        "if": {"required": ["suites"]},
        "then": {"$ref": "#/$defs/Collection"},
        "else": {"$ref": "#/$defs/SuiteFile"},
        "$defs": definitions,
    }


def _or_null(schema: Schema) -> Schema:
    options = schema.get("anyOf", [])
    return schema if {"type": "null"} in options else {"anyOf": [schema, {"type": "null"}]}


def _bare(node: Any) -> Any:
    """`node` without what serves no editor: made-up titles, nulls by default, OpenAPI's hints."""
    if isinstance(node, list):
        return [_bare(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _bare(value)
        for key, value in node.items()
        if not (
            (key == "title" and isinstance(value, str))
            or (key == "default" and value is None)
            or (key == "discriminator" and "mapping" in value)
        )
    }
