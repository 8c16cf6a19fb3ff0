"""What a fetched folder says about itself: `source.json`, and the check against it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from wsa.errors import InputError, remake
from wsa.files import sha256_file, sha256_json
from wsa.records.record import Record, read_record, write_record
from wsa.suite.schema import Source

RECORD = "source.json"


class SourceRecord(Record):
    """Where a model or a data set came from and which bytes it has."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    source: Source = Field(description="kind and pins, as the configuration gives them")
    citation: str
    licence: str
    files: dict[str, str] = Field(description="file in this folder → sha256")
    sha256: str = Field(description="of `files` as canonical JSON: the one hash of the whole")
    splits: dict[str, dict[str, int]] | None = Field(
        default=None, description="of a data set: split → label → sentences"
    )
    shared_sentences: int | None = Field(
        default=None,
        description="validation sentences that are training sentences too, but for case and spaces",
    )


def seal(folder: Path, **about) -> SourceRecord:
    """Hash every file in `folder` and write its record last, so that it marks a whole folder."""
    files = {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RECORD
    }
    record = SourceRecord(files=files, sha256=sha256_json(files), **about)
    write_record(folder / RECORD, record)
    return record


def verify(folder: Path) -> str:
    """Check every file of a fetched folder against its record.

    Returns:
        The one sha256 of the folder's content.

    Raises:
        InputError: a file is missing or has other bytes; names it and the command that mends it.
    """
    record = read_record(folder / RECORD, SourceRecord)
    remedy = f"fetch it again: {remake(folder / RECORD)}"
    if record.sha256 != sha256_json(record.files):
        raise InputError(
            "damaged: it does not match the hashes of its own files",
            file=folder / RECORD, key="sha256", remedy=remedy,
        )  # fmt: skip
    for name, expected in record.files.items():
        path = folder / name
        if not path.is_file():
            raise InputError("the file is missing", file=path, remedy=remedy)
        if sha256_file(path) != expected:
            raise InputError("damaged: its bytes have changed", file=path, remedy=remedy)
    return record.sha256
