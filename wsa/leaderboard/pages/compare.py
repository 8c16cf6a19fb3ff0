"""A suite's methods, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.leaderboard.agreement import Agreement, Closeness

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
    right: str
    wrong: str
    cells: Sequence[tuple[int, bool]]


@dataclass(frozen=True)
class NumberLine:
    """A row of the comparison of numbers: by method, what is said, and whether it is nearest."""

    sentence: str
    label: float
    cells: Sequence[tuple[float, bool]]


def compare_context(view: SuiteView) -> dict[str, object]:
    """For `compare.html`."""
    context: dict[str, object] = {"suite": view, "agreement": None, "closeness": None}
    found = view.results.agreement or view.results.closeness
    if found is None or len(found.methods) < 2:
        return context
    found = found.first(MOST_COMPARED)
    if isinstance(found, Agreement):
        return context | _of_classes(view, found)
    return context | _of_numbers(view, found)


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
            "\n".join(n for n, good in zip(found.methods, mostly[i], strict=True) if good),
            "\n".join(n for n, good in zip(found.methods, mostly[i], strict=True) if not good),
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
