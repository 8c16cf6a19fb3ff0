"""What a suite's runs say of the orderings that others have published: `literature.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsa.records.evidence import Judgement
from wsa.records.record import Record


class Printed(Record):
    """One table's print of an ordering, on one task, by rows of the record."""

    better: str = Field(description="the id of the row that is printed above")
    worse: str
    same_question: bool = Field(description="of the suite's own model and task")


class JudgedOrdering(Record):
    """A method above another, as tables print it of their own runs, judged by two of the suite's
    rows.
    """

    better: str = Field(description="the suite's method that is like the one printed above")
    worse: str
    printed: tuple[Printed, ...] = Field(description="in the record's order")
    judgement: Judgement


class Judged(Record):
    """`literature.json`: every published ordering that the suite has both rows of.

    All pairs of rows are judged together (Holm). Of another model or task they are the same
    question elsewhere, and no replication.
    """

    schema_version: Literal[1] = 1
    suite: str
    model: str
    data: str
    rows: dict[str, str] = Field(description="the suite's methods → those of the record")
    orderings: tuple[JudgedOrdering, ...]
    said: str = Field(description="the sum in one sentence")
