"""From what a YAML file holds to a typed mapping, or to one clear message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsa.errors import InputError, did_you_mean


class Strict(BaseModel):
    """A typed mapping that refuses unknown keys and values of another type ("3" is no number)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(strict=False)]  # a list in YAML, and nothing else
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]

# pydantic's names of faults in plain words; its other messages are plain already
_PLAIN = {
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "string_type": "should be text",
    "string_too_short": "should not be empty",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "too_short": "should not be empty",
    "dict_type": "should be a mapping of keys to values",
    "model_type": "should be a mapping of keys to values",
    "model_attributes_type": "should be a mapping of keys to values",
    "finite_number": "should be a finite number",
    "invalid-json-value": "should be text, a number, true or false, a list or a mapping",
    "recursion_loop": "holds itself",
}


def check(
    model: type[BaseModel], raw: dict[str, Any], file: Path | str | Callable[[list[str]], Path]
) -> Any:
    """Validate `raw` against `model`.

    Args:
        model: the typed mapping.
        raw: what was read.
        file: where it was read; or what gives the file that holds a fault, from the fault's keys.

    Raises:
        InputError: for the first fault: names `file`, the key, the value and what would be right.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
    kind, value, context = fault["type"], fault["input"], fault.get("ctx", {})
    keys = _keys(fault["loc"], raw, absent=kind == "missing")
    problem = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    remedy = None
    if kind in _PLAIN:
        problem = _PLAIN[kind]
    elif kind == "extra_forbidden":
        problem, remedy = "unknown key", did_you_mean(keys[-1], _field_names(model, keys[:-1], raw))
    elif kind == "missing":
        problem, remedy = "is missing", f"add '{keys[-1]}'"
    elif kind == "union_tag_not_found":
        problem, keys = "is missing", [*keys, context["discriminator"].strip("'")]
    elif kind == "union_tag_invalid":
        problem = "is unknown"
        value, remedy = context["tag"], f"one of {context['expected_tags']}"
        keys = [*keys, context["discriminator"].strip("'")]
    elif kind == "string_pattern_mismatch":
        problem = f"should match {context['pattern']}"
    if value is None:
        problem += ", and nothing is there" if kind != "missing" else ""
    elif isinstance(value, dict) and kind in ("missing", "value_error", "union_tag_not_found"):
        value = None  # the whole mapping around the fault
    if callable(file):
        file = file(keys)
    raise InputError(problem, file=file, key=".".join(keys) or None, value=value, remedy=remedy)


def _keys(location: tuple[str | int, ...], raw: Any, absent: bool) -> list[str]:
    """The keys in pydantic's location of a fault; the tags of unions that it puts there left out.

    Args:
        location: keys, indices and tags.
        raw: what was validated.
        absent: whether the last part is a key that is not there.
    """
    keys, node = [], raw
    for step in location[:-1] if absent else location:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            continue
        keys.append(str(step))
    return [*keys, str(location[-1])] if absent else keys


def _field_names(model: type[BaseModel], keys: list[str], raw: Any) -> list[str]:
    """The keys allowed at `keys` below `model`, where `raw` says which member of a union it is."""
    node, members = raw, [model]
    for key in keys:
        node = node[int(key) if isinstance(node, list | tuple) else key]
        if field := members[0].model_fields.get(key):  # no index, and no name of a method
            members = list(_models_in(field.annotation)) or members
        if isinstance(node, dict) and "kind" in node:
            of_kind = [m for m in members if node["kind"] in _literals(m)]
            members = of_kind or members
    return list(members[0].model_fields)


def _literals(model: type[BaseModel]) -> tuple:
    """What the key `kind` of a union's member may be."""
    kind = model.model_fields.get("kind")
    return getattr(kind.annotation, "__args__", ()) if kind else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The typed mappings inside an annotation such as `dict[str, Method]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
