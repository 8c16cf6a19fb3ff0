"""Puts the site together: reads each suite once, draws, fills the templates, writes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsa import evidence
from wsa.files import atomic_folder, write_text
from wsa.layout import Layout
from wsa.leaderboard import drawing, formats
from wsa.leaderboard.contexts import compare_context, method_context, run_context
from wsa.leaderboard.downloads import write_downloads
from wsa.leaderboard.results import read_suite
from wsa.leaderboard.rows import Row, scale_of
from wsa.leaderboard.view import SuiteView, answer, gaps_of
from wsa.records.evidence import Calibration
from wsa.records.record import read_record
from wsa.suite.schema import Suite

SITE_NAME = "Weighted Spectral Adapter, measured"
QUESTION = "Does the Weighted Spectral Adapter do what was claimed for it?"
STATIC = Path(__file__).parent / "static"


def render(suites: Sequence[Suite], layout: Layout) -> None:
    """Write the whole site below `layout.site`.

    A suite without results is shown as not measured, with the command that measures it. Pages of
    a suite replace its earlier ones; nothing else below `layout.site` is touched.

    Args:
        suites: in the order in which they are shown.
        layout: where results and data lie and where the site goes.
    """
    views = [SuiteView(read_suite(suite, layout)) for suite in suites]
    site = _Site(views)
    with atomic_folder(layout.site / "static") as folder:
        for file in sorted(STATIC.iterdir()):
            shutil.copyfile(file, folder / file.name)
    for view in views:
        with atomic_folder(layout.suite_page(view.suite.name).parent) as folder:
            site.write_suite(view, folder)
    site.write_front(layout.site)


class _Site:
    """The templates, and what all pages share."""

    def __init__(self, views: Sequence[SuiteView]) -> None:
        self.views = views
        self.scales = {view.suite.name: scale_of(view.rows) for view in views}
        self.templates = Environment(
            loader=PackageLoader("wsa.leaderboard"),
            autoescape=lambda name: name is None or name.endswith(".html"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= formats.FILTERS
        self.templates.globals |= {
            "site_name": SITE_NAME, "question": QUESTION, "version": _version(),
            "shown": views,
        }  # fmt: skip

    def fill(self, template: str, root: str, here: str, **context: object) -> str:
        """The text of a page from which `root` leads up to the site."""
        return self.templates.get_template(template).render(root=root, here=here, **context)

    def page(self, path: Path, template: str, root: str, here: str, **context: object) -> None:
        """Fill `template` and write it to `path`, inside a folder that is not yet in its place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.fill(template, root, here, **context), encoding="utf-8")

    def write_front(self, folder: Path) -> None:
        text = self.fill("reading.html", "", "reading", calibration=_calibration())
        write_text(folder / "reading.html", text)
        rows = [row for view in self.views for row in view.rows]
        text = self.fill(
            "index.html", "", "front", suites=self.views, rows=rows,
            scales={row.suite.name: self.scales[row.suite.name] for row in rows},
            answer=answer(self.views),
            options=_options(rows), gaps=[gap for view in self.views for gap in gaps_of(view)],
        )  # fmt: skip
        write_text(folder / "index.html", text)

    def write_suite(self, view: SuiteView, folder: Path) -> None:
        rows, name, pictures = view.rows, view.suite.name, drawing.suite_pictures(view)
        self.page(
            folder / "index.html", "suite.html", "../", name, suite=view, rows=rows,
            scales={name: self.scales[name]}, options=_options(rows), sentences=view.sentences,
            pictures=pictures, runs=view.results.all_runs,
            run_methods=[(name, name) for name, runs in view.results.runs.items() if runs],
            gaps=gaps_of(view), provenance=view.provenance,
            downloads=write_downloads(view, folder / "downloads", self.templates),
        )  # fmt: skip
        self.page(
            folder / "compare.html", "compare.html", "../", name, suite=view,
            **compare_context(view),
        )  # fmt: skip
        for method in view.suite.methods:
            path = folder / "methods" / f"{method}.html"
            seeds = drawing.learning_by_seed(view, method)
            own = [seeds] if seeds else []
            own += pictures.of_method.get(method, [])
            self.page(
                path, "method.html", "../../", name, suite=view, scale=self.scales[name],
                **method_context(view, method, own),
            )  # fmt: skip
            for run in view.results.runs[method]:
                path = folder / "runs" / method / f"seed-{run.seed}.html"
                self.page(
                    path, "run.html", "../../../", name, suite=view,
                    **run_context(view, run, seeds),
                )  # fmt: skip
                shutil.copyfile(run.files.result, path.with_suffix(".json"))


def _options(rows: Sequence[Row]) -> dict[str, list[tuple[str, str]]]:
    """What the leaderboard can be filtered by."""
    return {
        "suite": list(dict.fromkeys((row.suite.name, row.suite.title) for row in rows)),
        "family": [(family, family) for family in dict.fromkeys(row.family for row in rows)],
        "state": [("headline", "the quoted state"), ("other", "the other states")]
        if any(not row.headline for row in rows)
        else [],
        "hardware": [(h, h) for h in dict.fromkeys(h for row in rows for h in row.hardware)],
    }


def _calibration() -> Calibration | None:
    """The engine's published calibration, where it was measured."""
    path = Path(evidence.__file__).parent / "calibration.json"
    return read_record(path, Calibration) if path.exists() else None


def _version() -> str:
    try:
        return version("weighted-spectral-adapter")
    except PackageNotFoundError:  # run from a source tree
        return "from source"
