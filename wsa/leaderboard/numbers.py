"""Every number of the pages as one record, with its schema beside it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wsa.files import atomic_path, write_text
from wsa.leaderboard.downloads import RECORDS
from wsa.records.site import (
    SiteClaimed,
    SiteDifference,
    SiteMethod,
    SiteNumber,
    SitePublished,
    SiteResults,
    SiteRun,
    SiteSuite,
    SiteVerdict,
)
from wsa.task import METRICS

if TYPE_CHECKING:
    from wsa.leaderboard.entries import Entry
    from wsa.leaderboard.results import RunView
    from wsa.leaderboard.view import SuiteView

Places = Mapping[tuple[str, str, int], int]  # suite, method, seed → place among all runs

DIGITS = 9  # of a number; a page shows fewer
COSTS = {
    "parameters_trainable": "parameters", "parameters_kept": "parameters",
    "effective_rank": "directions", "train_seconds": "seconds", "peak_memory_bytes": "bytes",
}  # fmt: skip


def results_of(views: Sequence[SuiteView], version: str) -> SiteResults:
    """What the pages of `views` show, in their order."""
    runs = [run for view in views for run in view.results.all_runs]
    places = {_key(run): place for place, run in enumerate(runs)}
    return SiteResults(
        version=version,
        suites=tuple(map(_suite, views)),
        runs=tuple(
            SiteRun(
                suite=run.result.suite, method=run.method, seed=run.seed,
                page=f"{quote(run.result.suite)}/methods/{quote(run.method)}.html#seed-{run.seed}",
                record=f"{run.result.suite}/{run.path}",
            )
            for run in runs
        ),
        measured=tuple(number for view in views for number in _measured(view, places)),
        differences=tuple(found for view in views for found in _differences(view, places)),
        verdicts=tuple(verdict for view in views for verdict in _verdicts(view, places)),
        claimed=tuple(
            SiteClaimed(
                suite=view.suite.name, claim=claim.id, method=claim.method, value=claim.expected,
                margin=claim.margin, source=claim.source,
            )
            for view in views for claim in view.suite.claims if claim.kind == "value"
        ),
        published=tuple(known for view in views for known in _published(view)),
    )  # fmt: skip


def _key(run: RunView) -> tuple[str, str, int]:
    return run.result.suite, run.method, run.seed


def _places(runs: Iterable[RunView], places: Places) -> tuple[int, ...]:
    return tuple(places[_key(run)] for run in runs)


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
    content = _rounded(results_of(views, version).model_dump(mode="json"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(_compact(content).encode(), mtime=0))
    write_text(schema, _compact(SiteResults.model_json_schema()))


def _rounded(content: Any) -> Any:
    """With numbers of as many digits as anything can be told by."""
    if isinstance(content, float):
        return float(f"{content:.{DIGITS}g}")
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return list(map(_rounded, content)) if isinstance(content, list) else content


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
        records=f"{quote(suite.name)}/downloads/{RECORDS}" if view.results.all_runs else None,
    )  # fmt: skip


def _measured(view: SuiteView, places: Places) -> Iterator[SiteNumber]:
    for entry in view.entries:
        for estimate in (entry.estimate, *entry.further.values()):
            yield _number(
                entry, places, quantity=estimate.metric, split=estimate.split, n=estimate.seeds,
                unit=METRICS[estimate.metric].unit, value=estimate.mean, std=estimate.std,
                interval=estimate.interval,
            )  # fmt: skip
        for quantity, unit in COSTS.items():
            # a method costs what it costs in the state it is quoted for
            value = getattr(entry.costs, quantity) if entry.costs and entry.headline else None
            if value is None:
                continue
            yield _number(
                entry, places, quantity=quantity, split=None, n=entry.n, unit=unit, value=value,
                std=None, interval=None,
            )  # fmt: skip


def _number(entry: Entry, places: Places, **said: object) -> SiteNumber:
    return SiteNumber(
        suite=entry.suite.name, method=entry.name, state=entry.state,
        runs=_places(entry.runs, places), **said,
    )  # fmt: skip


def _differences(view: SuiteView, places: Places) -> Iterator[SiteDifference]:
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
            runs=_places(runs, places),
        )  # fmt: skip


def _verdicts(view: SuiteView, places: Places) -> Iterator[SiteVerdict]:
    for several in view.claims:
        for one in several:
            if (judgement := one.judgement) is not None:
                yield SiteVerdict(
                    suite=view.suite.name, claim=one.claim.id, state=judgement.state,
                    verdict=judgement.verdict, sentence=one.claim.sentence,
                    said=judgement.sentence, value=judgement.estimate,
                    interval=judgement.interval, unit=judgement.unit, n=judgement.seeds,
                    runs=_places(one.runs, places),
                )  # fmt: skip
