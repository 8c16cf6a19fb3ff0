"""The page on which a reader chooses what is drawn: suites, methods, states and a cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from wsa.leaderboard.formats import decimals, memory, parameters, seconds
from wsa.leaderboard.measures import axis
from wsa.leaderboard.plots.parts.canvas import SHAPES
from wsa.leaderboard.plots.parts.pictures import Mark

if TYPE_CHECKING:
    from wsa.leaderboard.entries import Entry
    from wsa.leaderboard.view import SuiteView


@dataclass(frozen=True)
class Cost:
    """A cost that can be chosen: its name in the address, its title, how its values are written."""

    name: str
    title: str
    written: Callable[[float | None], str]


COSTS = (
    Cost("parameters", "Parameters kept", parameters),
    Cost("rank", "Effective rank", decimals),
    Cost("seconds", "Training time", seconds),
    Cost("memory", "Peak memory", memory),
    Cost("inference", "Inference time, s", decimals),
)


def explore_context(views: Sequence[SuiteView], marks: Mapping[str, Mark]) -> dict[str, object]:
    """For `explore.html`: a row for every row of every leaderboard, and how methods look."""
    measured = [view for view in views if view.entries]
    rows = [(entry, _costs(view, entry)) for view in measured for entry in view.entries]
    names = dict.fromkeys(entry.name for entry, _ in rows)
    return {
        "rows": rows,
        "costs": COSTS,
        "data": {
            "shapes": SHAPES,
            "costs": [(cost.name, cost.title) for cost in COSTS],
            "suites": [
                (view.suite.name, view.suite.title, axis(view.metric))
                for view in measured
            ],
            "methods": [
                (name, marks[name].label, marks[name].variable, marks[name].marker)
                for name in names
            ],
        },
    }  # fmt: skip


def _costs(view: SuiteView, entry: Entry) -> list[float | None]:
    """What the entry costs, in the order of `COSTS`."""
    rank = entry.effective_rank
    if not entry.method.gated and entry.method.rank:
        rank = float(entry.method.rank)
    rounds = view.rounds_of(entry)
    return [entry.kept, rank, entry.seconds, entry.memory, fmean(rounds) if rounds else None]
