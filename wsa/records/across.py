"""What several suites say together: `across.json` of a collection.

Values are as a page shows them, each task's in its own metric; no average is taken over tasks but
that of ranks.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsa.records.evidence import Interval, State, VerdictWord
from wsa.records.record import Record


class AcrossSuite(Record):
    """One task."""

    suite: str
    title: str
    metric: str = Field(description="the headline metric's title")
    unit: str
    sentences: int


class AcrossMethod(Record):
    """A method over the tasks that have runs of it, in the state it is quoted for."""

    method: str
    title: str
    state: State
    mean_rank: float = Field(description="1: the best on every task")
    rank_interval: Interval | None = Field(
        description="for other seeds and other sentences of these tasks: the paired bootstrap over "
        "seeds × sentences within each task, percentiles; null for one seed"
    )
    within_noise: int = Field(description="tasks on which it is not clearly worse than the best")
    tasks: int


class AcrossCell(Record):
    """A method on a task."""

    suite: str
    method: str
    state: State
    seeds: int
    mean: float
    std: float | None
    rank: float = Field(description="among the methods on this task; equal ones share theirs")
    within_noise: bool


class AcrossTask(Record):
    """An order claim on one task."""

    suite: str
    difference: float = Field(description="of the method claimed better, minus the other")
    interval: Interval | None
    p: float | None
    p_adjusted: float | None = Field(description="after Holm, over all claims, states and tasks")
    verdict: VerdictWord


class AcrossOrder(Record):
    """An order claim over the tasks, in one state."""

    id: str
    sentence: str
    better: str
    worse: str
    state: State
    verdict: VerdictWord = Field(
        description="supported: on one task at least, and contradicted on none; contradicted: the "
        "other way round"
    )
    said: str
    tasks: tuple[AcrossTask, ...]


class Across(Record):
    """`across.json`."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    suites: tuple[AcrossSuite, ...]
    methods: tuple[AcrossMethod, ...] = Field(description="the best mean rank first")
    cells: tuple[AcrossCell, ...]
    orders: tuple[AcrossOrder, ...]
    notes: tuple[str, ...]
