"""A method, in the state it is quoted for, against every other."""

from wsa.leaderboard.entries import STATES
from wsa.leaderboard.plots.parts.intervals import difference_bar, differences
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "differences", 10
MOST = 20  # others


def draw_method(view: SuiteView, name: str) -> list[Picture]:
    state = next((e.state for e in view.entries if e.name == name and e.headline), None)
    bars = []
    for (other, other_state), difference in view.results.differences.get((name, state), {}).items():
        method = view.suite.methods.get(other)
        if method is not None and method.kind != "majority":
            note = STATES[other_state] if method.gated else ""
            bars.append(difference_bar(difference, f"− {method.title}", note))
    method = view.suite.methods[name]
    own = method.title + (f", {STATES[state]}," if method.gated and state else "")
    side = "Right" if view.metric.greater_is_better else "Left"
    words = f"{side} of zero it is better, on the other side worse."
    title = f"{own} minus the others"
    return differences(f"differences-{slug(name)}", title, words, bars, view.metric, MOST)
