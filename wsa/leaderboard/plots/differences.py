"""Every pair of methods in the states they are quoted for, the majority class left out."""

from wsa.leaderboard.plots.parts.intervals import difference_bar, differences
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.results import Difference
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "scores", 20
MOST = 40  # pairs


def draw(view: SuiteView) -> list[Picture]:
    quoted = {
        (entry.name, entry.state)
        for entry in view.entries
        if entry.headline and entry.method.kind != "majority"
    }
    bars = [
        difference_bar(Difference.of(pair), view.metric, f"{pair.method_a} − {pair.method_b}")
        for pair in view.results.comparisons
        if {(pair.method_a, pair.state_a), (pair.method_b, pair.state_b)} <= quoted
    ]
    return differences("differences", "Differences between methods", bars, view.metric, MOST)
