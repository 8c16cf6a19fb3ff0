"""Is a metric about a number? Recomputed from the files by other means."""

import statistics

import numpy as np
import pytest
from scipy import optimize, stats
from tests.evidence.conftest import judged_in, right_in
from tests.helpers.results import make_results, make_suite
from wsa.evidence.comparisons import estimate
from wsa.evidence.runs import read_runs


def test_a_value_verdict_by_hand(claims, made):
    """The seeds' accuracies may lie closer than answers by chance do; of what chance in answers
    adds a third counts as known by three numbers only, and a first look has two fifths of
    the level.
    """
    runs = [right_in(made, "wsa", seed, "pruned") for seed in (1, 2, 3)]
    accuracies = [100 * sum(right.values()) / len(right) for right in runs]
    table = np.array([[right[key] for key in sorted(right)] for right in runs])
    expected = table.mean(0) + table.mean(1, keepdims=True) - table.mean()
    rest = ((table - expected) ** 2).sum() / (2 * (table.shape[1] - 1))
    variance = max(statistics.variance(accuracies), 100**2 * rest / table.shape[1])
    judged = judged_in(claims, "wsa-accuracy", "pruned")
    unsure = 1 - 2 / 3 * (100**2 * rest / table.shape[1]) / variance

    def beyond(t):
        known = stats.t.sf(t, table.shape[1] - 1)
        return 2.5 * unsure * stats.t.sf(t, 2) + 1.2 * (1 - unsure) * known - 0.025

    half = optimize.brentq(beyond, 0, 99) * (variance / 3) ** 0.5
    mean = statistics.mean(accuracies)
    assert (judged.interval.low, judged.interval.high) == pytest.approx((mean - half, mean + half))
    assert mean + half < 94.0  # so it is contradicted
    assert judged.measured == (
        f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} % (n = 3)"
    )


@pytest.mark.parametrize("expected", [50.0, 94.0])
def test_seeds_that_agree_to_the_last_sentence_are_no_certainty(layout, expected):
    """Neither that the claim is right nor that it is wrong."""
    claim = {
        "id": "c", "kind": "value", "method": "majority", "expected": expected, "margin": 5.0,
        "sentence": "s", "source": "s",
    }  # fmt: skip
    suite = make_suite(claims=[claim])
    make_results(layout, suite, {"majority": 50.0}, sentences=110)
    (judged,) = suite.claims[0].judge(read_runs(suite, layout))
    assert judged.verdict == "undecided" and judged.p == 1
    assert judged.interval.low < judged.estimate < judged.interval.high
    assert "all 3 seeds give the very same answers" in judged.sentence and judged.advice


def test_an_interval_ends_where_the_metric_does(layout):
    claim = {
        "id": "c", "kind": "value", "method": "lora", "expected": 99.9, "margin": 0.1,
        "sentence": "s", "source": "s",
    }  # fmt: skip
    suite = make_suite(claims=[claim])
    make_results(layout, suite, {"lora": 99.0}, sentences=50)
    runs = read_runs(suite, layout)
    (judged,) = suite.claims[0].judge(runs)
    found = estimate(runs, ("lora", "unpruned"))
    for interval in (judged.interval, found.interval, found.interval_seeds):
        assert 0 <= interval.low < interval.high <= 100
        # of 150 answers one at least may have been another
        assert interval.high - interval.low > 100 / 150


def test_a_value_of_another_metric_is_judged_as_it_is_shown(layout):
    claim = {
        "id": "c", "kind": "value", "method": "lora", "expected": 0.05, "margin": 0.05,
        "sentence": "s", "source": "s",
    }  # fmt: skip
    suite = make_suite(claims=[claim], data={"labels": "number", "metrics": ["mean_squared_error"]})
    make_results(layout, suite, {"lora": 90.0}, sentences=200)
    (judged,) = suite.claims[0].judge(read_runs(suite, layout))
    assert judged.verdict == "supported" and judged.unit == "" and judged.p < 0.05
    assert judged.claimed == "0.05 ± 0.05"
    assert judged.sentence.startswith("The mean squared error of LoRA r=8 is 0.0")
