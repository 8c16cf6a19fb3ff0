"""The effective rank at other thresholds τ."""

from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.plots.parts.sweeps import over_thresholds
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "thresholds", 20


def draw(view: SuiteView) -> list[Picture]:
    return over_thresholds(
        view, "threshold-rank", "Effective rank", "effective rank, mean",
        lambda point: point.effective_rank,
    )  # fmt: skip
