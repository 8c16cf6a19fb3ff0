"""The front page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsa.leaderboard.entries import Entry, scale_of
from wsa.leaderboard.pages.gaps import gaps_of

if TYPE_CHECKING:
    from wsa.leaderboard.pages.across import CollectionView
    from wsa.leaderboard.view import SuiteView


def front_context(
    views: Sequence[SuiteView], collections: Sequence[CollectionView]
) -> dict[str, object]:
    """For `index.html`."""
    rows = [entry for view in views for entry in view.entries]
    return {
        "suites": views,
        "collections": collections,
        "rows": rows,
        "scales": {view.suite.name: scale_of(view.entries) for view in views if view.entries},
        "answer": answer(views),
        "options": options_of(rows),
        "gaps": [gap for view in views for gap in gaps_of(view)],
    }


def options_of(entries: Sequence[Entry]) -> dict[str, list[tuple[str, str]]]:
    """What the leaderboard can be filtered by."""
    hardware = dict.fromkeys(name for entry in entries for name in entry.hardware)
    return {
        "suite": list(dict.fromkeys((entry.suite.name, entry.suite.title) for entry in entries)),
        "family": [(family, family) for family in dict.fromkeys(e.family for e in entries)],
        "state": [("headline", "the headline state"), ("other", "the other states")]
        if any(not entry.headline for entry in entries)
        else [],
        "hardware": [(name, name) for name in hardware],
    }


def answer(views: Sequence[SuiteView]) -> str:
    """The answer so far, in a few sentences; first where the claims were made for."""
    sentences = []
    for view in sorted(views, key=lambda view: not view.claims_apply):
        where = f"On {view.suite.title}"
        if view.claims_apply:
            where += ", which the claims were made for"
        if not view.suite.claims:
            continue
        if not view.measured:
            sentences.append(f"{where}: not measured yet.")
        else:
            sentences.append(f"{where}: {view.tally}.")
    return " ".join(sentences) or "Nothing has been claimed for these suites."
