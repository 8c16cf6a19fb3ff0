"""The files a reader can take along: the DAG's tables as they are, and a table for a paper."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment

from wsa.files import sha256_file, write_text
from wsa.leaderboard.project import project

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView


def write_downloads(view: SuiteView, folder: Path, templates: Environment) -> list[tuple[str, str]]:
    """Copy the suite's tables into `folder` and write those for papers; (file, words) of each."""
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
        (layout.comparisons_csv(name), "Every pair of methods (CSV)"),
        (layout.claims_json(name), "Claims and verdicts (JSON)"),
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
    return made


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
