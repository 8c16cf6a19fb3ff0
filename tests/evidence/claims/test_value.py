"""Is a metric about a number? Recomputed from the files by other means."""

import statistics

import pytest
from scipy import stats
from tests.evidence.conftest import judged_in, right_in


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
