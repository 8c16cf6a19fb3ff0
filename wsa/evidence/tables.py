"""A suite's tables: one row a run, one row a method, for machines and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsa.evidence.runs import Runs, hardware, read_results
from wsa.files import atomic_path, write_text
from wsa.layout import Layout
from wsa.records.predictions import STATES
from wsa.records.run import Result
from wsa.suite.schema import Suite

if TYPE_CHECKING:
    import pandas as pd

MISSING = "—"
RUN_COLUMNS = [
    "method", "seed", "accuracy",
    *(f"{state}_{what}" for state in STATES for what in ("accuracy", "loss")),
    "sentences", "effective_rank", "initial_rank", "sum_of_gate_learning_rates",
    "parameters_total", "parameters_trainable", "parameters_head", "parameters_kept",
    "train_seconds", "evaluate_seconds", "sentences_per_second",
    "peak_memory_bytes", "peak_memory_of", "hardware", "started", "predictions", "run",
]  # fmt: skip


def aggregate(suite: Suite, layout: Layout) -> None:
    """Write `runs.csv`, `table.csv` and `table.md` from the runs' records.

    Runs that are missing or unreadable are left out (`judge` lists them as findings); a method
    without any run keeps its row, with n = 0. The columns are described at `run_table` and
    `method_table`.
    """
    runs = read_results(suite, layout)
    rows = run_table(runs)
    methods = method_table(runs, rows)
    _write_csv(layout.runs_csv(suite.name), rows)
    _write_csv(layout.table_csv(suite.name), methods)
    write_text(layout.table_md(suite.name), markdown(suite, methods))


def run_table(runs: Runs) -> pd.DataFrame:
    """One row a run, in the suite's order.

    Columns: `method`, `seed`; `accuracy` (percent; `pruned` for a gated method, else `unpruned`);
    `<state>_accuracy` (percent), `<state>_loss` for each state; `sentences` (evaluated);
    `effective_rank` (mean over adapted modules), `initial_rank`; `sum_of_gate_learning_rates`;
    `parameters_total`, `parameters_trainable`, `parameters_head`, `parameters_kept`;
    `train_seconds` (the loop alone), `evaluate_seconds` (a state),
    `sentences_per_second` (in training), `peak_memory_bytes`, `peak_memory_of`; `hardware`;
    `started` (of training, UTC); `predictions` (sha256); `run` (the record, below the suite's
    folder).
    """
    import pandas as pd

    rows = [_run_row(result, runs.path(run)) for run, result in runs.results.items()]
    return pd.DataFrame(rows, columns=RUN_COLUMNS)


def method_table(runs: Runs, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a method, in the suite's order.

    Columns: `method`, `title`, `family`, `kind`; `n` (runs); `accuracy_mean`, `accuracy_std`
    (percent; the headline); the same for `unpruned`, `pruned`, `gate_only`;
    `effective_rank_mean`, `effective_rank_std`; `parameters_trainable`, `parameters_kept` (means);
    `train_seconds` (mean), `peak_memory_bytes` (largest), `hardware`; `seeds`, `runs` (the records,
    separated by spaces). A standard deviation is that of a sample (n−1), empty for n = 1.
    """
    import pandas as pd

    table = []
    for name, method in runs.suite.methods.items():
        own = rows[rows["method"] == name]
        row: dict[str, object] = {
            "method": name, "title": method.title, "family": method.family, "kind": method.kind,
            "n": len(own),
        }  # fmt: skip
        sources = {"accuracy": "accuracy"} | {state: f"{state}_accuracy" for state in STATES}
        for quantity, column in (sources | {"effective_rank": "effective_rank"}).items():
            values = own[column].astype(float)
            row[f"{quantity}_mean"], row[f"{quantity}_std"] = values.mean(), values.std(ddof=1)
        for column in ("parameters_trainable", "parameters_kept", "train_seconds"):
            row[column] = own[column].astype(float).mean()
        row["peak_memory_bytes"] = own["peak_memory_bytes"].astype(float).max()
        row["hardware"] = "; ".join(dict.fromkeys(own["hardware"]))
        row["seeds"] = " ".join(map(str, own["seed"]))
        row["runs"] = " ".join(own["run"])
        table.append(row)
    return pd.DataFrame(table)


def markdown(suite: Suite, methods: pd.DataFrame) -> str:
    """`method_table` for people: accuracies in percent as mean ± standard deviation."""
    from tabulate import tabulate

    header = [
        "Method", "n", "Accuracy %", "unpruned %", "pruned %", "gate only %", "effective rank",
        "parameters kept", "training s", "peak memory GiB",
    ]  # fmt: skip
    body = [
        [
            _markdown(row["title"]),
            f"{row['n']} of {len(suite.seeds)}",
            _spread(row, "accuracy", 2),
            *(_spread(row, state, 2) for state in STATES),
            _spread(row, "effective_rank", 2),
            _number(row["parameters_kept"], ",.0f"),
            _number(row["train_seconds"], ".1f"),
            _number(row["peak_memory_bytes"] / 2**30, ".2f"),
        ]
        for row in methods.to_dict("records")
    ]
    right = ["left", *["right"] * (len(header) - 1)]
    table = tabulate(body, header, tablefmt="github", disable_numparse=True, colalign=right)
    return (
        f"# {_markdown(suite.title)}\n\n{table}\n\n"
        "Mean ± sample standard deviation (n−1) over n seeds; a single run has none. Accuracy is "
        "that of the pruned model where a method has gates, else that of the trained one.\n"
    )


def _run_row(result: Result, path: str) -> dict[str, object]:
    states, rank = result.states, result.rank
    row: dict[str, object] = {
        "method": result.method, "seed": result.seed, "accuracy": 100 * result.accuracy,
        "sentences": states["unpruned"].n,
        "effective_rank": rank.effective_mean if rank else None,
        "initial_rank": rank.initial if rank else None,
        "sum_of_gate_learning_rates": rank.sum_of_learning_rates if rank else None,
        "hardware": hardware(result),
        "started": min(where.started for where in result.provenance.environments.values()),
        "predictions": result.predictions,
        "run": path,
    }  # fmt: skip
    for state, found in states.items():
        row |= {f"{state}_accuracy": 100 * found.accuracy, f"{state}_loss": found.loss}
    row |= {f"parameters_{key}": value for key, value in result.parameters.model_dump().items()}
    return row | result.cost.model_dump()


def _spread(row: dict[str, object], quantity: str, digits: int) -> str:
    """'94.51 ± 0.34', '94.51' without a deviation, '—' without a mean."""
    mean, std = row[f"{quantity}_mean"], row[f"{quantity}_std"]
    if mean != mean:  # NaN
        return MISSING
    return f"{mean:.{digits}f}" + ("" if std != std else f" ± {std:.{digits}f}")


def _number(value: float, form: str) -> str:
    return MISSING if value != value else format(value, form)


def _markdown(text: str) -> str:
    """`text` as a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _no_formula(cell: object) -> object:
    """`cell`, where it is text that a spreadsheet would compute, with an apostrophe before it."""
    formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if formula else cell


def _write_csv(path, frame: pd.DataFrame) -> None:
    for column in frame.columns:
        cells = [_no_formula(cell) for cell in frame[column]]
        if any(isinstance(cell, str) and cell.startswith("'") for cell in cells):
            frame = frame.assign(**{column: cells})
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
