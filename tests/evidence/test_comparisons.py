import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from wsa.evidence.bootstrap import RESAMPLES
from wsa.evidence.comparisons import compare_all, comparison_table, estimate
from wsa.evidence.measure import Predictions
from wsa.evidence.runs import Runs
from wsa.layout import Layout


def _runs(suite, right) -> Runs:
    """Runs that are right about these sentences, all of which have the label 1."""
    sentences = next(len(x) for seeds in right.values() for x in seeds.values())
    by_run = {
        unit: {seed: own.astype(np.int8) for seed, own in seeds.items()}
        for unit, seeds in right.items()
    }
    return Runs(suite, Layout(), predictions=Predictions(np.ones(sentences, np.int8), by_run))


def _right(rng, accuracy, seeds=(1, 2, 3), n=300):
    easy = rng.random(n) < accuracy
    return {seed: easy ^ (rng.random(n) < 0.05) for seed in seeds}


@pytest.fixture
def pair(suite):
    rng = np.random.default_rng(0)
    correct = {
        ("lora", "unpruned"): _right(rng, 0.9),
        ("spectral_a", "unpruned"): _right(rng, 0.8),
    }
    return _runs(suite, correct), compare_all(_runs(suite, correct))[0]


def test_difference_and_mcnemar_are_counts_of_sentences(pair):
    runs, found = pair
    a, b = (
        runs.predictions.by_run["lora", "unpruned"],
        runs.predictions.by_run["spectral_a", "unpruned"],
    )
    gained = sum(int(x and not y) for s in a for x, y in zip(a[s], b[s], strict=True))
    lost = sum(int(y and not x) for s in a for x, y in zip(a[s], b[s], strict=True))
    assert found.difference == pytest.approx(100 * (gained - lost) / 900)
    assert found.disagreement == pytest.approx(100 * (gained + lost) / 900)
    for test in found.mcnemar:
        n, k = test.only_a_right + test.only_b_right, max(test.only_a_right, test.only_b_right)
        tail = sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n
        assert test.p == pytest.approx(min(1.0, 2 * tail))


def test_bootstrap_agrees_with_one_written_as_loops(pair):
    runs, found = pair
    rng = np.random.default_rng(99)
    d = np.stack(
        [
            runs.predictions.by_run["lora", "unpruned"][s].astype(int)
            - runs.predictions.by_run["spectral_a", "unpruned"][s].astype(int)
            for s in (1, 2, 3)
        ]
    )
    draws, wins = [], []
    for _ in range(1500):
        sentences = rng.integers(0, 300, 300)
        means = [d[k, sentences].mean() for k in rng.integers(0, 3, 3)]
        draws.append(np.mean(means))
        wins.append(np.mean([(m > 0) + 0.5 * (m == 0) for m in means]))
    low, high = 100 * np.quantile(draws, [0.025, 0.975])
    assert found.bootstrap.low == pytest.approx(low, abs=0.7)
    assert found.bootstrap.high == pytest.approx(high, abs=0.7)
    assert found.probability_of_outperforming == pytest.approx(np.mean(wins), abs=0.02)
    assert RESAMPLES >= 10_000


def test_verdict_and_bootstrap_are_reproducible(pair):
    runs, found = pair
    assert compare_all(runs)[0] == found


def test_rank_test_only_where_it_can_come_out_small(suite):
    rng = np.random.default_rng(1)
    for n, given in ((3, False), (4, True), (5, True)):
        seeds = tuple(range(n))
        runs = _runs(
            type(suite).model_validate(suite.model_dump() | {"seeds": seeds}),
            {
                ("lora", "unpruned"): _right(rng, 0.95, seeds),
                ("wsa", "unpruned"): _right(rng, 0.6, seeds),
            },
        )
        found = compare_all(runs)[0]
        if not given:
            assert found.rank_p is None and "cannot fall below 0.1" in found.rank_test
            continue
        a, b = (
            [x.mean() for x in runs.predictions.by_run[m, "unpruned"].values()]
            for m in ("lora", "wsa")
        )

        # every split of the 2n accuracies, counted
        def u(x, y):
            return sum((i > j) + 0.5 * (i == j) for i in x for j in y)

        pooled, centre = a + b, n * n / 2
        extreme = total = 0
        for chosen in itertools.combinations(range(2 * n), n):
            rest = [pooled[i] for i in range(2 * n) if i not in chosen]
            extreme += abs(u([pooled[i] for i in chosen], rest) - centre) >= abs(u(a, b) - centre)
            total += 1
        assert found.rank_p == pytest.approx(extreme / total)


def test_only_common_seeds_are_paired(suite):
    rng = np.random.default_rng(2)
    runs = _runs(
        suite,
        {
            ("full", "unpruned"): _right(rng, 0.9, (1, 2)),
            ("lora", "unpruned"): _right(rng, 0.9, (2, 3)),
            ("wsa", "unpruned"): _right(rng, 0.9, (3,)),
        },
    )
    found = compare_all(runs)
    assert [(f.method_a, f.method_b, f.seeds) for f in found] == [
        ("full", "lora", (2,)), ("lora", "wsa", (3,))
    ]  # fmt: skip
    assert found[0].interval is None and found[0].p is None and found[0].bootstrap is None
    assert len(found[0].mcnemar) == 1


def test_an_estimate_s_intervals_are_for_other_seeds_and_for_other_sentences(suite):
    rng = np.random.default_rng(3)
    runs = _runs(suite, {("lora", "unpruned"): _right(rng, 0.9)})
    found = estimate(runs, ("lora", "unpruned"))
    table = np.stack(list(runs.predictions.by_run["lora", "unpruned"].values())).astype(float)
    values = 100 * table.mean(1)
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    of_rest = 100**2 * (rest**2).sum() / (2 * 299) / 300
    variance = max(values.var(ddof=1), of_rest)
    unsure = 1 - 2 / 3 * of_rest / variance

    def beyond(t):
        return 1.5 * unsure * stats.t.sf(t, 2) + (1 - unsure) * stats.t.sf(t, 299) - 0.025

    half = optimize.brentq(beyond, 0, 99) * (variance / 3) ** 0.5
    ends = (found.interval_seeds.low, found.interval_seeds.high)
    assert ends == pytest.approx((found.mean - half, found.mean + half))
    assert found.interval.low < ends[0] and found.mean < found.interval.high < 100
    alone = estimate(
        _runs(suite, {("lora", "unpruned"): _right(rng, 0.9, (1,))}), ("lora", "unpruned")
    )
    assert alone.std is None and alone.interval is None and alone.interval_seeds is None


def test_the_csv_has_every_pair_and_column(pair, suite):
    _, found = pair
    table = comparison_table([found])
    assert table.loc[0, "interval_low"] == found.interval.low
    assert table.loc[0, "mcnemar"].startswith(f"1:{found.mcnemar[0].only_a_right}/")
    assert list(comparison_table([]).columns) == list(table.columns)
    assert isinstance(table, pd.DataFrame)
