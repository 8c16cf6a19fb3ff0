"""Is a metric about a number? Recomputed from the files by other means."""

import statistics

import pytest
from scipy import stats
from tests.evidence.conftest import judged_in, right_in
from tests.helpers.results import make_results, make_suite
from wsa.evidence.runs import read_runs


def test_a_value_verdict_by_scipy(claims, made):
    accuracies = []
    for seed in (1, 2, 3):
        right = right_in(made, "wsa", seed, "pruned")
        accuracies.append(100 * sum(right.values()) / len(right))
    judged = judged_in(claims, "wsa-accuracy", "pruned")
    interval = stats.ttest_1samp(accuracies, 0).confidence_interval(0.95)
    assert (judged.interval.low, judged.interval.high) == pytest.approx(tuple(interval))
    assert interval.high < 94.0  # so it is contradicted
    assert judged.measured == (
        f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} % (n = 3)"
    )


def test_seeds_that_agree_to_the_last_sentence_are_no_certainty(layout):
    """The interval has no width; the judgement says what that is worth."""
    claim = {
        "id": "c", "kind": "value", "method": "majority", "expected": 51.0, "margin": 1.0,
        "sentence": "s", "source": "s",
    }  # fmt: skip
    suite = make_suite(claims=[claim])
    make_results(layout, suite, {"majority": 50.0}, sentences=110)
    (judged,) = suite.claims[0].judge(read_runs(suite, layout))
    assert judged.verdict == "supported" and judged.interval.low == judged.interval.high
    assert "no certainty" in judged.notes[0]


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
