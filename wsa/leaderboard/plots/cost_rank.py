"""The headline metric against the effective rank, of the methods that have one."""

from wsa.leaderboard.formats import decimals
from wsa.leaderboard.plots.parts.costs import Point, against_cost, by_run, headline
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.results import RunView
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "costs", 20


def draw(view: SuiteView) -> list[Picture]:
    kept = by_run(view, _kept)
    fixed = [
        Point(entry, float(entry.method.rank))
        for entry in headline(view)
        if not entry.method.gated and entry.method.rank
    ]
    return against_cost(
        view, "rank", "Effective rank",
        "Directions kept in an adapted weight, the mean over weights; of a method that prunes "
        "nothing, the rank it was given. A method that kept none is not drawn.",
        [*kept, *fixed], "effective rank", lambda value: decimals(value, 1),
    )  # fmt: skip


def _kept(run: RunView) -> float | None:
    return run.result.rank.effective_mean if run.result.rank else None
