"""What the results shown say otherwise than the published ones, suite by suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.layout import Layout
from wsa.leaderboard.measures import score
from wsa.records.evidence import Claims, Estimate
from wsa.records.predictions import STATE_WORDS
from wsa.records.record import read_record
from wsa.task import Metric

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView

Row = tuple[str, str]  # method, state


@dataclass(frozen=True)
class Changed:
    """A suite whose shown results differ from the published ones, and in what."""

    view: SuiteView
    lines: tuple[str, ...]


def changes(views: list[SuiteView], published: Layout) -> list[Changed]:
    """The measured suites that are not shown as they were published, in their order."""
    found = []
    for view in views:
        shown = view.results.layout.results
        if not view.measured or published.results.resolve() == shown.resolve():
            continue
        if lines := _lines(view, published):
            found.append(Changed(view, tuple(lines)))
    return found


def _lines(view: SuiteView, published: Layout) -> list[str]:
    path = published.claims_json(view.suite.name)
    now = view.results.claims
    if not path.exists():
        return []
    before = read_record(path, Claims)
    return [*_values(view, before, now), *_verdicts(before, now)]


def _values(view: SuiteView, before: Claims, now: Claims) -> list[str]:
    """Rows whose mean is shown otherwise, that came, or that went."""
    metric = view.metric
    old, new = _headline(before, metric), _headline(now, metric)
    lines = []
    for row in dict.fromkeys([*new, *old]):
        texts = [_shown(estimates.get(row), metric) for estimates in (old, new)]
        if texts[0] != texts[1]:
            lines.append(f"{_titled(view, row)}: {texts[0]} → {texts[1]}")
    return lines


def _headline(claims: Claims, metric: Metric) -> dict[Row, Estimate]:
    return {
        (e.method, e.state): e
        for e in claims.estimates
        if e.metric == metric.name and e.split is None
    }


def _shown(estimate: Estimate | None, metric: Metric) -> str:
    if estimate is None:
        return "no runs"
    std = f" ± {score(estimate.std, metric)}" if estimate.std is not None else ""
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{score(estimate.mean, metric)}{std}{unit} (n = {estimate.seeds})"


def _titled(view: SuiteView, row: Row) -> str:
    name, state = row
    method = view.suite.methods.get(name)
    if method is None:
        return name
    return f"{method.title}, {STATE_WORDS[state]}" if method.gated else method.title


def _verdicts(before: Claims, now: Claims) -> list[str]:
    """Verdicts that are others now, of claims that were judged both times."""
    old = {(c.claim.id, j.state): j.verdict for c in before.claims for j in c.judgements}
    lines = []
    for judged in now.claims:
        for one in judged.judgements:
            was = old.get((judged.claim.id, one.state))
            if was and was != one.verdict:
                state = f" ({STATE_WORDS[one.state]})" if one.state else ""
                lines.append(f"“{judged.claim.sentence}”{state}: {was} → {one.verdict}")
    return lines
