import itertools

import numpy as np
import pytest
from scipy import integrate, stats
from wsa.evidence.planning import seeds_for_order, seeds_for_region
from wsa.evidence.statistics import (
    CONTRADICTED,
    LOOKS,
    SUPPORTED,
    UNDECIDED,
    TwoWay,
    difference,
    holm,
    judge_order,
    judge_region,
    one_way,
    proportion_interval,
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


@pytest.mark.parametrize(
    ("seeds", "once", "again"), [(3, 1.5, 2.5), (4, 1.45, 3.75), (10, 1.25, 8), (30, 1.2, 12)]
)
def test_p_value_and_interval_are_those_of_the_mixture_of_two_t_distributions(seeds, once, again):
    rng = np.random.default_rng(5)
    a, b = _table(rng, seeds, 200), _table(rng, seeds, 200)
    _, m_seed, m_sentence, m_rest = _by_hand((a.astype(int) - b.astype(int)).tolist())
    cells = seeds * 200
    of_seeds, of_sentences = max(m_seed, m_rest) / cells, max(m_sentence - m_rest, 0) / cells
    total = of_seeds + of_sentences
    unsure = (of_seeds - 2 / 3 * m_rest / cells) / total
    spread = difference(a, b)
    t = abs(float(spread.mean)) / total**0.5
    for found, of_seed, of_sentence in ((spread, again, 1.2), (spread.once(), once, 1)):

        def tail(t, of_seed=of_seed, of_sentence=of_sentence):
            """Beyond t on both sides."""
            beyond = [integrate.quad(stats.t.pdf, t, np.inf, (df,))[0] for df in (seeds - 1, 199)]
            return 2 * (of_seed * unsure * beyond[0] + of_sentence * (1 - unsure) * beyond[1])

        assert float(found.p_value()) == pytest.approx(min(tail(t), 1), abs=1e-8)
        low, high = map(float, found.interval())
        assert (low + high) / 2 == pytest.approx(float(found.mean))
        assert tail((high - low) / 2 / total**0.5) == pytest.approx(0.05, abs=1e-8)


@pytest.mark.parametrize("rest", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("seed_effect", [0.0, 3.0, 11.0])
def test_it_holds_in_a_normal_world_whatever_its_variances(rest, seed_effect):
    """Of three seeds' variance, `rest` is within a seed and the other the sentences'; the seeds add
    so many times the rest. Looked at once with three seeds, or at every look.
    """
    rng = np.random.default_rng(6)
    worlds = 8000
    seeds = rng.normal(0, np.sqrt(3 * rest * (1 + seed_effect)), (worlds, 20))
    sentences = rng.normal(0, np.sqrt(1 - rest), worlds)
    looks = []
    for count in LOOKS:
        within = np.full(worlds, 3 * rest / count)  # known, as by very many cells
        looks.append(
            TwoWay(
                mean=seeds[:, :count].mean(1) + sentences,
                by_seed=np.maximum(seeds[:, :count].var(1, ddof=1) / count, within), rest=within,
                by_sentence=np.full(worlds, 1 - rest), seeds=count, sentences=10**6,
                nonzero_sentences=np.full(worlds, 100), tied=np.zeros(worlds, bool),
            )
        )  # fmt: skip
    error = 3 * np.sqrt(0.05 * 0.95 / worlds)
    assert (looks[0].once().p_value() <= 0.05).mean() < 0.05 + error
    assert np.any([look.p_value() <= 0.05 for look in looks], axis=0).mean() < 0.05 + error


def test_looking_again_costs_no_more_than_the_level():
    """Seeds alone, the worst that there is to look at; Student's t by itself would be wrong."""
    rng = np.random.default_rng(13)
    values = rng.normal(size=(6000, 20))
    looks = [one_way(values[:, :seeds]) for seeds in LOOKS]
    # the true mean is 0: on the border of what is claimed, and in the middle of it
    codes = [
        [judge_region(look, low, high) for look in looks] for low, high in ((0, 9), (-0.01, 0.01))
    ]
    supported = (np.array(codes[0]) == SUPPORTED).any(0).mean()
    contradicted = (np.array(codes[1]) == CONTRADICTED).any(0).mean()
    once = np.array([np.abs(look.mean) > look.variance**0.5 * stats.t.isf(0.025, look.seeds - 1)
                     for look in looks]).any(0).mean()  # fmt: skip
    assert 0.02 < supported < 0.05 and 0.02 < contradicted < 0.05 < 0.1 < once


def test_two_seeds_get_the_widest_interval_and_decide_nothing():
    rng = np.random.default_rng(6)
    found = difference(_table(rng, 2, 200, 0.0), _table(rng, 2, 200, 0.0))
    low, high = map(float, found.interval())
    assert (high - low) / 2 == pytest.approx(stats.t.isf(0.025, 1) * float(found.variance) ** 0.5)
    values = np.array([50.0, 50.1])
    assert int(judge_region(one_way(values), 93.0, 94.0)) == UNDECIDED
    assert int(judge_region(one_way(values), 0.0, 94.0)) == UNDECIDED
    apart = difference(np.ones((2, 200), bool), _table(rng, 2, 200) & False)
    assert apart.mean == 1 and apart.p_value() == 1


def test_identical_methods_and_hardly_differing_methods_are_never_decided():
    right = np.ones((5, 872), dtype=bool)
    assert difference(right, right).p_value() == 1
    other = right.copy()
    other[:, :9] = False  # the same nine sentences lost with every seed
    other[0, 0] = True  # but one, with one of them
    assert difference(right, other).p_value() == 1
    other[:, :10] = False
    other[0, 0] = True
    assert difference(right, other).p_value() < 0.01


def test_seeds_that_are_tied_decide_nothing():
    """However far away; whereas seeds tie in their mean only by chance."""
    right = np.ones((5, 872), dtype=bool)
    other = right.copy()
    other[:, :100] = False  # the same hundred sentences lost with every seed
    found = difference(right, other)
    assert found.tied and found.p_value() == 1 and found.equivalence_p(0.5) == (1, 1)
    own = two_way(other.astype(int)).on_these_sentences()
    assert int(judge_region(own, 0.1, 0.2)) == UNDECIDED
    for seed in range(5):
        other[seed, 100 + seed] = False  # each another one more: 771 right in every run
    own = two_way(other.astype(int)).on_these_sentences()
    assert not own.tied and int(judge_region(own, 0.1, 0.2)) == CONTRADICTED
    # the five that differ vary as 5 × 0.2 × 0.8 sentences do, in one seed of five
    assert own.by_seed == pytest.approx(5 * 0.2 * 0.8 / 872**2 / 4, rel=2e-3)


def test_a_mean_of_whole_numbers_is_not_known_beyond_its_grid():
    """An interval is no narrower than one answer of all K N makes it; nor one of other steps."""
    right = np.ones((4, 50), dtype=int)
    found = two_way(right)
    assert found.variance == pytest.approx(1 / 200**2)
    assert two_way(right.astype(float)).variance == 0
    ranks = one_way(np.full(3, 6.5), step=1 / 24).once()
    low, high = map(float, ranks.interval())
    assert (high - low) / 2 == pytest.approx(stats.t.isf(0.025, 2) / 72)
    far = one_way(np.array([6.0, 6.5, 7.0]), step=1 / 24)
    assert far.by_seed == pytest.approx(np.var([6.0, 6.5, 7.0], ddof=1) / 3)


@pytest.mark.parametrize(("right", "seeds"), [(50, 2), (50, 5), (0, 3)])
def test_all_right_or_all_wrong_is_known_as_well_as_the_sentences_allow(right, seeds):
    """Clopper and Pearson, as scipy has them: the seeds add nothing."""
    values = np.zeros((seeds, 50), int)
    values[:, :right] = 1
    expected = stats.binomtest(right, 50).proportion_ci(method="exact")
    found = proportion_interval(two_way(values))
    assert np.array(found).tolist() == pytest.approx([expected.low, expected.high])


def test_a_proportion_s_interval_is_that_of_as_many_answers_as_are_as_uncertain():
    rng = np.random.default_rng(12)
    for seeds, accuracy in ((3, 0.98), (5, 0.6), (2, 0.9)):
        values = ((rng.random(200) < accuracy) ^ (rng.random((seeds, 200)) < 0.02)).astype(int)
        spread = two_way(values)
        p, (low, high) = float(spread.mean), map(float, spread.interval())
        answers = min(p * (1 - p) * (2 * stats.norm.isf(0.025) / (high - low)) ** 2, 200)
        found = np.array(proportion_interval(spread))
        # by the F distribution, as the method is usually written
        x, n = answers * p, answers
        f_low = stats.f.ppf(0.025, 2 * x, 2 * (n - x + 1))
        f_high = stats.f.ppf(0.975, 2 * (x + 1), 2 * (n - x))
        expected = [
            x * f_low / (n - x + 1 + x * f_low), (x + 1) * f_high / (n - x + (x + 1) * f_high)
        ]  # fmt: skip
        assert found.tolist() == pytest.approx(expected)
        assert 0 < found[0] < p < found[1] < 1


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
    """Looked at once; each look at more seeds has its share of the level."""
    test = stats.ttest_1samp(values, 0)
    interval = test.confidence_interval(0.95)
    assert np.array(t_interval(values)).tolist() == pytest.approx([interval.low, interval.high])
    p = max(
        stats.ttest_1samp(values, low, alternative="greater").pvalue,
        stats.ttest_1samp(values, high, alternative="less").pvalue,
    )
    once = one_way(values).once()
    assert float(once.region_p(low, high)[0]) == pytest.approx(p)
    price = 2.5 if len(values) == 3 else 3.75
    assert float(one_way(values).region_p(low, high)[0]) == pytest.approx(min(price * p, 1))
    if p <= 0.05:
        expected = SUPPORTED
    else:
        expected = CONTRADICTED if interval.high < low or interval.low > high else UNDECIDED
    assert int(judge_region(once, low, high)) == expected


def test_a_constant_is_judged_without_division_by_zero():
    """A count that is fixed has no chance, and no step."""
    assert int(judge_region(one_way(np.zeros(3)), 6.0, 7.0)) == CONTRADICTED
    assert int(judge_region(one_way(np.full(3, 6.5)), 6.0, 7.0)) == SUPPORTED
    assert int(judge_region(one_way(np.full(3, 6.0)), 6.0, 7.0)) == SUPPORTED
    assert int(judge_region(one_way(np.full(3, 6.01), step=0.1), 6.0, 7.0)) == UNDECIDED


def _measured(mean, by_seed, by_sentence, seeds) -> TwoWay:
    """A difference on 872 sentences, of which 90 differ."""
    return TwoWay(
        mean=mean, by_seed=by_seed, rest=np.zeros(mean.shape), by_sentence=by_sentence,
        seeds=seeds, sentences=872, nonzero_sentences=np.full(mean.shape, 90),
        tied=np.zeros(mean.shape, bool),
    )  # fmt: skip


def test_planned_seeds_decide_as_often_as_promised():
    """Draw the planned number of seeds from the measured variances: 80 % and more get decided, and
    at the look before it fewer.
    """
    rng = np.random.default_rng(8)
    size, by_sentence, by_seed = 0.012, 8e-6, 6e-5  # variance of the mean: by_seed / K
    measured = _measured(np.asarray(size), np.asarray(by_seed / 3), np.asarray(by_sentence), 3)
    more, advice = seeds_for_order(measured)
    assert f"{more} more seeds, {3 + more} in all" in advice and 3 + more in LOOKS
    decided = {}
    for seeds in LOOKS[LOOKS.index(3 + more) - 1 :]:
        effects = rng.normal(0, by_seed**0.5, (4000, seeds))
        means = size + effects.mean(1) + rng.normal(0, by_sentence**0.5, 4000)
        seen = _measured(means, effects.var(1, ddof=1) / seeds, np.full(4000, by_sentence), seeds)
        decided[seeds] = (seen.p_value() <= 0.05).mean()
    shares = list(decided.values())
    assert shares[0] < 0.8 and shares[1] > 0.75 and shares == sorted(shares)


def test_advice_where_seeds_cannot_help():
    rng = np.random.default_rng(9)
    tiny = two_way(rng.normal(0.0001, 1.0, (1, 400)) + rng.normal(0, 0.1, (5, 400)))
    more, advice = seeds_for_order(tiny)
    assert more is None and "sentences are too few" in advice
    border = one_way(94.6 + 0.3 * np.array([-1.0, 0.0, 1.0]))
    assert seeds_for_region(border, 94.0, 94.6) == (
        None, "More than 20 seeds would be needed to decide it."
    )  # fmt: skip
    more, _ = seeds_for_region(one_way(94.3 + 0.3 * np.array([-1.0, 0.0, 1.0])), 94.0, 94.6)
    spread = one_way(np.random.default_rng(1).normal(94.3, 0.3, (4000, 3 + more)))
    assert (judge_region(spread, 94.0, 94.6) == SUPPORTED).mean() > 0.75
