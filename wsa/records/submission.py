"""What somebody else measured: the submission as it comes, and what was checked of it here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from wsa.records.record import Record
from wsa.suite.schema import Method
from wsa.suite.strict import Many, Name, Strict

# the licences under which a result may stand on a public page, by their SPDX names
Licence = Literal["CC0-1.0", "CC-BY-4.0", "MIT", "Apache-2.0"]

# how far a result has been checked, the least first
Standing = Literal["as submitted", "files agree", "rerun within noise", "same bits"]
STANDINGS: tuple[Standing, ...] = Standing.__args__  # type: ignore[attr-defined]


def _one_line(text: str) -> str:
    # control characters, and those that turn the direction in which a line is read
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text):
        raise ValueError("should be one line of plain text")
    if text != text.strip():
        raise ValueError("should not begin or end with a space")
    return text


Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_one_line)]


class Card(Strict):
    """What a person says about a submission: the file `--card` names, or the command line."""

    who: Annotated[Line, Field(max_length=80)] = Field(description="whose result it is")
    where: Line = Field(description="the machine and whose it is: a laptop, a lab's cluster")
    why: Line = Field(description="what was asked, and what came out, in a sentence")
    licence: Licence
    missing_seeds: Line | None = Field(
        default=None, description="why seeds of the suite are missing, where some are"
    )


class Submission(Record):
    """`submission.json`: methods of one suite, run somewhere else.

    Nothing of the suite comes with it but methods of the submitter's own: model, data, protocol
    and seeds are those that the reader of the submission has.
    """

    schema_version: Literal[1] = 1
    suite: Name = Field(description="whose table it is for")
    run_as: Name = Field(description="the name that the records of its runs give their suite")
    card: Card
    methods: Annotated[Many[Name], Field(min_length=1)]
    controls: Many[Name] = Field(description="of the suite, run beside them")
    own: dict[Name, Method] = Field(default={}, description="methods that the suite does not have")

    def runs(self) -> tuple[str, ...]:
        """Every method that it holds runs of, the submitted ones first."""
        return (*self.methods, *self.controls)


class RunCheck(Record):
    """How far one run was checked."""

    method: str
    seed: int
    standing: Standing
    details: tuple[str, ...] = Field(default=(), description="what differed, and why it may")


class Check(Record):
    """One look at a submission."""

    date: str = Field(description="UTC, ISO 8601")
    machine: str
    by: str
    runs: tuple[RunCheck, ...]
    notes: tuple[str, ...] = Field(description="what a reader should know of all of it")


class Admission(Record):
    """`admission.json`: every check of an admitted submission, the latest last."""

    schema_version: Literal[1] = 1
    archive: str = Field(description="sha256 of the archive that was admitted")
    checks: Annotated[tuple[Check, ...], Field(min_length=1)]

    def of_run(self, method: str, seed: int) -> tuple[Check, RunCheck] | None:
        """The check that went furthest with a run; the latest of several."""
        found = [
            (check, run)
            for check in self.checks
            for run in check.runs
            if (run.method, run.seed) == (method, seed)
        ]
        return max(
            reversed(found), key=lambda pair: STANDINGS.index(pair[1].standing), default=None
        )
