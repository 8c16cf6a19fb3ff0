"""One metric of many runs, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from wsa.evidence.measure import Measure, Predictions
from wsa.evidence.statistics import two_way
from wsa.task import METRICS

SEEDS = (1, 2, 3)
A, B = ("a", "unpruned"), ("b", "unpruned")


@pytest.fixture
def numbers() -> Predictions:
    rng = np.random.default_rng(0)
    labels = rng.uniform(0, 5, 300).astype(np.float32)
    hard = rng.normal(size=300)
    by_run = {
        unit: {
            seed: (labels + noise * (hard + rng.normal(size=300))).astype(np.float32)
            for seed in SEEDS
        }
        for unit, noise in ((A, 0.4), (B, 0.8))
    }
    return Predictions(labels, by_run)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("pearson", lambda y, x: stats.pearsonr(y, x).statistic),
        ("spearman", lambda y, x: stats.spearmanr(y, x).statistic),
        ("mean_squared_error", sk.mean_squared_error),
    ],
)
def test_values_are_those_of_the_libraries_as_a_page_shows_them(numbers, name, oracle):
    measure = Measure(METRICS[name], numbers, 0)
    scale = 1 if name == "mean_squared_error" else 100
    expected = [scale * oracle(numbers.labels, numbers.by_run[A][seed]) for seed in SEEDS]
    assert measure.values(A, SEEDS).tolist() == pytest.approx(expected, rel=1e-5)
    other = [scale * oracle(numbers.labels, numbers.by_run[B][seed]) for seed in SEEDS]
    gain = measure.mean_difference(A, B, SEEDS)
    assert gain == pytest.approx(np.mean(expected) - np.mean(other), rel=1e-5)
    assert np.sign(gain) == measure.sign  # a is the better one
    found = measure.difference(A, B, SEEDS)
    assert scale * found.mean == pytest.approx(gain, rel=1e-9)
    assert found.p_value() < 0.05 and found.nonzero_sentences == 300
    low, high = found.interval()
    assert (low > 0) == (high > 0) == (gain > 0)


def test_squared_errors_have_the_analysis_of_variance(numbers):
    errors = {
        unit: (numbers.table(unit, SEEDS).astype(float) - numbers.labels) ** 2 for unit in (A, B)
    }
    expected = two_way(errors[A] - errors[B])
    found = Measure(METRICS["mean_squared_error"], numbers, 0).difference(A, B, SEEDS)
    assert found == pytest.approx(expected) or all(
        getattr(found, part) == pytest.approx(getattr(expected, part), rel=1e-6)
        for part in ("mean", "by_seed", "by_sentence")
    )


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "pearson"])
def test_the_error_due_to_sentences_is_that_of_the_metric(numbers, name):
    if name == "pearson":
        predictions, classes = numbers, 0
        r = stats.pearsonr(numbers.labels, numbers.by_run[B][1]).statistic
        expected = 100 * (1 - r**2) / np.sqrt(300)
    else:
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 3, 300)
        said = np.where(rng.random(300) < 0.8, labels, (labels + 1) % 3)
        predictions, classes = Predictions(labels, {B: {1: said}}), 3
        p = (said == labels).mean()
        expected = 100 * np.sqrt(p * (1 - p) / 300)
    found = Measure(METRICS[name], predictions, classes).sentence_error(B, 1)
    assert found == pytest.approx(expected, rel=0.2)


def test_sentences_that_can_make_a_difference_are_counted():
    labels = np.array([0, 1, 2, 0, 1, 2])
    same = {1: labels.copy(), 2: labels.copy()}
    other = {1: labels.copy(), 2: labels.copy()}
    other[1] = np.array([1, 1, 2, 0, 1, 2])
    # wrong in another way on the last sentence
    same[2], other[2] = np.array([0, 1, 2, 0, 1, 0]), np.array([0, 1, 2, 0, 1, 1])
    predictions = Predictions(labels, {A: same, B: other})
    assert Measure(METRICS["accuracy"], predictions, 3).differing(A, B, (1, 2)) == 1
    assert Measure(METRICS["f1_macro"], predictions, 3).differing(A, B, (1, 2)) == 2
