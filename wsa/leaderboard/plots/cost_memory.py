"""The headline metric against the memory that training takes."""

from wsa.leaderboard.plots.parts.costs import pareto, points_of, trained
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 30


def draw(view: SuiteView) -> list[Picture]:
    quoted = [entry for entry in trained(view.entries) if entry.headline]
    return [
        pareto(
            f"{slug(view.metric.name)}-memory", "Peak memory",
            "Of one run while it trains.",
            points_of(quoted, "memory", unit=1e9), "GB", view.metric,
        )
    ]  # fmt: skip
