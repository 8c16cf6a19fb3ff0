"""Every number of the pages as one record, with its schema beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsa.files import write_text
from wsa.records.site import (
    SiteClaimed,
    SiteDifference,
    SiteMethod,
    SiteNumber,
    SitePublished,
    SiteResults,
    SiteSuite,
    SiteVerdict,
)
from wsa.task import METRICS

if TYPE_CHECKING:
    from wsa.leaderboard.entries import Entry
    from wsa.leaderboard.results import RunView
    from wsa.leaderboard.view import SuiteView

COSTS = {
    "parameters_trainable": "parameters", "parameters_kept": "parameters",
    "effective_rank": "directions", "train_seconds": "seconds", "peak_memory_bytes": "bytes",
}  # fmt: skip


def results_of(views: Sequence[SuiteView], version: str) -> SiteResults:
    """What the pages of `views` show, in their order."""
    return SiteResults(
        version=version,
        suites=tuple(map(_suite, views)),
        measured=tuple(number for view in views for number in _measured(view)),
        differences=tuple(found for view in views for found in _differences(view)),
        verdicts=tuple(verdict for view in views for verdict in _verdicts(view)),
        claimed=tuple(
            SiteClaimed(
                suite=view.suite.name, claim=claim.id, method=claim.method, value=claim.expected,
                margin=claim.margin, source=claim.source,
            )
            for view in views for claim in view.suite.claims if claim.kind == "value"
        ),
        published=tuple(known for view in views for known in _published(view)),
    )  # fmt: skip


def _published(view: SuiteView) -> Iterator[SitePublished]:
    """What the published record has of the suite's model and task."""
    alike = {row.number: name for name in view.suite.methods for row in view.published_like(name)}
    for row in view.published:
        yield SitePublished(
            suite=view.suite.name, method=row.label, nearest=alike.get(row.number),
            value=float(row.value), protocol=row.table.stated, source=row.table.link,
        )  # fmt: skip


def write_results(views: Sequence[SuiteView], version: str, path: Path, schema: Path) -> None:
    """Write `results_of` the `views` to `path`, and what it must look like to `schema`."""
    write_text(path, _compact(results_of(views, version).model_dump(mode="json")))
    write_text(schema, _compact(SiteResults.model_json_schema()))


def _compact(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def _suite(view: SuiteView) -> SiteSuite:
    suite, metric = view.suite, view.metric
    return SiteSuite(
        suite=suite.name, title=suite.title, model=suite.model.title, data=suite.data.title,
        metric=metric.name, unit=metric.unit, greater_is_better=metric.greater_is_better,
        evaluated_on=suite.protocol.evaluate_on, sentences=view.sentences,
        methods=tuple(
            SiteMethod(method=name, title=m.title, kind=m.kind, family=m.family)
            for name, m in suite.methods.items()
        ),
    )  # fmt: skip


def _measured(view: SuiteView) -> Iterator[SiteNumber]:
    for entry in view.entries:
        for estimate in (entry.estimate, *entry.further.values()):
            yield _number(
                entry, quantity=estimate.metric, split=estimate.split, n=estimate.seeds,
                unit=METRICS[estimate.metric].unit, value=estimate.mean, std=estimate.std,
                interval=estimate.interval,
            )  # fmt: skip
        for quantity, unit in COSTS.items():
            # a method costs what it costs in the state it is quoted for
            value = getattr(entry.costs, quantity) if entry.costs and entry.headline else None
            if value is None:
                continue
            yield _number(
                entry, quantity=quantity, split=None, n=entry.n, unit=unit, value=value, std=None,
                interval=None,
            )  # fmt: skip


def _number(entry: Entry, **said: object) -> SiteNumber:
    return SiteNumber(
        suite=entry.suite.name, method=entry.name, state=entry.state,
        runs=_paths(entry.suite.name, entry.runs), **said,
    )  # fmt: skip


def _differences(view: SuiteView) -> Iterator[SiteDifference]:
    for pair in view.results.comparisons:
        runs = [
            run
            for method in (pair.method_a, pair.method_b)
            for run in view.results.runs.get(method, ())
            if run.seed in pair.seeds
        ]
        yield SiteDifference(
            suite=view.suite.name, method_a=pair.method_a, state_a=pair.state_a,
            method_b=pair.method_b, state_b=pair.state_b, n=len(pair.seeds),
            value=pair.difference, interval=pair.interval, p=pair.p,
            runs=_paths(view.suite.name, runs),
        )  # fmt: skip


def _verdicts(view: SuiteView) -> Iterator[SiteVerdict]:
    for several in view.claims:
        for one in several:
            if (judgement := one.judgement) is not None:
                yield SiteVerdict(
                    suite=view.suite.name, claim=one.claim.id, state=judgement.state,
                    verdict=judgement.verdict, sentence=one.claim.sentence,
                    said=judgement.sentence, value=judgement.estimate,
                    interval=judgement.interval, unit=judgement.unit, n=judgement.seeds,
                    runs=_paths(view.suite.name, one.runs),
                )  # fmt: skip


def _paths(suite: str, runs: Iterable[RunView]) -> tuple[str, ...]:
    """Where the site has the records of `runs`."""
    return tuple(f"{suite}/runs/{run.method}/seed-{run.seed}.json" for run in runs)
