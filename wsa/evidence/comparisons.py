"""Every method and state by itself, and every pair of them side by side."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from wsa.evidence import bootstrap
from wsa.evidence.measure import Measure, Unit
from wsa.evidence.runs import Runs
from wsa.evidence.statistics import ALPHA, TwoWay, stacked
from wsa.records.evidence import Estimate, Interval, McNemar, PairComparison

if TYPE_CHECKING:
    import pandas as pd

MOST_SPLIT = 8  # seeds of a method whose 12,870 splits are all tried

_INTERVALS = ("interval", "bootstrap", "probability_interval")

Pair = tuple[Unit, Unit, tuple[int, ...]]  # with the seeds that both have
Test = tuple[TwoWay | None, float | None, Interval | None]
SignTests = tuple[McNemar, ...]


def estimates(runs: Runs) -> tuple[Estimate, ...]:
    """Every metric of every method and state: the headline's first, further splits last."""
    found = []
    for split in (None, *runs.further):
        for metric in runs.task.metrics:
            headline = split is None and metric is runs.task.headline
            measure = runs.headline if headline else runs.measure(metric.name, split)
            found += [estimate(runs, unit, measure, split) for unit in runs.units(split)]
    return tuple(found)


def estimate(
    runs: Runs, unit: Unit, measure: Measure | None = None, split: str | None = None
) -> Estimate:
    """A metric, the headline unless said, of one method in one state, over all its seeds."""
    measure = measure or runs.headline
    seeds = runs.seeds(unit, split=split)
    values = measure.values(unit, seeds)
    several = len(seeds) > 1
    on_these, on_others = measure.intervals(unit, seeds) if several else (None, None)
    return Estimate(
        method=unit[0],
        state=unit[1],
        metric=measure.metric.name,
        split=split,
        seeds=len(seeds),
        sentences=measure.predictions.sentences,
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if several else None,
        interval_seeds=on_these,
        interval=on_others,
        seed_disagreement=(
            _seed_disagreement(measure.predictions.table(unit, seeds))
            if several and runs.task.classes
            else None
        ),
        runs=runs.paths(unit[0], seeds),
    )


def compare_all(runs: Runs) -> list[PairComparison]:
    """Every pair of methods and states that share a seed, in the headline metric.

    What scipy is asked for is asked for all pairs at once: one at a time it is slow.
    """
    pairs = [
        (a, b, seeds)
        for a, b in itertools.combinations(runs.units(), 2)
        if (seeds := runs.seeds(a, b))
    ]
    return [
        _compare_pair(runs, *found)
        for found in zip(
            pairs, _differences(runs.headline, pairs), _sign_tests(runs, pairs),
            _rank_tests(runs, pairs), strict=True,
        )
    ]  # fmt: skip


def _compare_pair(
    runs: Runs, pair: Pair, test: Test, signs: SignTests, ranks: tuple[float | None, str]
) -> PairComparison:
    """`a` against `b` over the seeds that both have."""
    (a, b, seeds), (spread, p, interval), measure = pair, test, runs.headline
    several = len(seeds) > 1
    draws = measure.draws(a, seeds) - measure.draws(b, seeds)
    together, wins = bootstrap.over_seeds(draws, measure.metric.greater_is_better)
    table = measure.predictions.table
    return PairComparison(
        method_a=a[0],
        state_a=a[1],
        method_b=b[0],
        state_b=b[1],
        seeds=seeds,
        sentences=measure.predictions.sentences,
        difference=measure.mean_difference(a, b, seeds),
        interval=interval,
        p=p,
        seed_share=float(spread.seed_share) if spread else None,
        differing_sentences=(
            int(spread.nonzero_sentences) if spread else measure.differing(a, b, seeds)
        ),
        disagreement=(
            float(100 * (table(a, seeds) != table(b, seeds)).mean()) if runs.task.classes else None
        ),
        bootstrap=measure.interval(bootstrap.percentiles(together)) if several else None,
        probability_of_outperforming=float(wins.mean()) if several else None,
        probability_interval=_interval(bootstrap.percentiles(wins)) if several else None,
        mcnemar=signs,
        rank_test=ranks[1],
        rank_p=ranks[0],
    )


def find_pair(
    units: Sequence[Unit], comparisons: Sequence[PairComparison]
) -> PairComparison | None:
    """A pair of (method, state) as comparisons.csv has it, turned to the claim's way round."""
    wanted = list(units)
    for pair in comparisons:
        ends = [(pair.method_a, pair.state_a), (pair.method_b, pair.state_b)]
        if ends == wanted:
            return pair
        if ends == wanted[::-1]:
            return pair.turned()
    return None


def comparison_table(comparisons: list[PairComparison]) -> pd.DataFrame:
    """`comparisons.csv`: one row a pair, columns as `PairComparison` describes them.

    Intervals become `<name>_low` and `<name>_high`; `mcnemar` is
    `seed:only_a_right/only_b_right:p`, separated by spaces.
    """
    import pandas as pd

    columns: list[str] = []
    for name in PairComparison.model_fields:
        columns += [f"{name}_low", f"{name}_high"] if name in _INTERVALS else [name]
    return pd.DataFrame([_flat(pair) for pair in comparisons], columns=columns)


def _differences(measure: Measure, pairs: Sequence[Pair]) -> list[Test]:
    """Each pair's difference, its p-value and its interval; none for one seed."""
    found: list[Test] = [(None, None, None)] * len(pairs)
    alike: dict[int, list[int]] = {}
    for place, (_, _, seeds) in enumerate(pairs):
        if len(seeds) > 1:
            alike.setdefault(len(seeds), []).append(place)
    for places in alike.values():
        spreads = [measure.difference(*pairs[place]) for place in places]
        every = stacked(spreads)
        for place, spread, p, *ends in zip(
            places, spreads, every.p_value(), *every.interval(), strict=True
        ):
            found[place] = (spread, float(p), measure.interval(ends))
    return found


def _sign_tests(runs: Runs, pairs: Sequence[Pair]) -> list[SignTests]:
    """McNemar's exact test of each pair and seed; none where the label is a number."""
    if not pairs or not runs.task.classes:
        return [()] * len(pairs)
    predictions = runs.predictions
    right = functools.cache(
        lambda unit, seeds: predictions.table(unit, seeds) == predictions.labels
    )
    only_a = [(right(a, seeds) & ~right(b, seeds)).sum(1) for a, b, seeds in pairs]
    only_b = [(right(b, seeds) & ~right(a, seeds)).sum(1) for a, b, seeds in pairs]
    p = sign_test(np.concatenate(only_a), np.concatenate(only_b))
    ends = np.cumsum([len(counts) for counts in only_a])[:-1]
    return [
        tuple(
            McNemar(seed=seed, only_a_right=int(a), only_b_right=int(b), p=float(p))
            for seed, a, b, p in zip(pair[2], *of_pair, strict=True)
        )
        for pair, *of_pair in zip(pairs, only_a, only_b, np.split(p, ends), strict=True)
    ]


def sign_test(
    wins: Int[np.ndarray, " n"], losses: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Exact and two-sided, ties left out: `scipy.stats.binomtest`, for many at once."""
    fewer, both = np.minimum(wins, losses), wins + losses
    of = stats.binom(both, 0.5)
    p = of.cdf(fewer) + of.sf(both - fewer - 1)
    return np.where(wins == losses, 1.0, np.minimum(p, 1.0))


def _rank_tests(runs: Runs, pairs: Sequence[Pair]) -> list[tuple[float | None, str]]:
    """Mann–Whitney over the seeds' values, where it could come out small at all."""
    values = {unit: runs.headline.values(unit, runs.seeds(unit)) for unit in runs.units()}
    found: list[tuple[float | None, str]] = [(None, "")] * len(pairs)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, (a, b, _) in enumerate(pairs):
        alike.setdefault((len(values[a]), len(values[b])), []).append(place)
    for sizes, places in alike.items():
        p, text = _rank_p(
            np.stack([values[pairs[place][0]] for place in places]),
            np.stack([values[pairs[place][1]] for place in places]),
        )
        for place, own in zip(places, p if p is not None else [None] * len(places), strict=True):
            found[place] = (None if own is None else float(own), text.format(*sizes))
    return found


def _rank_p(
    a: Float[np.ndarray, "pairs k"], b: Float[np.ndarray, "pairs l"]
) -> tuple[Float[np.ndarray, " pairs"] | None, str]:
    sizes = a.shape[1], b.shape[1]
    smallest = 2 / math.comb(sum(sizes), sizes[0])
    if smallest >= ALPHA:
        return None, (
            "not given: with {} and {} seeds the exact Mann–Whitney p cannot "
            f"fall below {min(smallest, 1.0):.2g}"
        )
    said = "Mann–Whitney over seeds: on these sentences only, without pairing"
    if max(sizes) > MOST_SPLIT:
        p = stats.mannwhitneyu(a, b, axis=1, method="asymptotic").pvalue
        return p, f"{said}; by the normal distribution"
    # exact whether or not values tie: every split of the runs is tried
    splits = _splits(*sizes)
    ranks = stats.rankdata(np.concatenate([a, b], axis=1), axis=1)
    p = np.ones(len(a))
    for place, own in enumerate(ranks):
        sums, mine = own[splits].sum(1), own[: sizes[0]].sum()
        p[place] = min(2 * min((sums <= mine).mean(), (sums >= mine).mean()), 1.0)
    return p, said


@functools.cache
def _splits(first: int, second: int) -> Int[np.ndarray, "splits first"]:
    """Every way to choose `first` of `first + second` runs."""
    return np.array(list(itertools.combinations(range(first + second), first)))


def _seed_disagreement(predicted: Int[np.ndarray, "k n"]) -> float:
    """Percent of sentences that two seeds classify differently, mean over pairs of seeds."""
    pairs = itertools.combinations(predicted, 2)
    return float(100 * np.mean([(one != other).mean() for one, other in pairs]))


def _flat(pair: PairComparison) -> dict[str, object]:
    row: dict[str, object] = dict(pair)
    for name in _INTERVALS:
        interval = row.pop(name)
        row[f"{name}_low"] = interval.low if interval else None
        row[f"{name}_high"] = interval.high if interval else None
    row["seeds"] = " ".join(map(str, pair.seeds))
    row["mcnemar"] = " ".join(
        f"{test.seed}:{test.only_a_right}/{test.only_b_right}:{test.p:.4g}" for test in pair.mcnemar
    )
    return row


def _interval(ends: tuple[np.ndarray, np.ndarray]) -> Interval:
    return Interval(low=float(ends[0]), high=float(ends[1]))
