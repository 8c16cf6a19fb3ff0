"""The headline metric against the time of training."""

from wsa.leaderboard.plots.parts.costs import pareto, points_of, trained
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 20


def draw(view: SuiteView) -> list[Picture]:
    quoted = [entry for entry in trained(view.entries) if entry.headline]
    return [
        pareto(
            f"{slug(view.metric.name)}-seconds", "Training time",
            "Of one run, without loading.",
            points_of(quoted, "seconds"), "seconds", view.metric,
        )
    ]  # fmt: skip
