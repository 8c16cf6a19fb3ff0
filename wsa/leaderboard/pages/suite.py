"""A suite's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsa.leaderboard.pages.front import board_of
from wsa.leaderboard.pages.gaps import gaps_of
from wsa.leaderboard.pages.tuning import tuned_rows
from wsa.leaderboard.plots import SuitePictures
from wsa.task import METRICS

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView


def suite_context(view: SuiteView, pictures: SuitePictures) -> dict[str, object]:
    """For `suite.html`, the downloads left out."""
    runs = view.results.runs
    return {
        "suite": view,
        "rows": view.entries,
        "board": board_of(view),
        "further": [(METRICS[metric], split, (metric, split)) for metric, split in view.further],
        "sections": pictures.sections,
        "tuned": tuned_rows(view),
        "runs": view.results.all_runs,
        "run_methods": [
            (name, view.suite.methods[name].title) for name, those in runs.items() if those
        ],
        "gaps": gaps_of(view),
        "provenance": view.provenance,
    }
