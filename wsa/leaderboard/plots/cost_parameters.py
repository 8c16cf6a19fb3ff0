"""The headline metric against the parameters that a state needs."""

from wsa.leaderboard.plots.parts.costs import pareto, points_of, trained
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 10


def draw(view: SuiteView) -> list[Picture]:
    return [
        pareto(
            f"{slug(view.metric.name)}-parameters", "Parameters",
            "Those that a state needs beside the pretrained model: all that trained, or those kept "
            "after pruning; logarithmic.",
            points_of(trained(view.entries), "kept"), "parameters", view.metric, log=True,
        )
    ]  # fmt: skip
