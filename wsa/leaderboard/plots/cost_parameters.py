"""The headline metric against the parameters that a method leaves."""

from wsa.leaderboard.formats import count
from wsa.leaderboard.plots.parts.costs import against_cost, by_run
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 10


def draw(view: SuiteView) -> list[Picture]:
    return against_cost(
        view, "parameters", "Parameters",
        "Those kept beside the pretrained model: all that trained, or what pruning left.",
        by_run(view, lambda run: run.result.parameters.kept), "parameters kept", count,
        "{:,.0f}".format,
    )  # fmt: skip
