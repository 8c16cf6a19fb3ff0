"""The headline metric against the time of training."""

from wsa.leaderboard.formats import seconds
from wsa.leaderboard.plots.parts.costs import against_cost, by_run
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 30


def draw(view: SuiteView) -> list[Picture]:
    return against_cost(
        view, "seconds", "Training time", "Of one run, without loading.",
        by_run(view, lambda run: run.result.cost.train_seconds), "training time of a run", seconds,
    )  # fmt: skip
