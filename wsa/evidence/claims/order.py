"""One method is better than another: all order claims of a suite are judged together."""

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
    "Two-way random effects over seeds and sentences, paired by both; 95 % interval for other "
    "seeds and other sentences"
)
RESAMPLED = "; the sentences' variance from the bootstrap"


class OrderClaim(BaseClaim):
    """`better` has a better headline metric than `worse`, judged once in each of `states`."""

    kind: Literal["order"]
    better: Name
    worse: Name
    states: Many[State] = Field(default=("unpruned",), min_length=1)

    def methods_named(self) -> tuple[str, ...]:
        return (self.better, self.worse)

    @classmethod
    def judge_all(
        cls,
        claims: Sequence[OrderClaim],
        runs: Runs,
        comparisons: Sequence[PairComparison],
    ) -> list[tuple[Judgement, ...]]:
        """Judge them as one family (Holm)."""
        from wsa.evidence.pairs import decide_together, measure_pair
        from wsa.evidence.statistics import decide

        pairs = [
            measure_pair(runs, claim.better, claim.worse, state)
            for claim in claims
            for state in claim.states
        ]
        family, decisions = decide_together(
            pairs, lambda found: decide([pair.spread for pair in found], runs.headline.sign)
        )
        judged = (
            _judge(runs, pair, decision, family, comparisons)
            for pair, decision in zip(pairs, decisions, strict=True)
        )
        return [tuple(next(judged) for _ in claim.states) for claim in claims]


def _judge(
    runs: Runs,
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
        number,
        undecided,
        undecided_alike,
        undecided_yet,
    )
    from wsa.evidence.pairs import decided_fields, difference, measured, stated, unit
    from wsa.evidence.statistics import ALPHA, CONTRADICTED, FEWEST_DIFFERING, SUPPORTED

    metric = runs.task.headline
    better, worse = called(runs, *pair.first), called(runs, *pair.second)
    test = TEST + ("" if metric.per_sentence else RESAMPLED)
    fields = stated(runs, pair, f"{better} > {worse}", test, family)
    if not pair.seeds:
        said = f"There are no runs of {better} and {worse} with the same seed."
        return not_measured(said, **fields)
    fields |= measured(runs, pair, comparisons)
    gain = fields["estimate"]
    side = "ahead of" if runs.headline.sign * gain >= 0 else "behind"
    of = "" if metric.name == "accuracy" else f" in {metric.title}"
    of += "" if metric.greater_is_better else ", where less is better,"
    ahead = f"{better} is {number(abs(gain), metric.places)}{unit(runs)} {side} {worse}{of}"
    if decision is None:
        return undecided_yet(ahead, len(pair.seeds), **fields)
    tested, between = decided_fields(runs, pair, decision)
    fields |= tested
    by = f"{difference(runs, gain)} ({between})"
    if decision.code == SUPPORTED:
        return decided(decision.code, f"{better} is better than {worse}{of}: {by}.", **fields)
    if decision.code == CONTRADICTED:
        return decided(decision.code, f"{better} is worse than {worse}{of}: {by}.", **fields)
    if pair.spread.tied:
        return undecided_alike(f"{ahead} ({between})", len(pair.seeds), **fields)
    why = "these runs cannot tell which is better"
    if pair.spread.nonzero_sentences < FEWEST_DIFFERING:
        why = f"they differ on only {pair.spread.nonzero_sentences} sentences, too few to tell"
    elif decision.p <= ALPHA:
        why = (
            f"alone that would decide it, but of {family} comparisons judged together one often "
            f"looks decided by chance (p = {decision.p:.3f}, {decision.p_adjusted:.3f} after Holm)"
        )
    # what Holm asks of this claim: the level shared with those not yet decided before it
    level = ALPHA / decision.rivals
    more, advice = planning.seeds_for_order(pair.spread, level)
    if more is None:
        fields["sentences_needed"] = planning.sentences_for_order(pair.spread, level)
    return undecided(f"{ahead} ({between}): {why}.", more_seeds=more, advice=advice, **fields)
