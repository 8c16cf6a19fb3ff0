"""Every method and state by itself, and every pair of them side by side."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import stats

from wsa.evidence.intervals import (
    ALPHA,
    LEVEL,
    TwoWay,
    difference,
    stacked,
    t_interval,
    two_way,
)
from wsa.evidence.reading import Runs
from wsa.evidence.records import Estimate, Interval, McNemar, PairComparison
from wsa.predictions import STATES

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 10_000
MOST_SPLIT = 8  # seeds of a method whose 12,870 splits are all tried
BOOTSTRAP_SEED = 0  # fixed: the same runs give the same intervals, to the last bit

_INTERVALS = ("interval", "bootstrap", "probability_interval")

Unit = tuple[str, str]  # method, state


def units(runs: Runs) -> list[Unit]:
    """Every method and state that has runs, in the suite's order."""
    return [
        (method, state)
        for method in runs.suite.methods
        for state in STATES
        if runs.correct.get((method, state))
    ]


def common_seeds(runs: Runs, a: Unit, b: Unit) -> tuple[int, ...]:
    """The seeds that both have, in the suite's order."""
    have_a, have_b = runs.correct.get(a, {}), runs.correct.get(b, {})
    return tuple(seed for seed in runs.suite.seeds if seed in have_a and seed in have_b)


def estimate(runs: Runs, unit: Unit) -> Estimate:
    """The accuracy of one method in one state, over all its seeds."""
    method, state = unit
    seeds = common_seeds(runs, unit, unit)
    right = runs.table(method, state, seeds)
    accuracies = 100 * right.mean(1)
    several = len(seeds) > 1
    spread = two_way(right.astype(np.int8)) if several else None
    pairs = itertools.combinations(right, 2)
    return Estimate(
        method=method,
        state=state,
        seeds=len(seeds),
        sentences=right.shape[1],
        mean=float(accuracies.mean()),
        std=float(accuracies.std(ddof=1)) if several else None,
        interval_seeds=_interval(t_interval(accuracies)) if several else None,
        interval=percent_interval(spread.interval()) if spread else None,
        seed_disagreement=(
            float(100 * np.mean([(one != other).mean() for one, other in pairs]))
            if several
            else None
        ),
        runs=runs.paths(method, seeds),
    )


def compare_all(runs: Runs) -> list[PairComparison]:
    """Every pair of methods and states that share a seed."""
    every = units(runs)
    resampled = _resample(runs, every)
    pairs = [
        (a, b, seeds)
        for a, b in itertools.combinations(every, 2)
        if (seeds := common_seeds(runs, a, b))
    ]
    spreads = [
        difference(runs.table(*a, seeds), runs.table(*b, seeds)) if len(seeds) > 1 else None
        for a, b, seeds in pairs
    ]
    return [
        _compare_pair(runs, a, b, seeds, spread, interval, resampled)
        for (a, b, seeds), spread, interval in zip(
            pairs, spreads, _all_intervals(spreads), strict=True
        )
    ]


def _all_intervals(spreads: Sequence[TwoWay | None]) -> list[Interval | None]:
    """The interval of each difference, in percent; found together, for a root at a time is slow."""
    found: list[Interval | None] = [None] * len(spreads)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, spread in enumerate(spreads):
        if spread is not None:
            alike.setdefault((spread.seeds, spread.sentences), []).append(place)
    for places in alike.values():
        lows, highs = stacked([spreads[place] for place in places]).interval()
        for place, low, high in zip(places, lows, highs, strict=True):
            found[place] = percent_interval((low, high))
    return found


def _compare_pair(
    runs: Runs,
    a: Unit,
    b: Unit,
    seeds: tuple[int, ...],
    spread: TwoWay | None,
    interval: Interval | None,
    resampled: dict[Unit, dict[int, Float[np.ndarray, " draws"]]],
) -> PairComparison:
    """`a` against `b` over the seeds that both have."""
    right_a, right_b = runs.table(*a, seeds), runs.table(*b, seeds)
    several = len(seeds) > 1
    draws = np.stack([resampled[a][seed] - resampled[b][seed] for seed in seeds])
    bootstrap, wins = bootstrap_over_seeds(draws)
    rank_p, rank_test = _rank_test(runs, a, b)
    net = right_a.sum(0, dtype=int) - right_b.sum(0, dtype=int)
    return PairComparison(
        method_a=a[0],
        state_a=a[1],
        method_b=b[0],
        state_b=b[1],
        seeds=seeds,
        sentences=right_a.shape[1],
        difference=float(100 * (right_a.mean() - right_b.mean())),
        interval=interval,
        p=float(spread.p_value()) if spread else None,
        seed_share=float(spread.seed_share) if spread else None,
        differing_sentences=int((net != 0).sum()),
        disagreement=float(100 * (right_a != right_b).mean()),
        bootstrap=percent_interval(percentiles(bootstrap)) if several else None,
        probability_of_outperforming=float(wins.mean()) if several else None,
        probability_interval=_interval(percentiles(wins)) if several else None,
        mcnemar=tuple(
            _mcnemar(seed, one, other)
            for seed, one, other in zip(seeds, right_a, right_b, strict=True)
        ),
        rank_test=rank_test,
        rank_p=rank_p,
    )


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


@functools.cache
def bootstrap_weights(
    sentences: int, resamples: int, seed: int = BOOTSTRAP_SEED
) -> Float[np.ndarray, "resamples sentences"]:
    """How often each sentence is drawn, in each of `resamples` draws with replacement."""
    rng = np.random.default_rng([seed, sentences])
    return _draw_counts(rng, sentences, resamples).astype(np.float32)


@functools.cache
def bootstrap_seed_weights(
    seeds: int, resamples: int, seed: int = BOOTSTRAP_SEED
) -> Float[np.ndarray, "resamples seeds"]:
    """Each seed's share of the seeds drawn, in each of `resamples` draws with replacement."""
    return _draw_counts(np.random.default_rng([seed, seeds, 1]), seeds, resamples) / seeds


def bootstrap_over_seeds(
    draws: Float[np.ndarray, "*many seeds draws"],
) -> tuple[Float[np.ndarray, "*many draws"], Float[np.ndarray, "*many draws"]]:
    """The second of the bootstrap's two ways: differences of seeds on resampled sentences.

    Returns:
        in each draw, the mean difference over the seeds drawn, and the share of them that win.
    """
    weights = bootstrap_seed_weights(*draws.shape[-2:]).T
    wins = (draws > 0) + 0.5 * (draws == 0)
    return (draws * weights).sum(-2), (wins * weights).sum(-2)


def percentiles(
    draws: Float[np.ndarray, "*many draws"],
) -> tuple[Float[np.ndarray, "*many"], Float[np.ndarray, "*many"]]:
    """The bootstrap's 95 % interval."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=-1)
    return low, high


def percent_interval(ends: tuple[np.ndarray, np.ndarray]) -> Interval:
    """An interval of fractions, in percent."""
    return _interval((100 * ends[0], 100 * ends[1]))


def _resample(runs: Runs, every: list[Unit]) -> dict[Unit, dict[int, Float[np.ndarray, " draws"]]]:
    """Each run's accuracy on the resampled sentences, the same draws for all of them."""
    rows = [(unit, seed, right) for unit in every for seed, right in runs.correct[unit].items()]
    found: dict[Unit, dict[int, np.ndarray]] = {unit: {} for unit in every}
    if not rows:
        return found
    table = np.stack([right for _, _, right in rows]).astype(np.float32)
    # sums of small whole numbers: exact in float32, whatever library multiplies
    drawn_right = table @ bootstrap_weights(table.shape[1], RESAMPLES).T
    accuracies = drawn_right.astype(np.float64) / table.shape[1]
    for (unit, seed, _), values in zip(rows, accuracies, strict=True):
        found[unit][seed] = values
    return found


def _mcnemar(seed: int, a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> McNemar:
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(seed=seed, only_a_right=only_a, only_b_right=only_b, p=_sign_p(only_a, only_b))


@functools.cache  # the same few counts come again and again
def _sign_p(wins: int, losses: int) -> float:
    """The exact two-sided sign test; ties left out."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _rank_test(runs: Runs, a: Unit, b: Unit) -> tuple[float | None, str]:
    """Mann–Whitney over the seeds' accuracies, where it could come out small at all."""
    of_a = [right.mean() for right in runs.correct[a].values()]
    of_b = [right.mean() for right in runs.correct[b].values()]
    smallest = 2 / math.comb(len(of_a) + len(of_b), len(of_a))
    if smallest >= ALPHA:
        return None, (
            f"not given: with {len(of_a)} and {len(of_b)} seeds the exact Mann–Whitney p cannot "
            f"fall below {min(smallest, 1.0):.2g}"
        )
    said = "Mann–Whitney over seeds: on these sentences only, without pairing"
    if max(len(of_a), len(of_b)) > MOST_SPLIT:
        p = float(stats.mannwhitneyu(of_a, of_b, method="asymptotic").pvalue)
        return p, f"{said}; by the normal distribution"
    # exact whether or not accuracies tie: every split of the runs is tried
    ranks = stats.rankdata([*of_a, *of_b])
    sums = ranks[_splits(len(of_a), len(of_b))].sum(1)
    own = ranks[: len(of_a)].sum()
    p = 2 * min((sums <= own).mean(), (sums >= own).mean())
    return min(float(p), 1.0), said


@functools.cache
def _splits(first: int, second: int) -> Int[np.ndarray, "splits first"]:
    """Every way to choose `first` of `first + second` runs."""
    return np.array(list(itertools.combinations(range(first + second), first)))


def _draw_counts(rng: np.random.Generator, of: int, draws: int) -> Num[np.ndarray, "draws of"]:
    drawn = rng.integers(0, of, (draws, of)) + of * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * of).reshape(draws, of)


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
