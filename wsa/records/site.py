"""`results.json.gz`: every number of the site in one file, for whoever builds on it.

Metrics are as the pages show them: times the metric's scale, an accuracy in percent. Numbers name
the runs that they are made from by their places in `runs`; paths are relative to the file itself.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsa.records.evidence import LEVEL, Interval, State, VerdictWord
from wsa.records.record import Record

Runs = tuple[int, ...]  # places in `SiteResults.runs`


class SiteMethod(Record):
    method: str = Field(description="its id, the same in every suite")
    title: str
    kind: str
    family: str


class SiteSuite(Record):
    """One model on one data set."""

    suite: str
    title: str
    model: str
    data: str
    metric: str = Field(description="the headline's name")
    unit: str
    greater_is_better: bool
    evaluated_on: Literal["validation", "holdout"]
    sentences: int = Field(description="0: not measured")
    methods: tuple[SiteMethod, ...]
    records: str | None = Field(
        description="the archive with the record of every run; null: not measured"
    )


class SiteRun(Record):
    """One method of one suite, trained with one seed."""

    suite: str
    method: str
    seed: int
    page: str = Field(description="where it is shown")
    record: str = Field(description="its record, by name in the suite's archive")


class SiteNumber(Record):
    """A metric or a cost of one method in one state, over its runs."""

    suite: str
    method: str
    state: State
    quantity: str = Field(
        description="a metric's name; or parameters_trainable, parameters_kept, effective_rank, "
        "train_seconds, peak_memory_bytes"
    )
    split: str | None = Field(description="a further validation split; null: the one that counts")
    unit: str
    n: int = Field(description="runs")
    value: float = Field(description="their mean; of peak_memory_bytes the largest")
    std: float | None = Field(description="sample standard deviation; null where not given")
    interval: Interval | None = Field(description="95 %, for other seeds and other sentences")
    runs: Runs


class SiteDifference(Record):
    """The headline metric of one method minus another's, seed by seed on the same sentences."""

    suite: str
    method_a: str
    state_a: State
    method_b: str
    state_b: State
    n: int = Field(description="seeds that both have")
    value: float
    interval: Interval | None
    p: float | None = Field(description="two-sided, that the difference is zero; not corrected")
    runs: Runs = Field(description="of a, then of b")


class SiteVerdict(Record):
    """What the runs say about one claim, in one state."""

    suite: str
    claim: str
    state: State | None
    verdict: VerdictWord
    sentence: str = Field(description="what was claimed, as its source has it")
    said: str = Field(description="the verdict in plain words")
    value: float | None
    interval: Interval | None
    unit: str
    n: int
    runs: Runs


class SitePublished(Record):
    """A number that somebody else published; never mixed with what was measured."""

    suite: str
    method: str = Field(description="as its source names it")
    nearest: str | None = Field(description="the suite's method that is just this, at its rank")
    value: float = Field(description="accuracy in percent")
    protocol: str
    source: str


class SiteClaimed(Record):
    """A value that was claimed for this suite's model and data."""

    suite: str
    claim: str
    method: str
    value: float
    margin: float
    source: str


class SiteResults(Record):
    """All that the site shows in numbers: claimed, published and measured apart."""

    schema_version: Literal[2] = 2  # 1: paths in the place of `Runs`, and no `runs`
    version: str = Field(description="of the program that made the pages")
    level: float = LEVEL
    suites: tuple[SiteSuite, ...]
    runs: tuple[SiteRun, ...]
    measured: tuple[SiteNumber, ...]
    differences: tuple[SiteDifference, ...]
    verdicts: tuple[SiteVerdict, ...]
    claimed: tuple[SiteClaimed, ...]
    published: tuple[SitePublished, ...]
