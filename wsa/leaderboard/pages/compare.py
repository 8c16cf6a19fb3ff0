"""A suite's methods, sentence by sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from wsa.leaderboard.agreement import Agreement, Closeness
from wsa.leaderboard.formats import DASH, decimals, memory, parameters, seconds
from wsa.leaderboard.measures import axis, places, score

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView

MOST_COMPARED = 40  # methods in the table of sentences
MOST_LINES = 2000  # sentences
MOST_NUMBERS = 200  # sentences, where labels are numbers and none is simply right


def compare_context(view: SuiteView) -> dict[str, object]:
    """For `compare.html`."""
    context: dict[str, object] = {
        "suite": view, "agreement": None, "closeness": None,
    }  # fmt: skip
    found = view.results.agreement or view.results.closeness
    if found is None or len(found.methods) < 2:
        return context
    found = found.first(MOST_COMPARED)
    if isinstance(found, Agreement):
        return context | _of_classes(view, found)
    return context | _of_numbers(view, found)


def pairs_of(view: SuiteView) -> dict[str, object]:
    """What `pairs.js` carries: any two rows of the leaderboard can be put side by side.

    `rows`: by "method.state" its title, and its numbers as the leaderboard writes them. `pairs`:
    two such keys, their difference, the ends of its interval and the number of seeds.
    """
    metric = view.metric
    rows = {
        f"{entry.name}.{entry.state}": [
            entry.method.title + (f", {entry.state_label}" if entry.state_label else ""),
            f"methods/{quote(entry.name)}.html", entry.mark.variable,
            score(entry.mean, metric) + (f" ± {score(entry.std, metric)}" if entry.std else ""),
            f"{score(entry.low, metric)} to {score(entry.high, metric)}" if entry.low is not None
            else DASH,
            str(entry.n), decimals(entry.effective_rank), parameters(entry.kept),
            seconds(entry.seconds), memory(entry.memory),
        ]
        for entry in view.entries
    }  # fmt: skip
    pairs = [
        [
            f"{pair.method_a}.{pair.state_a}", f"{pair.method_b}.{pair.state_b}",
            _exact(pair.difference),
            pair.interval and [_exact(pair.interval.low), _exact(pair.interval.high)],
            len(pair.seeds),
        ]
        for pair in view.results.comparisons
    ]  # fmt: skip
    return {
        "heads": [axis(metric), "95 % interval", "n (seeds)", "effective rank", "parameters kept",
                  "training time", "peak memory"],
        "unit": metric.difference_unit, "places": places(metric),
        "greater": metric.greater_is_better, "rows": rows, "pairs": pairs,
        "command": f"wsa sentences {view.suite.name} METHOD_A METHOD_B",
    }  # fmt: skip


def _exact(value: float) -> float:
    """With more digits than are shown."""
    return float(f"{value:.8g}")


def _of_classes(view: SuiteView, found: Agreement) -> dict[str, object]:
    import numpy as np

    mostly = found.mostly
    counts = [
        [int((mostly[:, i] & ~mostly[:, j]).sum()) for j in range(len(found.methods))]
        for i in range(len(found.methods))
    ]
    differing = int((found.right < np.array(found.seeds)).any(1).sum())
    return {
        "agreement": found, "counts": counts, "most": MOST_LINES,
        "texts": bool(view.results.sentences), "same": len(found.ids) - differing,
        "differing": differing,
    }  # fmt: skip


def _of_numbers(view: SuiteView, found: Closeness) -> dict[str, object]:
    """Which method's squared error is smaller, and where the methods lie furthest apart."""
    counts = [[int((a < b).sum()) for b in found.errors.T] for a in found.errors.T]
    return {
        "closeness": found, "counts": counts, "most": MOST_NUMBERS,
        "texts": bool(view.results.sentences),
    }  # fmt: skip
