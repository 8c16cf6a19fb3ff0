"""The pictures: each file here is one, found by looking.

A file says which `SECTION` its pictures belong to and their `ORDER` in it, and has one or more of

    draw(view) → list[Picture]               on a suite's page
    draw_method(view, method) → …            on a method's page; `ALSO_ON_SUITE = True`: there too
    draw_run(view, run) → …                  beside a run, on its method's page
    draw_across(collection) → …              on the page of several tasks together

An empty list: there is nothing to draw. What pictures share is in `parts`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from wsa.leaderboard.plots.parts.pictures import Mark, Picture

if TYPE_CHECKING:
    from wsa.leaderboard.pages.across import CollectionView
    from wsa.leaderboard.results import RunView
    from wsa.leaderboard.view import SuiteView

# in the order of the pages; any other section comes after these, under its own name
SECTIONS = (
    "scores", "differences", "costs", "curves", "ranks", "gates", "thresholds", "tuning", "errors",
    "across",
)  # fmt: skip


@dataclass
class Section:
    """Pictures that stand together on a page; `section_<name>.html` says what leads up to them."""

    name: str
    pictures: list[Picture] = field(default_factory=list)
    key: Sequence[Mark] = ()

    @property
    def known(self) -> bool:
        return self.name in SECTIONS

    @property
    def anchor(self) -> str:
        return "pictures-" + "".join(c if c.isalnum() else "-" for c in self.name)


@functools.cache
def plots() -> tuple[ModuleType, ...]:
    """The modules here that draw, as their sections and orders have them."""
    names = [
        found.name
        for found in pkgutil.iter_modules(__path__)
        if not found.ispkg and not found.name.startswith("_")
    ]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in sorted(names)]
    place = {name: i for i, name in enumerate(SECTIONS)}
    return tuple(
        sorted(modules, key=lambda m: (place.get(m.SECTION, len(place)), m.SECTION, m.ORDER))
    )


@dataclass
class SuitePictures:
    """The pictures of a suite's page, and of each method's."""

    sections: list[Section]
    of_method: dict[str, list[Section]]


def suite_pictures(view: SuiteView) -> SuitePictures:
    """Each drawn once, though some stand on two pages; none where nothing was measured."""
    if not view.entries:
        return SuitePictures([], {name: [] for name in view.suite.methods})
    own, of_method = [], {name: [] for name in view.suite.methods}
    for plot in plots():
        if draw := getattr(plot, "draw", None):
            own += [(plot, picture) for picture in draw(view)]
        if draw := getattr(plot, "draw_method", None):
            for name in of_method:
                drawn = [(plot, picture) for picture in draw(view, name)]
                of_method[name] += drawn
                if getattr(plot, "ALSO_ON_SUITE", False):
                    own += drawn
    keys = {
        "thresholds": _swept(view),
        "tuning": [view.mark(name) for name in view.results.tunings],
    }
    return SuitePictures(
        _sections(own, keys), {name: _sections(drawn) for name, drawn in of_method.items()}
    )


def run_pictures(view: SuiteView, run: RunView) -> list[Section]:
    """The pictures of a run, on its method's page."""
    return _sections(
        (plot, picture)
        for plot in plots()
        if hasattr(plot, "draw_run")
        for picture in plot.draw_run(view, run)
    )


def across_pictures(collection: CollectionView) -> list[Section]:
    """The pictures of the page of several tasks together."""
    return _sections(
        (plot, picture)
        for plot in plots()
        if hasattr(plot, "draw_across")
        for picture in plot.draw_across(collection)
    )


def _sections(
    drawn: Iterable[tuple[ModuleType, Picture]], keys: dict[str, Sequence[Mark]] | None = None
) -> list[Section]:
    found: dict[str, Section] = {}
    for plot, picture in drawn:
        section = found.setdefault(plot.SECTION, Section(plot.SECTION))
        section.pictures.append(picture)
        section.key = (keys or {}).get(plot.SECTION, ())
    return list(found.values())


def _swept(view: SuiteView) -> list[Mark]:
    """The methods whose thresholds were varied."""
    found = view.results.thresholds
    names = {point.method for point in found.points} if found else set()
    return [view.mark(name) for name in view.suite.methods if name in names]
