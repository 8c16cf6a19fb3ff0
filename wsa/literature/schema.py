"""What `config/literature/` may say, typed: tables of papers, numbers, methods, tasks, models.

A row of `numbers.csv` is a number that a table prints; what holds for the whole table (seeds,
statistic, which sentences chose) stands once, in `tables.csv`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator

from wsa.suite.schema import Method, ModelSize
from wsa.suite.strict import Many, Name, Strict, Text

Statistic = Literal["mean", "median", "single run", "not stated"]
Chosen = Literal["same sentences", "other sentences", "not stated"]
Reported = Literal["validation", "half of validation", "own test split"]
Metric = Literal["accuracy", "f1", "accuracy_or_f1", "matthews", "pearson", "pearson_spearman"]
Targets = Literal["qkv", "qv", "all"]
Formula = Literal["lora", "dora", "vera", "square", "householder"]

METRICS: dict[Metric, str] = {
    "accuracy": "accuracy",
    "f1": "F1",
    "accuracy_or_f1": "accuracy or F1, not said",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "pearson_spearman": "mean of Pearson and Spearman",
}
TARGETS: dict[Targets, str] = {
    "qkv": "query, key, value",
    "qv": "query, value",
    "all": "all linear layers",
}


class Task(Strict):
    """A task of the record, by the project's own data set of it."""

    data: Name = Field(description="the name of a file in config/data")
    split: str = Field(default="", description="another than the data set's first validation split")
    sentences: int | None = Field(
        default=None, gt=0, description="in that split; default: what the data set's file says"
    )
    positives: int | None = Field(
        default=None, gt=0, description="sentences of the class that F1 is about"
    )


class Model(Strict):
    """A model of the record, called as its file in config/models where there is one."""

    title: Text
    parameters: int = Field(gt=0, description="of the whole model, as shares of it are printed")
    size: ModelSize | None = Field(default=None, description="default: what the model's file says")


class PublishedMethod(Strict):
    """A method of the record, and which of a suite's rows is one."""

    title: Text
    source: str = ""
    like: dict[str, JsonValue] = Field(
        default={}, description="`kind` or keys of `adapter` → a value, or a list of such"
    )
    parameters: Formula | None = Field(default=None, description="the formula of its count")
    tables: Many[Name] = Field(default=(), description="of the paper that proposed it")

    def fits(self, method: Method) -> bool:
        """Whether a suite's row is this method, whatever its rank."""
        says: dict[str, Any] = {"kind": method.kind} | (method.adapter or {})
        return bool(self.like) and all(
            any(_same(says.get(key), one) for one in (want if isinstance(want, list) else [want]))
            for key, want in self.like.items()
        )


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return fnmatchcase(value, wanted)
    return type(value) is type(wanted) and value == wanted


class Table(Strict):
    """A table of a paper: a row of `tables.csv`."""

    table: Name
    paper: Text
    venue: str
    link: str = Field(pattern=r"^https://\S+$")
    place: Text = Field(description="where in the paper: 'table 1'")
    model: Name
    seeds: int | None = Field(gt=0, description="as stated; empty: not stated")
    statistic: Statistic = Field(description="over the seeds, as stated")
    chosen_on: Chosen = Field(
        description="whether checkpoint or settings were chosen on the sentences that are reported"
    )
    reported_on: Reported
    read_in: Text = Field(description="where it was read, a public place")
    second_hand: str = Field(description="why it is not from the paper itself; else empty")
    note: str

    @property
    def source(self) -> str:
        """In a few words: 'AdaLoRA (ICLR 2023), table 1'."""
        venue = f" ({self.venue})" if self.venue else ""
        return f"{self.paper}{venue}, {self.place}"

    @property
    def stated(self) -> str:
        """Seeds and statistic in words."""
        match self.statistic, self.seeds:
            case "single run", _:
                return "a single run"
            case "not stated", seeds:
                return f"{seeds} seeds" if seeds else "seeds not stated"
            case statistic, seeds:
                return f"{statistic} of {seeds or 'an unstated number of'} seeds"

    @property
    def run_of(self) -> int | None:
        """The k for which k × sentences is what a stated figure is a whole number of steps of.

        A median of an odd number of runs is one of them, of an even number the mean of two.
        """
        match self.statistic, self.seeds:
            case "single run", _:
                return 1
            case "mean", int(seeds):
                return seeds
            case "median", int(seeds):
                return 2 - seeds % 2
        return None


class Number(Strict):
    """A printed number: a row of `numbers.csv`."""

    table: Name
    method: Name
    variant: str = Field(description="what else the table says of the row: 'd=32'")
    rank: int | None = Field(gt=0)
    targets: Targets | None = Field(description="the modules adapted, as stated")
    parameters: str = Field(
        pattern=r"^(\d+(\.\d+)?[MK%])?$", description="as printed: '1.33M', '0.72%'"
    )
    task: Text
    metric: Metric
    value: str = Field(pattern=r"^\d+(\.\d+)?$", description="as printed: its digits count")
    std: str = Field(pattern=r"^(\d*\.?\d+)?$", description="as printed beside it")
    copied_from: Name | None = Field(description="the table it is taken from; empty: an own run")
    chosen_on: Chosen | None = Field(description="where it is not the table's")
    reported_on: Reported | None = Field(description="where it is not the table's")
    note: str

    @field_validator("value")
    @classmethod
    def _in_percent(cls, value: str) -> str:
        if Decimal(value) > 100:
            raise ValueError("should be in percent, or a correlation times 100")
        return value


@dataclass(frozen=True)
class Row:
    """A number with all that is known of it: its table, method, task and model."""

    number: Number
    table: Table
    method: PublishedMethod
    task: Task
    model: Model

    @property
    def value(self) -> Decimal:
        return Decimal(self.number.value)

    @property
    def decimals(self) -> int:
        """Digits after the point, as printed."""
        return len(self.number.value.partition(".")[2])

    @property
    def own(self) -> bool:
        """Whether the paper ran it itself."""
        return self.number.copied_from is None

    @property
    def chosen_on(self) -> Chosen:
        return self.number.chosen_on or self.table.chosen_on

    @property
    def reported_on(self) -> Reported:
        return self.number.reported_on or self.table.reported_on

    @property
    def apart(self) -> bool:
        """Whether the sentences that are reported did not choose, by what is stated."""
        return self.chosen_on == "other sentences"

    @cached_property
    def label(self) -> str:
        """The method as its table has it: 'LoRA, rank 8'."""
        number = self.number
        rank = f"rank {number.rank}" if number.rank else ""
        return ", ".join(filter(None, (self.method.title, rank, number.variant)))

    @property
    def configuration(self) -> tuple[str, int | None, str]:
        """Which method exactly, whatever its modules and its paper."""
        return self.number.method, self.number.rank, self.number.variant

    @cached_property
    def id(self) -> str:
        """Names the row in files and addresses: 'adalora-1.lora-r8.sst-2.accuracy'."""
        number = self.number
        parts = (number.method, f"r{number.rank}" if number.rank else "", number.variant,
                 number.targets or "")  # fmt: skip
        whole = (number.table, "-".join(filter(None, parts)), number.task, number.metric)
        return ".".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in whole)

    @property
    def anchor(self) -> str:
        """Names the row on its table's page: its id without the table."""
        return self.id.partition(".")[2]


@dataclass(frozen=True)
class Literature:
    """The whole record, in the order of its files."""

    tables: dict[str, Table]
    methods: dict[str, PublishedMethod]
    tasks: dict[str, Task]
    models: dict[str, Model]
    rows: tuple[Row, ...]

    @cached_property
    def by_id(self) -> dict[str, Row]:
        return {row.id: row for row in self.rows}

    def of(self, model: str, data: str, metric: str) -> list[Row]:
        """The rows of one model and task (the data set's first validation split), in one metric."""
        return [
            row
            for row in self.rows
            if (row.table.model, row.task.data, row.number.metric) == (model, data, metric)
            and not row.task.split
        ]

    def identify(self, method: Method) -> str | None:
        """Which method of the record a suite's row is; None: no one."""
        return next((name for name, one in self.methods.items() if one.fits(method)), None)
