"""The files a reader can take along: tables as they are, tables for a paper, and every record."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment

from wsa.files import sha256_file, write_text
from wsa.leaderboard.carrier import carrier
from wsa.leaderboard.pages.tuning import trial_records
from wsa.leaderboard.project import project
from wsa.leaderboard.said import as_csv

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView


RECORDS = "records.tar.gz"


def write_downloads(view: SuiteView, folder: Path, templates: Environment) -> list[tuple[str, str]]:
    """Copy the suite's tables into `folder` and write those for papers; (file, words) of each.

    What is large or of many parts is in one archive, and the records of runs once more in a script
    (`records.js`: "method/seed" → text), so that a page can show a single one.
    """
    layout, name = view.results.layout, view.suite.name
    made = []
    for path, words in (
        (layout.table_csv(name), "Leaderboard (CSV)"),
        (layout.table_md(name), "Leaderboard (Markdown)"),
        ("table.tex", "Leaderboard (LaTeX, booktabs)"),
        ("table_headline.tex", "Headline states alone (LaTeX)"),
        ("claims.tex", "Claims and verdicts (LaTeX)"),
        ("cite.bib", "To cite these results (BibTeX)"),
        (layout.runs_csv(name), "Every run (CSV)"),
        (layout.findings_json(name), "Findings (JSON)"),
        (layout.inference_json(name), "Inference speed (JSON)"),
        (layout.thresholds_json(name), "Other thresholds (JSON)"),
    ):
        if isinstance(path, str):
            if text := _written(path, view, templates):
                write_text(folder / path, text)
                made.append((path, words))
        elif path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.name)
            made.append((path.name, words))
    if runs := _run_records(view):
        folder.mkdir(parents=True, exist_ok=True)
        named = _named(view, [*runs.values(), *_other_records(view)])
        files = {name: path.read_bytes() for name, path in named.items()}
        if found := view.said:
            files[f"{name}/sentences.csv"] = as_csv(view, found).encode()
        (folder / RECORDS).write_bytes(_archive(files))
        texts = {key: path.read_text(encoding="utf-8") for key, path in runs.items()}
        (folder / "records.js").write_text(carrier(texts), encoding="utf-8")
        made.append(
            (
                RECORDS,
                "Every record: runs, pairs of methods, claims, sentences (JSON and CSV, tar.gz)",
            )
        )
    return made


def _run_records(view: SuiteView) -> dict[str, Path]:
    """The records of the runs and of the trials, by method and seed."""
    own = {f"{run.method}/{run.seed}": run.files.result for run in view.results.all_runs}
    return own | trial_records(view)


def _other_records(view: SuiteView) -> list[Path]:
    """What is no download of its own."""
    layout, name = view.results.layout, view.suite.name
    made = layout.claims_json, layout.comparisons_csv, layout.literature_json
    tuned_in = view.suite.tuned_in
    tunings = [layout.tuning(tuned_in, method) for method in view.results.tunings]
    return [*tunings, *(path for one in made if (path := one(name)).is_file())]


def _named(view: SuiteView, paths: list[Path]) -> dict[str, Path]:
    """Where each lies below the folder of results."""
    return {path.relative_to(view.results.layout.results).as_posix(): path for path in paths}


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A compressed archive of `files`; equal files give equal bytes."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(found.getvalue(), compresslevel=9, mtime=0)


def _written(name: str, view: SuiteView, templates: Environment) -> str:
    """What is written for papers; empty where nothing was measured or claimed."""
    if not view.entries or (name == "claims.tex" and not view.claims):
        return ""
    context: dict[str, object] = {"view": view}
    if name == "cite.bib":
        context |= {"project": project(), "year": _year(view), "sha256": _bundle_hash(view)}
    elif name != "claims.tex":
        context["rows"] = [e for e in view.entries if e.headline or name == "table.tex"]
    template = "table.tex" if name == "table_headline.tex" else name
    return templates.get_template(template).render(context).rstrip() + "\n"


def _year(view: SuiteView) -> str:
    """In which the last of the runs was made."""
    ends = (
        where.finished
        for run in view.results.all_runs
        for where in run.result.provenance.environments.values()
    )
    return max(ends, default="")[:4]


def _bundle_hash(view: SuiteView) -> str:
    """Of the archive of the suite's results; empty where there is none."""
    path = view.results.layout.bundle(view.suite.name)
    return sha256_file(path) if path.is_file() else ""
