"""A suite's methods, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from wsa.leaderboard.agreement import Agreement, Closeness
from wsa.leaderboard.formats import DASH, count, decimals, memory, seconds
from wsa.leaderboard.measures import axis, places, score

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView

MOST_COMPARED = 40  # methods in the table of sentences
MOST_LINES = 2000  # sentences
MOST_NUMBERS = 200  # sentences, where labels are numbers and none is simply right


@dataclass(frozen=True)
class SentenceLine:
    """A row of the comparison: by method, how many seeds are right."""

    sentence: str
    label: str
    cells: Sequence[tuple[int, bool]]


@dataclass(frozen=True)
class NumberLine:
    """A row of the comparison of numbers: by method, what is said, and whether it is nearest."""

    sentence: str
    label: float
    cells: Sequence[tuple[float, bool]]


def compare_context(view: SuiteView) -> dict[str, object]:
    """For `compare.html`."""
    context: dict[str, object] = {
        "suite": view, "agreement": None, "closeness": None, "pairs": pairs_of(view),
    }  # fmt: skip
    found = view.results.agreement or view.results.closeness
    if found is None or len(found.methods) < 2:
        return context
    found = found.first(MOST_COMPARED)
    if isinstance(found, Agreement):
        return context | _of_classes(view, found)
    return context | _of_numbers(view, found)


def pairs_of(view: SuiteView) -> dict[str, object]:
    """What a script needs to put any two rows of the leaderboard side by side.

    `rows`: by "method.state" its title, and its numbers as the leaderboard writes them. `pairs`:
    two such keys, their difference, the ends of its interval and p.
    """
    metric = view.metric
    rows = {
        f"{entry.name}.{entry.state}": [
            entry.method.title + (f", {entry.state_label}" if entry.state_label else ""),
            f"methods/{quote(entry.name)}.html", entry.mark.variable,
            score(entry.mean, metric) + (f" ± {score(entry.std, metric)}" if entry.std else ""),
            f"{score(entry.low, metric)} to {score(entry.high, metric)}" if entry.low is not None
            else DASH,
            str(entry.n), decimals(entry.effective_rank, 1), count(entry.kept),
            seconds(entry.seconds), memory(entry.memory),
        ]
        for entry in view.entries
    }  # fmt: skip
    pairs = [
        [
            f"{pair.method_a}.{pair.state_a}", f"{pair.method_b}.{pair.state_b}",
            pair.difference, pair.interval and [pair.interval.low, pair.interval.high], pair.p,
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


def _of_classes(view: SuiteView, found: Agreement) -> dict[str, object]:
    import numpy as np

    full = np.array(found.seeds)
    mostly = found.mostly
    counts = [
        [int((mostly[:, i] & ~mostly[:, j]).sum()) for j in range(len(full))]
        for i in range(len(full))
    ]
    share = (found.right / full).mean(1)
    differing = [i for i in np.argsort(share, kind="stable") if (found.right[i] < full).any()]
    # of too many, those that some methods mostly get right and others wrong
    told_apart = (mostly.any(1) & ~mostly.all(1))[differing]
    kept = sorted(np.argsort(~told_apart, kind="stable")[:MOST_LINES])
    texts = view.results.sentences
    lines = [
        SentenceLine(
            texts.get(found.ids[i], found.ids[i]),
            view.suite.data.labels[found.labels[i]],
            [(int(k), bool(good)) for k, good in zip(found.right[i], mostly[i], strict=True)],
        )
        for i in (differing[place] for place in kept)
    ]
    return {
        "agreement": found, "counts": counts, "lines": lines, "texts": bool(texts),
        "same": len(found.ids) - len(differing), "differing": len(differing),
    }  # fmt: skip


def _of_numbers(view: SuiteView, found: Closeness) -> dict[str, object]:
    """Which method's squared error is smaller, and where the methods lie furthest apart."""
    import numpy as np

    errors = found.errors
    counts = [[int((a < b).sum()) for b in errors.T] for a in errors.T]
    apart = np.argsort(-np.ptp(found.said, axis=1), kind="stable")[:MOST_NUMBERS]
    texts = view.results.sentences
    lines = [
        NumberLine(
            texts.get(found.ids[i], found.ids[i]),
            float(found.labels[i]),
            [
                (float(said), bool(error == errors[i].min()))
                for said, error in zip(found.said[i], errors[i], strict=True)
            ],
        )
        for i in apart
    ]
    return {"closeness": found, "counts": counts, "lines": lines, "texts": bool(texts)}
