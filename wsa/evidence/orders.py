"""Is one method better than another? All order claims of a suite, judged together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from wsa.evidence import planning
from wsa.evidence.comparisons import common_seeds, percent_interval
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
from wsa.evidence.runs import Runs
from wsa.evidence.statistics import (
    ALPHA,
    CONTRADICTED,
    FEWEST_DIFFERING,
    SUPPORTED,
    TwoWay,
    difference,
    holm,
    judge_order,
)
from wsa.records.evidence import Judgement, PairComparison
from wsa.suite.schema import OrderClaim

TEST = (
    "Two-way random effects over seeds and sentences, paired by both; 95 % interval for other "
    "seeds and other sentences"
)


@dataclass(frozen=True)
class _Order:
    """One order claim in one state, and what was measured of it."""

    claim: OrderClaim
    state: str
    better: tuple[str, str]
    worse: tuple[str, str]
    seeds: tuple[int, ...]
    spread: TwoWay | None  # none for fewer than two common seeds


@dataclass(frozen=True)
class Decisions:
    """What `decide` made of order claims judged together; claims on the last axis."""

    codes: Int[np.ndarray, "*many claims"]
    p: Float[np.ndarray, "*many claims"]
    p_adjusted: Float[np.ndarray, "*many claims"]


def decide(spreads: list[TwoWay]) -> Decisions:
    """Judge differences that belong to one family, at a familywise level of 5 % (Holm)."""
    p = np.stack([spread.p_value() for spread in spreads], -1)
    means = np.stack([spread.mean for spread in spreads], -1)
    adjusted = holm(p)
    return Decisions(judge_order(means, adjusted), p, adjusted)


def judge_orders(runs: Runs, comparisons: list[PairComparison]) -> dict[tuple[str, str], Judgement]:
    """(claim's id, state) → its judgement, for every order claim of the suite."""
    orders = [
        _measure(runs, claim, state)
        for claim in runs.suite.claims
        if isinstance(claim, OrderClaim)
        for state in claim.states
    ]
    family = [order for order in orders if order.spread]
    decisions = decide([order.spread for order in family]) if family else None
    places = {(order.claim.id, order.state): place for place, order in enumerate(family)}
    judged = {}
    for order in orders:
        key = (order.claim.id, order.state)
        judged[key] = _judge(runs, order, decisions, places.get(key), comparisons)
    return judged


def _measure(runs: Runs, claim: OrderClaim, state: str) -> _Order:
    better = (claim.better, runs.state_of(claim.better, state))
    worse = (claim.worse, runs.state_of(claim.worse, state))
    seeds = common_seeds(runs, better, worse)
    spread = None
    if len(seeds) > 1:
        spread = difference(runs.table(*better, seeds), runs.table(*worse, seeds))
    return _Order(claim, state, better, worse, seeds, spread)


def _judge(
    runs: Runs,
    order: _Order,
    decisions: Decisions | None,
    place: int | None,
    comparisons: list[PairComparison],
) -> Judgement:
    claim, seeds = order.claim, order.seeds
    better, worse = called(runs, *order.better), called(runs, *order.worse)
    family = decisions.p.size if decisions else 0
    fields = {
        "state": order.state,
        "claimed": f"{better} > {worse}",
        "unit": "points",
        "test": TEST + (f"; Holm over {family} comparisons" if family > 1 else ""),
        "seeds": len(seeds),
        "runs": runs.paths(claim.better, seeds) + runs.paths(claim.worse, seeds),
    }
    if not seeds:
        said = f"There are no runs of {better} and {worse} with the same seed."
        return not_measured(said, **fields)
    right = [runs.table(*unit, seeds) for unit in (order.better, order.worse)]
    points = float(100 * (right[0].mean() - right[1].mean()))
    fields |= {
        "estimate": points,
        "sentences": right[0].shape[1],
        "measured": f"{number(points, sign='+')} points (n = {len(seeds)})",
        "notes": too_few(runs, seeds, claim.better, claim.worse),
        "comparison": _comparison(order, comparisons),
    }
    side = "ahead of" if points >= 0 else "behind"
    ahead = f"{better} is {number(abs(points))} points {side} {worse}"
    if order.spread is None:
        return undecided(f"{ahead}. {ONE_SEED}", advice=ONE_MORE, **fields)
    p, adjusted = float(decisions.p[place]), float(decisions.p_adjusted[place])
    interval = percent_interval(order.spread.interval())
    fields |= {"interval": interval, "p": p, "p_adjusted": adjusted}
    low, high = (number(end, sign="+") for end in (interval.low, interval.high))
    between = f"95 % interval {low} to {high}"
    by = f"{number(points, sign='+')} points ({between})"
    code = int(decisions.codes[place])
    if code == SUPPORTED:
        return decided(code, f"{better} is better than {worse}: {by}.", **fields)
    if code == CONTRADICTED:
        return decided(code, f"{better} is worse than {worse}: {by}.", **fields)
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
    return undecided(f"{ahead} ({between}): {why}.", more_seeds=more, advice=advice, **fields)


def _comparison(order: _Order, comparisons: list[PairComparison]) -> PairComparison | None:
    """The claim's pair as it stands in comparisons.csv, whichever way round."""
    wanted = {order.better, order.worse}
    for pair in comparisons:
        if {(pair.method_a, pair.state_a), (pair.method_b, pair.state_b)} == wanted:
            return pair
    return None
