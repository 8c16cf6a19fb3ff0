"""A typed JSON file that a stage leaves behind, checked when written and when read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from wsa.errors import InputError, remake
from wsa.files import sha256_json, write_json

SCHEMA_VERSION = 1


class Record(BaseModel):
    """A JSON file written by a stage. Unknown keys and NaN are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def renamed(
    raw: Any, old: str, new: str, turned: Callable[[Any], Any] = lambda value: value
) -> Any:
    """What an earlier schema wrote under the key `old`, as the present one reads it."""
    if isinstance(raw, dict) and old in raw and new not in raw:
        return {key: value for key, value in raw.items() if key != old} | {new: turned(raw[old])}
    return raw


R = TypeVar("R", bound=Record)


# the key of a record's own hash: of all its other keys, as canonical JSON
SEAL = "record_sha256"


def write_record(path: Path, record: Record) -> None:
    """Check `record` once more and write it with its own hash, atomically."""
    write_json(path, sealed(record))


def sealed(record: Record) -> dict[str, Any]:
    """The content of `record`, checked once more, with its own hash: what is written."""
    content = type(record).model_validate(record.model_dump()).model_dump(mode="json")
    return content | {SEAL: sha256_json(content)}


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record of `kind`; raises InputError naming the file, the key and the remedy."""
    remedy = f"remake it: {remake(path)}"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("there is no such record", file=path, remedy=remedy) from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number too long
        raise InputError(f"damaged: {error}", file=path, remedy=remedy) from None
    known = getattr(kind.model_fields.get("schema_version"), "annotation", None)
    versions = (None, *getattr(known, "__args__", (SCHEMA_VERSION,)))
    if isinstance(raw, dict) and raw.get("schema_version") not in versions:
        raise InputError(
            "written with another schema version; this program reads "
            + " and ".join(map(str, versions[1:])),
            file=path, key="schema_version", value=raw["schema_version"], remedy=remedy,
        )  # fmt: skip
    seal = raw.pop(SEAL, None) if isinstance(raw, dict) else None
    if seal is not None and seal != sha256_json(raw):
        raise InputError("damaged: its content has changed", file=path, remedy=remedy)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(
            fault["msg"], file=path, key=".".join(map(str, fault["loc"])), remedy=remedy
        ) from None
