import itertools

import numpy as np
import pytest
from scipy import integrate, stats
from wsa.evidence.planning import seeds_for_order, seeds_for_region
from wsa.evidence.statistics import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    difference,
    equivalence_p,
    holm,
    judge_order,
    judge_region,
    t_interval,
    two_way,
)


def _table(rng, seeds=4, sentences=60, seed_effect=0.3):
    latent = rng.normal(0.5, 1, sentences) + rng.normal(0, seed_effect, (seeds, 1))
    return latent + rng.normal(0, 0.5, (seeds, sentences)) > 0


def _by_hand(values):
    """The two-way analysis of variance, cell by cell."""
    seeds, sentences = len(values), len(values[0])
    cells = list(itertools.product(range(seeds), range(sentences)))
    mean = sum(values[k][j] for k, j in cells) / len(cells)
    rows = [sum(values[k]) / sentences for k in range(seeds)]
    columns = [sum(values[k][j] for k in range(seeds)) / seeds for j in range(sentences)]
    m_seed = sentences * sum((r - mean) ** 2 for r in rows) / (seeds - 1)
    m_sentence = seeds * sum((c - mean) ** 2 for c in columns) / (sentences - 1)
    m_rest = sum((values[k][j] - rows[k] - columns[j] + mean) ** 2 for k, j in cells)
    m_rest /= (seeds - 1) * (sentences - 1)
    return mean, m_seed, m_sentence, m_rest


@pytest.mark.parametrize("seed_effect", [0.0, 0.5])
def test_two_way_is_the_analysis_of_variance(seed_effect):
    rng = np.random.default_rng(3)
    a, b = _table(rng, seed_effect=seed_effect), _table(rng, seed_effect=seed_effect)
    found = difference(a, b)
    mean, m_seed, m_sentence, m_rest = _by_hand((a.astype(int) - b.astype(int)).tolist())
    assert found.mean == pytest.approx(mean)
    assert found.by_seed == pytest.approx(max(m_seed, m_rest) / a.size)
    assert found.by_sentence == pytest.approx(max(m_sentence - m_rest, 0) / a.size)


def test_two_way_judges_many_tables_as_it_judges_each():
    rng = np.random.default_rng(4)
    tables = np.stack([_table(rng) for _ in range(6)]).reshape(2, 3, 4, 60)
    together = two_way(tables.astype(int))
    for i, j in np.ndindex(2, 3):
        alone = two_way(tables[i, j].astype(int))
        assert together.p_value()[i, j] == pytest.approx(float(alone.p_value()))
        low, high = alone.interval()
        assert together.interval()[0][i, j] == pytest.approx(float(low))


def test_p_value_and_interval_are_those_of_the_mixture_of_two_t_distributions():
    rng = np.random.default_rng(5)
    found = difference(_table(rng, 3, 200), _table(rng, 3, 200))
    share, t = float(found.seed_share), float(abs(found.mean) / found.variance**0.5)

    def density(x):
        return share * stats.t.pdf(x, 2) + (1 - share) * stats.t.pdf(x, 199)

    inside, _ = integrate.quad(density, -t, t)
    assert float(found.p_value()) == pytest.approx(1 - inside, abs=1e-8)
    low, high = map(float, found.interval())
    assert (low + high) / 2 == pytest.approx(float(found.mean))
    half = (high - low) / 2 / float(found.variance) ** 0.5
    assert integrate.quad(density, -half, half)[0] == pytest.approx(0.95, abs=1e-8)


def test_two_seeds_get_the_widest_interval():
    rng = np.random.default_rng(6)
    found = difference(_table(rng, 2, 200, 0.0), _table(rng, 2, 200, 0.0))
    low, high = map(float, found.interval())
    assert (high - low) / 2 == pytest.approx(stats.t.isf(0.025, 1) * float(found.variance) ** 0.5)


def test_identical_methods_and_hardly_differing_methods_are_never_decided():
    right = np.ones((5, 872), dtype=bool)
    assert difference(right, right).p_value() == 1
    other = right.copy()
    other[:, :9] = False  # the same nine sentences lost with every seed
    assert difference(right, other).p_value() == 1
    other[:, :10] = False
    assert difference(right, other).p_value() < 0.01


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([[0.5, 0.6], [0.02, 0.02]])).tolist() == [[1.0, 1.0], [0.04, 0.04]]


def test_judge_order_needs_a_small_p():
    codes = judge_order(np.array([1.0, -1.0, 1.0]), np.array([0.05, 0.01, 0.051]))
    assert codes.tolist() == [SUPPORTED, CONTRADICTED, UNDECIDED]


@pytest.mark.parametrize(
    "values", [[94.2, 94.4, 94.3], [93.0, 95.0, 94.6, 94.1], [95.1, 95.3, 95.2]]
)
def test_regions_agree_with_scipy(values):
    values, low, high = np.array(values), 94.0, 94.6
    test = stats.ttest_1samp(values, 0)
    interval = test.confidence_interval(0.95)
    assert np.array(t_interval(values)).tolist() == pytest.approx([interval.low, interval.high])
    p = max(
        stats.ttest_1samp(values, low, alternative="greater").pvalue,
        stats.ttest_1samp(values, high, alternative="less").pvalue,
    )
    assert float(equivalence_p(values, low, high)) == pytest.approx(p)
    if p <= 0.05:
        expected = SUPPORTED
    else:
        expected = CONTRADICTED if interval.high < low or interval.low > high else UNDECIDED
    assert int(judge_region(values, low, high)) == expected


def test_a_constant_is_judged_without_division_by_zero():
    assert int(judge_region(np.zeros(3), 6.0, 7.0)) == CONTRADICTED
    assert int(judge_region(np.full(3, 6.5), 6.0, 7.0)) == SUPPORTED
    assert int(judge_region(np.full(3, 6.0), 6.0, 7.0)) == SUPPORTED


def test_planned_seeds_decide_about_as_often_as_promised():
    """Draw the planned number of seeds from the measured variances: about 80 % get decided."""
    rng = np.random.default_rng(8)
    size, by_sentence, by_seed = 0.012, 8e-6, 6e-5  # variance of the mean: by_seed / K
    measured = two_way(rng.normal(size=(3, 50)))
    measured = type(measured)(
        np.asarray(size), np.asarray(by_seed / 3), np.asarray(by_sentence), 3, 872, np.asarray(90)
    )
    more, advice = seeds_for_order(measured)
    assert f"{more} more seed" in advice
    seeds = 3 + more
    effects = rng.normal(0, by_seed**0.5, (4000, seeds))
    means = size + effects.mean(1) + rng.normal(0, by_sentence**0.5, 4000)
    planned = type(measured)(
        means, effects.var(1, ddof=1) / seeds, np.full(4000, by_sentence), seeds, 872,
        np.full(4000, 90),
    )  # fmt: skip
    assert 0.7 < (planned.p_value() <= 0.05).mean() < 0.95


def test_advice_where_seeds_cannot_help():
    rng = np.random.default_rng(9)
    tiny = two_way(rng.normal(0.0001, 1.0, (1, 400)) + rng.normal(0, 0.1, (5, 400)))
    more, advice = seeds_for_order(tiny)
    assert more is None and "sentences are too few" in advice
    assert seeds_for_region(94.6, 0.3, 3, 94.0, 94.6) == (
        None, "More than 50 seeds would be needed to decide it."
    )  # fmt: skip
    more, _ = seeds_for_region(94.3, 0.3, 3, 94.0, 94.6)
    spread = np.random.default_rng(1).normal(94.3, 0.3, (4000, 3 + more))
    assert 0.6 < (judge_region(spread, 94.0, 94.6) == SUPPORTED).mean() < 0.95
