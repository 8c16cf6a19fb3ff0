"""The files the evidence leaves behind, typed and versioned.

Metrics here are as a page shows them: times the metric's scale (`wsa.task.Metric`), an accuracy in
percent and a difference of accuracies in points; `unit` says so wherever it depends on the claim.
Paths of runs are relative to the suite's folder of results: `runs/<method>/seed-<k>/result.json`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from wsa.records.record import SCHEMA_VERSION, Record, renamed
from wsa.records.run import Environment
from wsa.suite.schema import Claim

LEVEL = 0.95  # of every interval; a test's level is 1 − LEVEL

State = Literal["unpruned", "pruned", "gate_only"]
VerdictWord = Literal["supported", "contradicted", "undecided", "not measured"]
Percent = float
Points = float


class Interval(Record):
    """A 95 % interval."""

    low: float
    high: float

    def reflected(self, about: float) -> Interval:
        """That of `about` minus the number."""
        return Interval(low=about - self.high, high=about - self.low)

    def within(self, low: float, high: float) -> Interval:
        """The part of it between `low` and `high`."""
        return Interval(low=max(self.low, low), high=min(self.high, high))


class Estimate(Record):
    """One metric of one method in one state, on one split."""

    method: str
    state: State
    metric: str = Field(default="accuracy", description="its name; the headline's come first")
    split: str | None = Field(
        default=None, description="a further validation split; null: the one that counts"
    )
    seeds: int = Field(description="n, the runs it is the mean of")
    sentences: int
    mean: float
    std: float | None = Field(description="sample standard deviation (n−1); null for n = 1")
    interval_seeds: Interval | None = Field(description="for other seeds on these sentences")
    interval: Interval | None = Field(description="for other seeds and other sentences")
    seed_disagreement: Percent | None = Field(
        description="sentences that two seeds classify differently, mean over pairs of seeds; null "
        "where the label is a number"
    )
    runs: tuple[str, ...]


class McNemar(Record):
    """Exact McNemar test of one seed: only chance in the sentences, not in the seeds."""

    seed: int
    only_a_right: int
    only_b_right: int
    p: float


class PairComparison(Record):
    """Method a against method b, seed by seed on the same sentences."""

    method_a: str
    state_a: State
    method_b: str
    state_b: State
    seeds: tuple[int, ...] = Field(description="that both have")
    sentences: int
    difference: float = Field(
        description="mean headline metric of a minus that of b, also where less of it is better"
    )
    interval: Interval | None = Field(
        description="for other seeds and other sentences, also if looked at again at 3, 5, 10 and "
        "20 seeds; null for n = 1"
    )
    p: float | None = Field(description="two-sided, that the difference is zero; same model")
    seed_share: float | None = Field(description="of the difference's variance, due to seeds")
    differing_sentences: int = Field(description="sentences on which a and b differ on average")
    disagreement: Percent | None = Field(
        description="sentences that they classify differently, mean over seeds; null where the "
        "label is a number"
    )
    bootstrap: Interval | None = Field(
        description="two-way paired bootstrap over seeds × sentences, percentiles. Shown beside; "
        "no verdict rests on it: the calibration says why"
    )
    probability_of_outperforming: float | None = Field(
        description="that a beats b with one other seed on other sentences; ties count half"
    )
    probability_interval: Interval | None
    mcnemar: tuple[McNemar, ...] = Field(description="empty where the label is a number")
    rank_test: str = Field(description="Mann–Whitney over seeds, or why it is not given")
    rank_p: float | None

    def turned(self) -> PairComparison:
        """The same, b against a."""
        likely = self.probability_of_outperforming
        changes = {
            "method_a": self.method_b, "state_a": self.state_b,
            "method_b": self.method_a, "state_b": self.state_a,
            "difference": 0 - self.difference,
            "interval": self.interval and self.interval.reflected(0),
            "bootstrap": self.bootstrap and self.bootstrap.reflected(0),
            "probability_of_outperforming": None if likely is None else 1 - likely,
            "probability_interval": self.probability_interval
            and self.probability_interval.reflected(1),
            "mcnemar": tuple(
                test.model_copy(
                    update={
                        "only_a_right": test.only_b_right, "only_b_right": test.only_a_right
                    }
                )
                for test in self.mcnemar
            ),
        }  # fmt: skip
        return self.model_copy(update=changes)


class Judgement(Record):
    """What the runs say about one claim, in one state."""

    state: State | None = Field(description="null where the claim does not depend on it")
    verdict: VerdictWord
    claimed: str = Field(description="short: '94.3 ± 0.3 %'")
    measured: str = Field(description="short: '94.51 ± 0.34 % (n = 3)'; '—' if not measured")
    sentence: str = Field(description="the verdict in plain words")
    estimate: float | None
    interval: Interval | None
    unit: str = Field(
        description="percent, points, directions, ratio, seconds; of another metric its own, which "
        "may be none"
    )
    test: str
    p: float | None
    p_adjusted: float | None = Field(
        default=None, description="after Holm, over the suite's order claims"
    )
    seeds: int
    sentences: int | None
    more_seeds: int | None = Field(
        description="that would decide it with a probability of about 80 %; null: see `advice`"
    )
    sentences_needed: int | None = Field(
        default=None, description="of an order that no number of seeds would decide: that would"
    )
    advice: str = Field(description="what would decide it; empty for a decided claim")
    notes: tuple[str, ...]
    comparison: PairComparison | None = Field(default=None, description="of an order claim")
    runs: tuple[str, ...]


class JudgedClaim(Record):
    claim: Claim
    judgements: tuple[Judgement, ...]


class Claims(Record):
    """`claims.json`: every claim of a suite with its verdicts, and what they were reached from."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    level: float = LEVEL
    evaluated_on: Literal["validation", "holdout"]
    claims: tuple[JudgedClaim, ...]
    estimates: tuple[Estimate, ...]

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, raw: Any) -> Any:
        """Records from before the published record had a place of its own repeated it."""
        return {k: v for k, v in raw.items() if k != "published"} if isinstance(raw, dict) else raw


class MethodRow(Record):
    """What a method costs, over its runs; a method without runs has n = 0 and nothing else."""

    method: str
    n: int
    effective_rank: float | None = Field(description="mean over runs and adapted modules")
    effective_rank_std: float | None
    parameters_trainable: float | None = Field(description="mean")
    parameters_kept: float | None = Field(description="mean")
    train_seconds: float | None = Field(description="mean")
    peak_memory_bytes: float | None = Field(description="of the run that took most")
    hardware: tuple[str, ...]


class Tables(Record):
    """`tables.json`: what `table.csv` and `comparisons.csv` hold for people, for programs."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    methods: tuple[MethodRow, ...]
    comparisons: tuple[PairComparison, ...]


class Finding(Record):
    """Something about the results that a reader must know."""

    severity: Literal["error", "warning", "note"]
    about: str = Field(description="a run ('lora, seed 1'), a method, or the suite")
    message: str
    runs: tuple[str, ...] = ()
    remedy: str | None = Field(default=None, description="a command, or what to do")


class Findings(Record):
    """`findings.json`, the gravest first."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    findings: tuple[Finding, ...]


class Inference(Record):
    """`inference.json`: how long the trained models of one seed take for the same sentences.

    Round i of every entry was timed in turn, so that a slow moment of the machine meets all. What
    was timed in fewer rounds was so in the first ones.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    environment: Environment
    sentences: int
    seconds: dict[str, tuple[float, ...]] = Field(
        description="'base' (the pretrained model without an adapter) and merged methods → seconds "
        "of each round; all of one length"
    )
    adapters: dict[str, tuple[float, ...]] = Field(
        default={},
        description="the first of these rounds with adapters that are not merged: 'method' as "
        "trained, 'method pruned' → seconds; a method that is here alone cannot be merged",
    )
    alike: dict[str, str] = Field(
        default={},
        description="merged methods that were not timed → the one of `seconds` that was: they have "
        "the same modules, with tensors of the same shapes, strides and dtypes",
    )

    @property
    def common_rounds(self) -> int:
        """How many rounds everything was timed in: the first ones."""
        return min(map(len, (*self.seconds.values(), *self.adapters.values())))


class ThresholdPoint(Record):
    """A trained adapter, pruned at one threshold."""

    method: str
    threshold: float
    effective_rank: float = Field(description="mean over adapted modules")
    kept_parameters: int = Field(description="trainable ones, the head included")
    value: float = Field(description="of the suite's headline metric")

    @model_validator(mode="before")
    @classmethod
    def _as_it_was(cls, raw: Any) -> Any:
        """Records from before there were other metrics said `accuracy`."""
        return renamed(raw, "accuracy", "value")


class Thresholds(Record):
    """`thresholds.json`: what other thresholds τ would have left of one seed's adapters."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    seed: int
    environment: Environment
    evaluated_on: Literal["validation", "holdout"]
    sentences: int
    points: tuple[ThresholdPoint, ...] = Field(description="by method, thresholds rising")


class Rate(Record):
    """How often something happened in simulated worlds."""

    count: int
    worlds: int
    rate: float
    standard_error: float = Field(description="binomial")


class World(Record):
    """A kind of simulated suite, and how its runs look."""

    name: str
    description: str
    role: Literal["chosen", "confirmed", "limit"] = Field(
        default="chosen",
        description="whether the test's constants were chosen with such worlds; of the others, "
        "`limit` worlds are not as the test takes them to be",
    )
    metric: str = "accuracy"
    sentences: int = 872
    accuracy: float = Field(description="the metric's true value, as it is shown")
    seed_std: float = Field(description="of a method's true metric over seeds")
    seed_disagreement: Percent | None = Field(
        description="measured: sentences two seeds differ on; null where the label is a number"
    )
    method_disagreement: Percent | None = Field(
        description="measured: sentences two methods differ on; null where the label is a number"
    )


class CalibrationRow(Record):
    """How the engine judged worlds of one kind, whose truth is known."""

    claim: Literal[
        "order", "equivalent", "value", "effective_rank", "interval", "interval_seeds"
    ] = Field(
        description="`interval`, `interval_seeds`: those of one method's estimate, supported where "
        "they cover the true accuracy"
    )
    metric: str = Field(default="accuracy", description="that the claim is about")
    world: str
    seeds: int
    looks: tuple[int, ...] = Field(
        default=(), description="judged after so many seeds each; any of these verdicts counts"
    )
    truth: float = Field(
        description="order, equivalent: true difference as it is shown (points); value: how far "
        "the true accuracy lies from the claimed one, in points; effective_rank: the true mean; "
        "intervals: the true accuracy"
    )
    true: bool | None = Field(description="is the claim true? null: an order without a difference")
    supported: Rate
    contradicted: Rate
    wrong: Rate = Field(description="verdicts that the truth forbids")
    any_wrong: Rate | None = Field(
        default=None, description="a wrong verdict on any of two claims judged together (Holm)"
    )
    one_look: Rate | None = Field(
        default=None,
        description="supported (without a difference: wrong), had there been this look alone",
    )
    mixed_model: Rate | None = Field(
        default=None, description="the same, had a linear mixed model decided"
    )
    bootstrap_wrong: Rate | None = Field(
        default=None,
        description="had the percentiles of the two-way bootstrap decided: why they do not",
    )


class Calibration(Record):
    """`calibration.json`: whether the engine's verdicts can be trusted, measured."""

    schema_version: Literal[1] = SCHEMA_VERSION
    command: str
    worlds_per_row: int = Field(description="of an accuracy; each rate says its own")
    resamples: int = Field(default=0, description="draws of the bootstrap in these worlds")
    seed: int
    sentences: int
    looks: tuple[int, ...] = Field(default=(), description="seeds at which claims are judged")
    level: float = LEVEL
    value_margin: Points
    equivalence_margin: Points = 2.0
    rank_interval: Interval
    versions: dict[str, str]
    worlds: tuple[World, ...]
    rows: tuple[CalibrationRow, ...]
