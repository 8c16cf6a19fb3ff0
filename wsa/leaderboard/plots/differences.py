"""Every pair of methods in the states they are quoted for, the majority class left out."""

from wsa.leaderboard.entries import Entry
from wsa.leaderboard.plots.parts.intervals import difference_bar, differences
from wsa.leaderboard.plots.parts.pictures import Picture
from wsa.leaderboard.results import Difference
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "scores", 20
MOST = 20  # pairs


def draw(view: SuiteView) -> list[Picture]:
    quoted = {
        (entry.name, entry.state): entry
        for entry in view.entries
        if entry.headline and entry.method.kind != "majority"
    }
    bars = []
    for pair in view.results.comparisons:
        a = quoted.get((pair.method_a, pair.state_a))
        b = quoted.get((pair.method_b, pair.state_b))
        if a is None or b is None:
            continue
        # where less of the metric is better, the better one is subtracted: no bar points left
        turned = pair.difference < 0
        over, under = (b, a) if turned else (a, b)
        bars.append(difference_bar(Difference.of(pair, turned), f"{_name(over)} − {_name(under)}"))
    first = "better" if view.metric.greater_is_better else "worse"
    words = f"Every pair of methods, the {first} one first, each in its headline state."
    return differences("differences", "Differences between methods", words, bars, view.metric, MOST)


def _name(entry: Entry) -> str:
    return entry.method.title + (f", {entry.state_label}" if entry.state_label else "")
