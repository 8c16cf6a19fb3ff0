"""The files a reader can take along: the DAG's tables as they are, and a table for a paper."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment

from wsa.files import write_text

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
        (layout.runs_csv(name), "Every run (CSV)"),
        (layout.comparisons_csv(name), "Every pair of methods (CSV)"),
        (layout.claims_json(name), "Claims and verdicts (JSON)"),
        (layout.findings_json(name), "Findings (JSON)"),
        (layout.inference_json(name), "Inference speed (JSON)"),
        (layout.thresholds_json(name), "Other thresholds (JSON)"),
    ):
        if isinstance(path, str):
            if view.entries:
                rows = [e for e in view.entries if e.headline or path == "table.tex"]
                text = templates.get_template("table.tex").render(view=view, rows=rows)
                write_text(folder / path, text)
                made.append((path, words))
        elif path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.name)
            made.append((path.name, words))
    return made
