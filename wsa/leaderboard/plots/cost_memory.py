"""The headline metric against the memory that training takes."""

from wsa.leaderboard.formats import memory
from wsa.leaderboard.plots.parts.costs import against_cost, by_run
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 40


def draw(view: SuiteView) -> list[Picture]:
    return against_cost(
        view, "memory", "Peak memory", "Of one run while it trains.",
        by_run(view, lambda run: run.result.cost.peak_memory_bytes), "peak memory of a run", memory,
    )  # fmt: skip
