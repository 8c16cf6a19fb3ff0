"""The headline metric at other thresholds τ."""

from wsa.leaderboard.measures import axis, heading, places, shown
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.plots.parts.sweeps import over_thresholds
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "thresholds", 10


def draw(view: SuiteView) -> list[Picture]:
    metric = view.metric
    return over_thresholds(
        view, f"threshold-{slug(metric.name)}", heading(metric), axis(metric),
        lambda point: shown(point.value, metric), places(metric),
    )  # fmt: skip
