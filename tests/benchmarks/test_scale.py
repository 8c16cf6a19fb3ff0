"""What is promised of many runs, and the arithmetic of more GPUs."""

from __future__ import annotations

import time

import pytest
from benchmarks.scale import Durations, makespan
from tests.helpers.results import make_results, many_methods
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render


def durations(before: float, runs: list[float], after: float) -> Durations:
    return Durations(before, {str(i): seconds for i, seconds in enumerate(runs)}, after, "")


def test_one_gpu_does_everything_in_turn():
    case = durations(5, [10, 20], 7)
    # two suites of 2 methods × 3 seeds
    assert makespan([case, case], methods=2, seeds=3, gpus=1) == 2 * (5 + 3 * 30 + 7)


def test_many_gpus_are_bound_by_the_longest_chain():
    case = durations(5, [10, 20], 7)
    assert makespan([case, case], methods=2, seeds=3, gpus=100) == 5 + 20 + 7


def test_two_gpus_share_the_runs():
    case = durations(0, [10], 0)
    assert makespan([case], methods=1, seeds=4, gpus=2) == 20
    assert makespan([case], methods=1, seeds=5, gpus=2) == 30


@pytest.mark.slow
def test_a_thousand_runs_are_judged_and_shown_in_a_minute(tmp_path):
    """Twice that is allowed: processors differ. Their time counts, not what else they do."""
    layout = Layout(results=tmp_path / "results", site=tmp_path / "site")
    suite, accuracy = many_methods(methods=84, seeds=12)
    make_results(layout, suite, accuracy)
    begin = time.process_time()
    aggregate(suite, layout)
    render([suite], layout)
    assert time.process_time() - begin < 120
    pages = (tmp_path / "site").rglob("methods/*.html")
    shown = sum(path.read_text(encoding="utf-8").count('<div id="seed-') for path in pages)
    assert shown == len(suite.runs()) == 1008
