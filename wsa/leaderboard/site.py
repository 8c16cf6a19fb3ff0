"""Puts the site together: reads each suite once, draws, fills the templates, writes."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsa import evidence
from wsa.files import atomic_folder, write_text
from wsa.layout import Layout
from wsa.leaderboard import formats, measures
from wsa.leaderboard.carrier import carrier
from wsa.leaderboard.changes import changes
from wsa.leaderboard.compact import compact
from wsa.leaderboard.downloads import write_downloads
from wsa.leaderboard.headline import asked, leading
from wsa.leaderboard.numbers import write_results
from wsa.leaderboard.pages.across import CollectionView, across_context
from wsa.leaderboard.pages.compare import compare_context, pairs_of
from wsa.leaderboard.pages.explore import explore_context
from wsa.leaderboard.pages.front import front_context
from wsa.leaderboard.pages.history import history_context
from wsa.leaderboard.pages.literature import FILTERS as OF_RECORD
from wsa.leaderboard.pages.literature import LiteratureView, method_page, record_page
from wsa.leaderboard.pages.method import method_context
from wsa.leaderboard.pages.submissions import (
    Table,
    copy_records,
    submissions_context,
    tables_of,
)
from wsa.leaderboard.pages.suite import suite_context
from wsa.leaderboard.plots import across_pictures, suite_pictures
from wsa.leaderboard.plots.hero import hero, hero_image
from wsa.leaderboard.plots.parts.canvas import SHAPES
from wsa.leaderboard.plots.parts.pictures import Mark, marks_of
from wsa.leaderboard.project import project
from wsa.leaderboard.results import read_suite
from wsa.leaderboard.said import carried, sentences
from wsa.leaderboard.view import SuiteView
from wsa.records.evidence import Calibration
from wsa.records.record import read_record
from wsa.suite.schema import Suite
from wsa.task import METRICS

if TYPE_CHECKING:
    from wsa.literature.schema import Literature
    from wsa.records.across import Across

SITE_NAME = "Weighted Spectral Adapter, measured"
QUESTION = "Does the Weighted Spectral Adapter do what was claimed for it?"
STATIC = Path(__file__).parent / "static"


def render(
    suites: Sequence[Suite],
    layout: Layout,
    collections: Sequence[Across] = (),
    literature: Literature | None = None,
) -> None:
    """Write the whole site below `layout.site`.

    A suite without results is shown as not measured, with the command that measures it. Pages of
    a suite replace its earlier ones; nothing else below `layout.site` is touched.

    Args:
        suites: in the order in which they are shown.
        layout: where results and data lie and where the site goes.
        collections: several tasks together, each a page of its own, named like a suite's.
        literature: the published record, with pages of its own.
    """
    marks = marks_of(suites)
    together: dict[str, list[tuple[str, str]]] = {suite.name: [] for suite in suites}
    for collection in collections:
        for member in collection.suites:
            if member.suite in together:
                together[member.suite].append((collection.name, collection.title))
    views = [
        SuiteView(read_suite(suite, layout), marks, together[suite.name], literature)
        for suite in suites
    ]
    by_name = {suite.name: suite for suite in suites}
    shown = [CollectionView(record, by_name, marks) for record in collections]
    record = LiteratureView(literature, views) if literature else None
    tables, unreadable = tables_of(suites, layout)
    site = _Site(views, shown, marks, record, tables)
    with atomic_folder(layout.site / "static") as folder:
        _write_static(suites, folder)
    for view in views:
        with atomic_folder(layout.suite_page(view.suite.name).parent) as folder:
            site.write_suite(view, folder)
    for collection in site.collections:
        with atomic_folder(layout.suite_page(collection.name).parent) as folder:
            site.write_collection(collection, folder)
    if site.record:
        with atomic_folder(layout.record_page.parent) as folder:
            site.write_record(site.record, folder)
    site.write_front(layout)
    write_results(views, project().version, layout.site_json, layout.site_schema)
    site.write_submissions(layout, unreadable)


def _write_static(suites: Sequence[Suite], folder: Path) -> None:
    """Styles and scripts: one file of each for all pages, and scripts that few pages need."""
    named = json.dumps([[suite.name, suite.title] for suite in suites])
    printed = f'@page {{ @top-left {{ content: "{SITE_NAME}" }} }}\n'
    parts = {
        "site.css": [_static("site.css"), _static("charts.css"), printed],
        "site.js": [
            _static("data.js"), f"wsa.suites = {named};\n",
            *map(_static, ("site.js", "charts.js", "compare.js")),
        ],
        "sentences.js": [_static("sentences.js")],
        "explore.js": [_static("explore.js")],
    }  # fmt: skip
    for name, texts in parts.items():
        (folder / name).write_text("".join(texts), encoding="utf-8")


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


@functools.cache  # to compile them takes a third of a site's time
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("wsa.leaderboard"),
        autoescape=lambda name: name is None or name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= formats.FILTERS | measures.FILTERS | OF_RECORD
    return templates


class _Site:
    """What all pages share."""

    def __init__(
        self,
        views: Sequence[SuiteView],
        collections: Sequence[CollectionView],
        marks: Mapping[str, Mark],
        record: LiteratureView | None,
        tables: Sequence[Table],
    ) -> None:
        self.views = views
        self.marks = marks
        self.collections = collections
        self.cards: dict[str, str] = {}  # where a page stands → the picture that links to it show
        self.record = record
        self.tables = tables
        self.shared = {
            "site_name": SITE_NAME, "question": QUESTION, "project": project(),
            "shown": views, "together": collections, "record": record, "metrics": METRICS,
            "asked": asked(views), "shapes": SHAPES,
            "submitted": {table.suite.name: len(table.entries) for table in tables},
        }  # fmt: skip

    def fill(self, template: str, root: str, here: str, **context: object) -> str:
        """The text of a page from which `root` leads up to the site."""
        card = self.cards.get(here, "")
        found = _templates().get_template(template, globals=self.shared)
        return compact(found.render(root=root, here=here, card=card, **context))

    def page(self, path: Path, template: str, root: str, here: str, **context: object) -> None:
        """Fill `template` and write it to `path`, inside a folder that is not yet in its place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.fill(template, root, here, **context), encoding="utf-8")

    def write_front(self, layout: Layout) -> None:
        text = self.fill("reading.html", "", "reading", calibration=_calibration())
        write_text(layout.site / "reading.html", text)
        text = self.fill("explore.html", "", "explore", **explore_context(self.views, self.marks))
        write_text(layout.site / "explore.html", text)
        first = leading(self.views)
        if first and first.suite.name in self.cards:
            self.cards["front"] = self.cards[first.suite.name]
        context = front_context(
            self.views, self.collections, QUESTION, hero(first) if first else [],
            changes(self.views, layout.as_published),
        )  # fmt: skip
        write_text(layout.index_page, self.fill("index.html", "", "front", **context))

    def write_submissions(self, layout: Layout, unreadable: dict[str, str]) -> None:
        """The page of submissions with the records that it shows, and that of the history."""
        context = submissions_context(self.tables, unreadable)
        text = self.fill("submissions.html", "", "submissions", **context)
        write_text(layout.submissions_page, text)
        text = self.fill("history.html", "", "history", **history_context(self.tables))
        write_text(layout.history_page, text)
        with atomic_folder(layout.submitted_records) as folder:
            for table in self.tables:
                for found in table.measured:
                    if found.entry is not None:
                        copy_records(found, folder / table.suite.name / found.entry.name)

    def write_collection(self, collection: CollectionView, folder: Path) -> None:
        context = across_context(collection, across_pictures(collection))
        self.page(folder / "index.html", "across.html", "../", collection.name, **context)

    def write_record(self, record: LiteratureView, folder: Path) -> None:
        """The published record: all of it, a page a method, a page a table."""
        here = "literature"
        self.page(folder / "index.html", "literature.html", "../", here, **record_page(record))
        for name in record.methods:
            path = folder / "methods" / f"{name}.html"
            context = method_page(record, name)
            self.page(path, "literature_method.html", "../../", here, **context)
        for one in record.tables:
            path = folder / "tables" / f"{one.table.table}.html"
            self.page(path, "literature_table.html", "../../", here, one=one)
        files = {"record.csv": record.as_csv(), "record.json": record.as_json()}
        with zipfile.ZipFile(folder / "record.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED, compresslevel=9)

    def write_suite(self, view: SuiteView, folder: Path) -> None:
        name, layout, pictures = view.suite.name, view.results.layout, suite_pictures(view)
        if image := hero_image(view):
            folder.mkdir(parents=True, exist_ok=True)
            path = layout.hero(name)
            (folder / path.name).write_bytes(image)
            self.cards[name] = path.relative_to(layout.site).as_posix()
        downloads = write_downloads(view, folder / "downloads", _templates())
        self.page(
            folder / "index.html", "suite.html", "../", name, downloads=downloads,
            **suite_context(view, pictures),
        )  # fmt: skip
        if said := view.said:
            shared = layout.sentences(view.suite.data.name, said.name)
            write_text(shared, carrier(sentences(view, said)))
            script = carrier(carried(view, said, f"../sentences/{quote(shared.name)}"))
            (folder / layout.said(name).name).write_text(script, encoding="utf-8")
        if view.entries:
            (folder / "pairs.js").write_text(carrier(pairs_of(view)), encoding="utf-8")
        self.page(folder / "compare.html", "compare.html", "../", name, **compare_context(view))
        for method in view.suite.methods:
            path = folder / "methods" / f"{method}.html"
            context = method_context(view, method, pictures.of_method[method])
            self.page(path, "method.html", "../../", name, **context)


def _calibration() -> Calibration | None:
    """The engine's published calibration, where it was measured."""
    path = Path(evidence.__file__).parent / "calibration.json"
    return read_record(path, Calibration) if path.exists() else None
