"""`wsa aggregate`: all that a suite's runs say, as tables, verdicts and findings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsa.evidence.comparisons import compare_all, comparison_table, estimates
from wsa.evidence.findings import check
from wsa.evidence.runs import read_runs
from wsa.evidence.tables import markdown, method_rows, method_table, run_table
from wsa.evidence.verdicts import judge_claims
from wsa.files import atomic_path, write_text
from wsa.layout import Layout
from wsa.records.evidence import Claims, Findings, Tables
from wsa.records.record import write_record
from wsa.suite.schema import Suite

if TYPE_CHECKING:
    import pandas as pd


def aggregate(suite: Suite, layout: Layout) -> Claims:
    """Write a suite's tables, comparisons, verdicts and findings from its runs.

    These are `tables.json` with `table.csv`, `table.md`, `comparisons.csv`; `runs.csv`;
    `claims.json`; `findings.json`. Missing and broken runs are findings, not errors, and left out;
    a method without any run keeps its row, with n = 0.
    """
    runs = read_runs(suite, layout)
    comparisons, found, rows = compare_all(runs), estimates(runs), method_rows(runs)
    claims = Claims(
        suite=suite.name,
        evaluated_on=suite.protocol.evaluate_on,
        claims=judge_claims(runs, comparisons),
        estimates=found,
    )
    write_csv(layout.runs_csv(suite.name), run_table(runs))
    write_csv(layout.table_csv(suite.name), method_table(runs, rows, found))
    write_text(layout.table_md(suite.name), markdown(runs, rows, found))
    write_csv(layout.comparisons_csv(suite.name), comparison_table(comparisons))
    tables = Tables(suite=suite.name, methods=rows, comparisons=tuple(comparisons))
    write_record(layout.tables_json(suite.name), tables)
    findings = Findings(suite=suite.name, findings=check(runs))
    write_record(layout.findings_json(suite.name), findings)
    write_record(layout.claims_json(suite.name), claims)
    return claims


def _no_formula(cell: object) -> object:
    """`cell`, where it is text that a spreadsheet would compute, with an apostrophe before it."""
    formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if formula else cell


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, atomically; no text in it is a formula to a spreadsheet."""
    for column in frame.columns:
        cells = [_no_formula(cell) for cell in frame[column]]
        if any(isinstance(cell, str) and cell.startswith("'") for cell in cells):
            frame = frame.assign(**{column: cells})
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
