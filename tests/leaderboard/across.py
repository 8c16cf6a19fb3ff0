"""Several tasks together, with their page."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.records.across import (
    Across,
    AcrossCell,
    AcrossMethod,
    AcrossOrder,
    AcrossSuite,
    AcrossTask,
)
from wsa.records.evidence import Interval

CELLS = [
    # suite, method, state, seeds, mean, std, rank, within noise of the best
    ("films", "full", "unpruned", 3, 91.25, 0.51, 1.0, True),
    ("films", "wsa", "pruned", 3, 84.5, 1.25, 2.0, False),
    ("similar", "full", "unpruned", 3, 0.7125, 0.011, 2.0, False),
    ("similar", "wsa", "pruned", 1, 0.6504, None, 1.0, True),
]
KEYS = ("suite", "method", "state", "seeds", "mean", "std", "rank", "within_noise")


def record() -> Across:
    """As `wsa across` leaves it: two methods on two tasks, one of them elsewhere."""
    return Across(
        name="together",
        title="Two tasks <b>together</b>",
        suites=(
            AcrossSuite(suite="films", title="Films", metric="accuracy", unit="%", sentences=872),
            AcrossSuite(suite="similar", title="Similarity", metric="mean squared error", unit="",
                   sentences=1500),
        ),
        methods=(
            AcrossMethod(method="full", title="Full fine-tuning", state="unpruned", mean_rank=1.25,
                   rank_interval=Interval(low=1.0, high=1.9), within_noise=1, tasks=2),
            AcrossMethod(method="wsa", title="WSA r=16", state="pruned", mean_rank=1.75,
                   rank_interval=None, within_noise=1, tasks=2),
        ),
        cells=tuple(AcrossCell(**dict(zip(KEYS, cell, strict=True))) for cell in CELLS),
        orders=(
            AcrossOrder(
                id="wsa-beats-full", sentence="WSA is better.", better="wsa", worse="full",
                state="pruned", verdict="undecided", said="One task says so, one does not.",
                tasks=(
                    AcrossTask(suite="films", difference=-6.75,
                               interval=Interval(low=-9, high=-4.5), p=0.0012, p_adjusted=0.0024,
                               verdict="contradicted"),
                    AcrossTask(suite="similar", difference=-0.0621, interval=None, p=None,
                               p_adjusted=None, verdict="undecided"),
                ),
            ),
            AcrossOrder(
                id="wsa-beats-full", sentence="WSA is better.", better="wsa", worse="full",
                state="unpruned", verdict="not measured", said="No task has two seeds of them.",
                tasks=(
                    AcrossTask(suite="films", difference=0.0, interval=None, p=None,
                               p_adjusted=None, verdict="not measured"),
                ),
            ),
        ),
        notes=("Two tasks are few.",),
    )  # fmt: skip


def make(folder: Path) -> Layout:
    """Two suites, the first of them a member of the collection, and the collection's page."""
    layout = Layout(results=folder / "r", resources=folder / "d", site=folder / "s")
    suite = make_suite("films")
    make_results(layout, suite, {"full": 91.0, "wsa": 85.0}, sentences=60)
    aggregate(suite, layout)
    render([suite, make_suite("other")], layout, [record()])
    return layout
