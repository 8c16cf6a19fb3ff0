"""Two methods are alike within a margin: all such claims of a suite are judged together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wsa.evidence.claims.base import BaseClaim, State
from wsa.suite.strict import Many, Name

if TYPE_CHECKING:
    import numpy as np

    from wsa.evidence.runs import Runs
    from wsa.evidence.statistics import TwoWay
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
        from wsa.evidence.comparisons import find_pair
        from wsa.evidence.statistics import decide_equivalence

        found = [
            (claim, state, _units(runs, claim, state)) for claim in claims for state in claim.states
        ]
        spreads: list[TwoWay | None] = []
        for _, _, (a, b) in found:
            seeds = runs.seeds(a, b)
            spreads.append(runs.headline.difference(a, b, seeds) if len(seeds) > 1 else None)
        scale = runs.task.headline.scale
        family = [
            (spread, claim.margin / scale)
            for spread, (claim, _, _) in zip(spreads, found, strict=True)
            if spread
        ]
        made = decide_equivalence(*zip(*family, strict=True)) if family else None
        rows = iter(zip(made.codes, made.p, made.p_adjusted, strict=True) if made else ())
        judged = iter(
            [
                _judge(
                    runs, claim, state, units, spread, next(rows) if spread else None,
                    len(family), find_pair(units, comparisons),
                )
                for spread, (claim, state, units) in zip(spreads, found, strict=True)
            ]
        )  # fmt: skip
        return [tuple(next(judged) for _ in claim.states) for claim in claims]


def _units(runs: Runs, claim: EquivalenceClaim, state: str):
    return tuple((name, runs.state_of(name, state)) for name in (claim.a, claim.b))


def _judge(
    runs: Runs,
    claim: EquivalenceClaim,
    state: str,
    units,
    spread: TwoWay | None,
    decision: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    family: int,
    comparison: PairComparison | None,
) -> Judgement:
    from wsa.evidence import planning
    from wsa.evidence.judgements import (
        ONE_MORE,
        ONE_SEED,
        called,
        decided,
        not_measured,
        number,
        too_few,
        undecided,
    )
    from wsa.evidence.statistics import ALPHA, CONTRADICTED, SUPPORTED

    (a, b), metric = units, runs.task.headline
    seeds = runs.seeds(a, b)
    first, second = called(runs, *a), called(runs, *b)
    digits = 2 if metric.scale == 100 else 3
    unit = f" {metric.difference_unit}" if metric.difference_unit else ""
    within = f"± {claim.margin:g}{unit}"
    fields = {
        "state": state,
        "claimed": f"{first} = {second} {within}",
        "unit": metric.difference_unit,
        "test": TEST + (f"; Holm over {family} comparisons" if family > 1 else ""),
        "seeds": len(seeds),
        "runs": runs.paths(a[0], seeds) + runs.paths(b[0], seeds),
    }
    if not seeds:
        said = f"There are no runs of {first} and {second} with the same seed."
        return not_measured(said, **fields)
    gain = runs.headline.mean_difference(a, b, seeds)
    said = f"{first} minus {second} is {number(gain, digits, sign='+')}{unit}"
    fields |= {
        "estimate": gain,
        "sentences": runs.predictions.sentences,
        "measured": f"{number(gain, digits, sign='+')}{unit} (n = {len(seeds)})",
        "notes": too_few(runs, seeds, a[0], b[0]),
        "comparison": comparison,
    }
    if spread is None or decision is None:
        return undecided(f"{said}. {ONE_SEED}", advice=ONE_MORE, **fields)
    code, p, adjusted = decision
    interval = runs.headline.interval(spread.interval())
    fields |= {"interval": interval, "p": float(p), "p_adjusted": float(adjusted)}
    low, high = (number(end, digits, sign="+") for end in (interval.low, interval.high))
    said = f"{said} (95 % interval {low} to {high})"
    if code == SUPPORTED:
        return decided(int(code), f"{said}: alike within {within}.", **fields)
    if code == CONTRADICTED:
        return decided(int(code), f"{said}: further apart than {within}.", **fields)
    more, advice = planning.seeds_for_equivalence(
        spread, claim.margin / metric.scale, ALPHA / max(family, 1)
    )
    return undecided(
        f"{said}: these runs cannot tell whether they are alike within {within}.",
        more_seeds=more,
        advice=advice,
        **fields,
    )
