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

from wsa.evidence.runs import Runs
from wsa.evidence.statistics import (
    ALPHA,
    LEVEL,
    TwoWay,
    difference,
    stacked,
    t_interval,
    two_way,
)
from wsa.records.evidence import Estimate, Interval, McNemar, PairComparison
from wsa.records.predictions import STATES

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES = 10_000
MOST_SPLIT = 8  # seeds of a method whose 12,870 splits are all tried
BOOTSTRAP_SEED = 0  # fixed: the same runs give the same intervals, to the last bit

_INTERVALS = ("interval", "bootstrap", "probability_interval")

Unit = tuple[str, str]  # method, state
Pair = tuple[Unit, Unit, tuple[int, ...]]  # with the seeds that both have
Rights = tuple[Bool[np.ndarray, "k n"], Bool[np.ndarray, "k n"]]
SignTests = tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]


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
    """Every pair of methods and states that share a seed.

    What scipy is asked for is asked for all pairs at once: one at a time it is slow.
    """
    every = units(runs)
    pairs = [
        (a, b, seeds)
        for a, b in itertools.combinations(every, 2)
        if (seeds := common_seeds(runs, a, b))
    ]
    table = functools.cache(lambda unit, seeds: runs.table(*unit, seeds))
    rights = [(table(a, seeds), table(b, seeds)) for a, b, seeds in pairs]
    resampled = _resample(runs, every)
    return [
        _compare_pair(pair, right, spread, test, signs, ranks, resampled)
        for pair, right, (spread, *test), signs, ranks in zip(
            pairs, rights, _differences(rights), _sign_tests(rights), _rank_tests(runs, pairs),
            strict=True,
        )
    ]  # fmt: skip


def _compare_pair(
    pair: Pair,
    right: Rights,
    spread: TwoWay | None,
    test: tuple[float | None, Interval | None],
    signs: SignTests,
    ranks: tuple[float | None, str],
    resampled: dict[Unit, dict[int, Float[np.ndarray, " draws"]]],
) -> PairComparison:
    """`a` against `b` over the seeds that both have."""
    (a, b, seeds), (right_a, right_b) = pair, right
    several = len(seeds) > 1
    draws = np.stack([resampled[a][seed] - resampled[b][seed] for seed in seeds])
    bootstrap, wins = bootstrap_over_seeds(draws)
    net = right_a.sum(0, dtype=int) - right_b.sum(0, dtype=int)
    p, interval = test
    return PairComparison(
        method_a=a[0],
        state_a=a[1],
        method_b=b[0],
        state_b=b[1],
        seeds=seeds,
        sentences=right_a.shape[1],
        difference=float(100 * (right_a.mean() - right_b.mean())),
        interval=interval,
        p=p,
        seed_share=float(spread.seed_share) if spread else None,
        differing_sentences=int((net != 0).sum()),
        disagreement=float(100 * (right_a != right_b).mean()),
        bootstrap=percent_interval(percentiles(bootstrap)) if several else None,
        probability_of_outperforming=float(wins.mean()) if several else None,
        probability_interval=_interval(percentiles(wins)) if several else None,
        mcnemar=tuple(
            McNemar(seed=seed, only_a_right=int(only_a), only_b_right=int(only_b), p=float(p))
            for seed, only_a, only_b, p in zip(seeds, *signs, strict=True)
        ),
        rank_test=ranks[1],
        rank_p=ranks[0],
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
    wins = 0.5 + 0.5 * np.sign(draws)
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


def _differences(
    rights: Sequence[Rights],
) -> list[tuple[TwoWay | None, float | None, Interval | None]]:
    """Each pair's difference, its p-value and its interval in percent; none for one seed."""
    found: list[tuple] = [(None, None, None)] * len(rights)
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, (right, _) in enumerate(rights):
        if len(right) > 1:
            alike.setdefault(right.shape, []).append(place)
    for places in alike.values():
        spreads = [difference(*rights[place]) for place in places]
        every = stacked(spreads)
        for place, spread, p, *ends in zip(
            places, spreads, every.p_value(), *every.interval(), strict=True
        ):
            found[place] = (spread, float(p), percent_interval(ends))
    return found


def _sign_tests(rights: Sequence[Rights]) -> list[SignTests]:
    """McNemar's exact test of each pair and seed: sentences only a has right, only b, and p."""
    if not rights:
        return []
    only_a = [(a & ~b).sum(1) for a, b in rights]
    only_b = [(b & ~a).sum(1) for a, b in rights]
    p = sign_test(np.concatenate(only_a), np.concatenate(only_b))
    ends = np.cumsum([len(counts) for counts in only_a])[:-1]
    return list(zip(only_a, only_b, np.split(p, ends), strict=True))


def sign_test(
    wins: Int[np.ndarray, " n"], losses: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Exact and two-sided, ties left out: `scipy.stats.binomtest`, for many at once."""
    fewer, both = np.minimum(wins, losses), wins + losses
    of = stats.binom(both, 0.5)
    p = of.cdf(fewer) + of.sf(both - fewer - 1)
    return np.where(wins == losses, 1.0, np.minimum(p, 1.0))


def _rank_tests(runs: Runs, pairs: Sequence[Pair]) -> list[tuple[float | None, str]]:
    """Mann–Whitney over the seeds' accuracies, where it could come out small at all."""
    accuracies = {
        unit: np.array([right.mean() for right in seeds.values()])
        for unit, seeds in runs.correct.items()
    }
    found: list[tuple[float | None, str]] = [(None, "")] * len(pairs)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, (a, b, _) in enumerate(pairs):
        alike.setdefault((len(accuracies[a]), len(accuracies[b])), []).append(place)
    for sizes, places in alike.items():
        p, text = _rank_p(
            np.stack([accuracies[pairs[place][0]] for place in places]),
            np.stack([accuracies[pairs[place][1]] for place in places]),
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
    # exact whether or not accuracies tie: every split of the runs is tried
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
