"""One method is better than another: all order claims of a suite are judged together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wsa.evidence.claims.base import BaseClaim, State
from wsa.suite.strict import Many, Name

if TYPE_CHECKING:
    from wsa.evidence.runs import Runs
    from wsa.evidence.statistics import Decisions, TwoWay
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
        from wsa.evidence.statistics import decide

        orders = [[_measure(runs, claim, state) for state in claim.states] for claim in claims]
        family = [order for of_claim in orders for order in of_claim if order.spread]
        decisions = decide([o.spread for o in family], runs.headline.sign) if family else None
        places = {id(order): place for place, order in enumerate(family)}
        return [
            tuple(
                _judge(runs, order, decisions, places.get(id(order)), comparisons)
                for order in of_claim
            )
            for of_claim in orders
        ]


@dataclass(frozen=True)
class _Order:
    """One order claim in one state, and what was measured of it."""

    state: str
    better: tuple[str, str]
    worse: tuple[str, str]
    seeds: tuple[int, ...]
    spread: TwoWay | None  # none for fewer than two common seeds


def _measure(runs: Runs, claim: OrderClaim, state: str) -> _Order:
    better = (claim.better, runs.state_of(claim.better, state))
    worse = (claim.worse, runs.state_of(claim.worse, state))
    seeds = runs.seeds(better, worse)
    spread = runs.headline.difference(better, worse, seeds) if len(seeds) > 1 else None
    return _Order(state, better, worse, seeds, spread)


def _judge(
    runs: Runs,
    order: _Order,
    decisions: Decisions | None,
    place: int | None,
    comparisons: Sequence[PairComparison],
) -> Judgement:
    from wsa.evidence import planning
    from wsa.evidence.comparisons import find_pair
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
    from wsa.evidence.statistics import ALPHA, CONTRADICTED, FEWEST_DIFFERING, SUPPORTED

    seeds, metric = order.seeds, runs.task.headline
    better, worse = called(runs, *order.better), called(runs, *order.worse)
    family = decisions.p.size if decisions else 0
    fields = {
        "state": order.state,
        "claimed": f"{better} > {worse}",
        "unit": metric.difference_unit,
        "test": TEST
        + ("" if metric.per_sentence else RESAMPLED)
        + (f"; Holm over {family} comparisons" if family > 1 else ""),
        "seeds": len(seeds),
        "runs": runs.paths(order.better[0], seeds) + runs.paths(order.worse[0], seeds),
    }
    if not seeds:
        said = f"There are no runs of {better} and {worse} with the same seed."
        return not_measured(said, **fields)
    gain = runs.headline.mean_difference(order.better, order.worse, seeds)
    digits = metric.places
    unit = f" {metric.difference_unit}" if metric.difference_unit else ""
    fields |= {
        "estimate": gain,
        "sentences": runs.predictions.sentences,
        "measured": f"{number(gain, digits, sign='+')}{unit} (n = {len(seeds)})",
        "notes": too_few(runs, seeds, order.better[0], order.worse[0]),
        "comparison": find_pair((order.better, order.worse), comparisons),
    }
    side = "ahead of" if runs.headline.sign * gain >= 0 else "behind"
    of = "" if metric.name == "accuracy" else f" in {metric.title}"
    of += "" if metric.greater_is_better else ", where less is better,"
    ahead = f"{better} is {number(abs(gain), digits)}{unit} {side} {worse}{of}"
    if order.spread is None:
        return undecided(f"{ahead}. {ONE_SEED}", advice=ONE_MORE, **fields)
    p, adjusted = float(decisions.p[place]), float(decisions.p_adjusted[place])
    interval = runs.headline.interval(order.spread.interval())
    fields |= {"interval": interval, "p": p, "p_adjusted": adjusted}
    low, high = (number(end, digits, sign="+") for end in (interval.low, interval.high))
    between = f"95 % interval {low} to {high}"
    by = f"{number(gain, digits, sign='+')}{unit} ({between})"
    code = int(decisions.codes[place])
    if code == SUPPORTED:
        return decided(code, f"{better} is better than {worse}{of}: {by}.", **fields)
    if code == CONTRADICTED:
        return decided(code, f"{better} is worse than {worse}{of}: {by}.", **fields)
    why = "these runs cannot tell which is better"
    if order.spread.nonzero_sentences < FEWEST_DIFFERING:
        why = f"they differ on only {order.spread.nonzero_sentences} sentences, too few to tell"
    elif p <= ALPHA:
        why = (
            f"alone that would decide it, but of {family} comparisons judged together one often "
            f"looks decided by chance (p = {p:.3f}, {adjusted:.3f} after Holm)"
        )
    # what Holm asks of this claim: the level shared with those not yet decided before it
    rivals = int((decisions.p >= p).sum())
    more, advice = planning.seeds_for_order(order.spread, ALPHA / rivals)
    if more is None:
        fields["sentences_needed"] = planning.sentences_for_order(order.spread, ALPHA / rivals)
    return undecided(f"{ahead} ({between}): {why}.", more_seeds=more, advice=advice, **fields)
