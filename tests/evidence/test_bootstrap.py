import numpy as np
import pytest
from wsa.evidence import bootstrap
from wsa.evidence.measure import Measure, Predictions
from wsa.evidence.statistics import two_way
from wsa.task import METRICS, Metric

SEEDS = (0, 1, 2, 3)


def _predictions(rng, n=400):
    """Two methods of four seeds that differ, on labels of two classes."""
    labels = (rng.random(n) < 0.4).astype(np.int8)
    hard = rng.normal(size=n)
    by_run = {}
    for method, skill in (("a", 1.2), ("b", 0.9)):
        taste = rng.normal(size=n)
        own = {}
        for seed in SEEDS:
            right = skill + hard + 0.5 * taste + 0.5 * rng.normal(size=n) + 0.2 * rng.normal() > 0
            own[seed] = np.where(right, labels, 1 - labels).astype(np.int8)
        by_run[method, "unpruned"] = own
    return Predictions(labels, by_run)


A, B = ("a", "unpruned"), ("b", "unpruned")


def test_blocks_change_no_draw():
    whole = np.concatenate(list(bootstrap.sentence_weights(37, 50)))
    parts = list(bootstrap.sentence_weights(37, 50, cells=37 * 7))
    assert len(parts) == 8 and all(len(part) <= 7 for part in parts)
    assert np.array_equal(np.concatenate(parts), whole)
    assert (whole.sum(1) == 37).all()
    (one,) = bootstrap.sentence_weights(37, 1, cells=5)  # one draw at least
    assert np.array_equal(one, whole[:1])


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_of_a_mean_is_the_analysis_of_variance(seed):
    """Nearly: but for the chance of 10,000 draws."""
    predictions = _predictions(np.random.default_rng(seed))
    right = {u: predictions.table(u, SEEDS) == predictions.labels for u in (A, B)}
    expected = two_way(right[A].astype(int) - right[B].astype(int))
    accuracy = METRICS["accuracy"]
    resampled = Metric("x", "x", "classes", accuracy.value, resampled=accuracy.resampled)
    found = Measure(resampled, predictions, 2).difference(A, B, SEEDS)
    assert found.mean == pytest.approx(expected.mean)
    assert found.by_seed == pytest.approx(expected.by_seed, rel=0.05)
    assert found.by_sentence == pytest.approx(expected.by_sentence, rel=0.1)
    assert found.rest == pytest.approx(expected.rest, rel=0.05)
    assert found.p_value() == pytest.approx(expected.p_value(), rel=0.1, abs=2e-3)
    assert found.nonzero_sentences == expected.nonzero_sentences
    for own, other in zip(found.interval(), expected.interval(), strict=True):
        assert own == pytest.approx(other, abs=0.003)


def test_variances_of_draws_by_hand():
    """Two seeds, four draws, three sentences."""
    values = np.array([0.5, 0.7])
    draws = np.array([[0.4, 0.6, 0.5, 0.5], [0.8, 0.6, 0.9, 0.5]])
    # means over seeds 0.6 0.6 0.7 0.5: variance 0.005; of each seed 0.005 and 0.025
    together, apart = 0.005 * 1.5, 0.015 * 1.5
    found = bootstrap.two_way_of_draws(values, draws, 3, np.asarray(3))
    rest = (apart - together) / 1
    assert found.mean == pytest.approx(0.6)
    assert found.by_seed == pytest.approx(max(0.02 / 2, rest))
    assert found.rest == pytest.approx(rest)
    assert found.by_sentence == pytest.approx(max(together - rest, 0))
    assert (found.seeds, found.sentences) == (2, 3)
    # where seeds do not differ but by sentences, all is the sentences'
    alike = bootstrap.two_way_of_draws(np.full(2, 0.5), draws[[0, 0]], 3, np.asarray(3))
    assert alike.by_seed == 0 and alike.by_sentence == pytest.approx(0.005 * 1.5)


def test_the_interval_of_f1_is_that_of_a_bootstrap_written_as_loops():
    """With one seed's chance left out: the sentences' variance alone."""
    from sklearn.metrics import f1_score

    def f1(labels, predicted):  # as it is defined: a draw by sklearn takes a hundred times as long
        return 2 * (labels * predicted).sum() / (labels.sum() + predicted.sum())

    predictions = _predictions(np.random.default_rng(9), n=150)
    measure = Measure(METRICS["f1"], predictions, 2)
    found = measure.difference(A, B, SEEDS)
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(400):
        rows = rng.integers(0, 150, 150)
        draws.append(
            np.mean(
                [
                    f1(predictions.labels[rows], predictions.by_run[A][k][rows])
                    - f1(predictions.labels[rows], predictions.by_run[B][k][rows])
                    for k in SEEDS
                ]
            )
        )
    own = [
        f1_score(predictions.labels, predictions.by_run[A][k])
        - f1_score(predictions.labels, predictions.by_run[B][k])
        for k in SEEDS
    ]
    assert found.mean == pytest.approx(np.mean(own))
    # V = the sentences' part and the rest's share, which is the seeds' part if that is no larger
    together = measure.draws(A, SEEDS) - measure.draws(B, SEEDS)
    assert together.mean(0).std() == pytest.approx(np.std(draws), rel=0.12)
    assert found.by_seed >= np.var(own, ddof=1) / 4 - 1e-15


def test_a_metric_that_brings_no_resampling_is_taken_sentence_by_sentence():
    f1 = METRICS["f1"]
    predictions = _predictions(np.random.default_rng(2), n=40)
    table = predictions.table(A, SEEDS)
    slow = Metric("slow", "slow", "two classes", f1.value)
    found = bootstrap.resample(slow, predictions.labels, table, 2, resamples=6)
    fast = bootstrap.resample(f1, predictions.labels, table, 2, resamples=6, cells=90)
    np.testing.assert_allclose(found, fast, atol=1e-12)


def test_less_is_better_turns_the_winner_and_nothing_else():
    draws = np.random.default_rng(0).normal(0.5, 1, (3, 200))
    more, wins = bootstrap.over_seeds(draws)
    less, losses = bootstrap.over_seeds(draws, greater_is_better=False)
    assert np.array_equal(more, less)
    np.testing.assert_allclose(wins + losses, 1)
