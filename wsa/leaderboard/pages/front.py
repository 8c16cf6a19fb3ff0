"""The front page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsa.leaderboard.changes import Changed
from wsa.leaderboard.entries import Entry, scale_of
from wsa.leaderboard.headline import headline, leading
from wsa.leaderboard.pages.gaps import gaps_of
from wsa.leaderboard.plots.parts.pictures import Picture

if TYPE_CHECKING:
    from wsa.leaderboard.pages.across import CollectionView
    from wsa.leaderboard.view import SuiteView


def front_context(
    views: Sequence[SuiteView],
    collections: Sequence[CollectionView],
    question: str,
    pictures: Sequence[Picture],
    changed: Sequence[Changed],
) -> dict[str, object]:
    """For `index.html`.

    Args:
        question: that the site asks.
        pictures: of the suite that is shown first, at most one.
        changed: what is not as it was published.
    """
    first = leading(views)
    measured = sorted((view for view in views if view.entries), key=lambda view: view is not first)
    return {
        "headline": headline(views, question),
        "pictures": pictures,
        "boards": [(view, board_of(view)) for view in measured],
        "judged": [view for view in views if view.claims and view.measured],
        "collections": collections,
        "gaps": [gap for view in views for gap in gaps_of(view)],
        "changed": changed,
    }


def board_of(view: SuiteView) -> dict[str, object]:
    """What a leaderboard is made of."""
    return {
        "rows": view.entries,
        "scale": scale_of(view.entries),
        "metric": view.metric,
        "options": _options(view.entries),
        "sentences": view.sentences,
        "split": view.suite.protocol.evaluate_on,
    }


def _options(entries: Sequence[Entry]) -> dict[str, list[tuple[str, str]]]:
    """What a leaderboard can be filtered by."""
    hardware = dict.fromkeys(name for entry in entries for name in entry.hardware)
    return {
        "family": [(family, family) for family in dict.fromkeys(e.family for e in entries)],
        "state": [("headline", "the headline state"), ("other", "the other states")]
        if any(not entry.headline for entry in entries)
        else [],
        "hardware": [(name, name) for name in hardware],
    }
