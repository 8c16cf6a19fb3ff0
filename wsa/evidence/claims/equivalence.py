"""Two methods are alike within a margin: all such claims of a suite are judged together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wsa.evidence.claims.base import BaseClaim, State
from wsa.suite.strict import Many, Name

if TYPE_CHECKING:
    from wsa.evidence.pairs import Decision, Pair
    from wsa.evidence.runs import Runs
    from wsa.records.evidence import Judgement, PairComparison

TEST = (
    "Two one-sided tests at 5 % each for support, 95 % interval for contradiction; two-way random "
    "effects over seeds and sentences, paired by both"
)


class EquivalenceClaim(BaseClaim):
    """The headline metrics of `a` and `b` differ by no more than `margin`, in each of `states`."""

    kind: Literal["equivalent"]
    a: Name
    b: Name
    margin: float = Field(gt=0, description="as the metric is shown: points of an accuracy")
    states: Many[State] = Field(default=("unpruned",), min_length=1)

    def methods_named(self) -> tuple[str, ...]:
        return (self.a, self.b)

    @classmethod
    def judge_all(
        cls,
        claims: Sequence[EquivalenceClaim],
        runs: Runs,
        comparisons: Sequence[PairComparison],
    ) -> list[tuple[Judgement, ...]]:
        """Judge them as one family (Holm)."""
        from wsa.evidence.pairs import decide_together, measure_pair
        from wsa.evidence.statistics import decide_equivalence

        asked = [
            (claim, measure_pair(runs, claim.a, claim.b, state))
            for claim in claims
            for state in claim.states
        ]
        scale = runs.task.headline.scale
        margins = [claim.margin / scale for claim, pair in asked if pair.enough]
        family, decisions = decide_together(
            [pair for _, pair in asked],
            lambda found: decide_equivalence([pair.spread for pair in found], margins),
        )
        judged = (
            _judge(runs, claim, pair, decision, family, comparisons)
            for (claim, pair), decision in zip(asked, decisions, strict=True)
        )
        return [tuple(next(judged) for _ in claim.states) for claim in claims]


def _judge(
    runs: Runs,
    claim: EquivalenceClaim,
    pair: Pair,
    decision: Decision | None,
    family: int,
    comparisons: Sequence[PairComparison],
) -> Judgement:
    from wsa.evidence import planning
    from wsa.evidence.judgements import (
        called,
        decided,
        not_measured,
        undecided,
        undecided_alike,
        undecided_yet,
    )
    from wsa.evidence.pairs import decided_fields, difference, measured, stated, unit
    from wsa.evidence.statistics import ALPHA, CONTRADICTED, SUPPORTED

    first, second = called(runs, *pair.first), called(runs, *pair.second)
    within = f"± {claim.margin:g}{unit(runs)}"
    fields = stated(runs, pair, f"{first} = {second} {within}", TEST, family)
    if not pair.seeds:
        said = f"There are no runs of {first} and {second} with the same seed."
        return not_measured(said, **fields)
    fields |= measured(runs, pair, comparisons)
    said = f"{first} minus {second} is {difference(runs, fields['estimate'])}"
    if decision is None:
        return undecided_yet(said, len(pair.seeds), **fields)
    tested, between = decided_fields(runs, pair, decision)
    fields |= tested
    said = f"{said} ({between})"
    if decision.code == SUPPORTED:
        return decided(decision.code, f"{said}: alike within {within}.", **fields)
    if decision.code == CONTRADICTED:
        return decided(decision.code, f"{said}: further apart than {within}.", **fields)
    if pair.spread.tied:
        return undecided_alike(said, len(pair.seeds), **fields)
    margin = claim.margin / runs.task.headline.scale
    more, advice = planning.seeds_for_region(pair.spread, -margin, margin, ALPHA / family)
    return undecided(
        f"{said}: these runs cannot tell whether they are alike within {within}.",
        more_seeds=more,
        advice=advice,
        **fields,
    )
