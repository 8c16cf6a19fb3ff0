"""A suite's tables: one row a run, one row a method, for machines and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wsa.evidence.measure import Measure
from wsa.evidence.runs import Runs, hardware
from wsa.records.evidence import Estimate, MethodRow
from wsa.records.predictions import STATE_WORDS, STATES

if TYPE_CHECKING:
    import pandas as pd

MISSING = "—"

Estimates = dict[tuple[str, str, str | None, str], Estimate]  # metric, state, split, method


def method_rows(runs: Runs) -> tuple[MethodRow, ...]:
    """What every method of the suite costs, in the suite's order."""
    rows = []
    for method in runs.suite.methods:
        own = [result for (name, _), result in runs.results.items() if name == method]
        ranks = [result.rank.effective_mean for result in own if result.rank]
        rows.append(
            MethodRow(
                method=method,
                n=len(own),
                effective_rank=_mean(ranks),
                effective_rank_std=float(np.std(ranks, ddof=1)) if len(ranks) > 1 else None,
                parameters_trainable=_mean([result.parameters.trainable for result in own]),
                parameters_kept=_mean([result.parameters.kept for result in own]),
                train_seconds=_mean([result.cost.train_seconds for result in own]),
                peak_memory_bytes=max(
                    (float(result.cost.peak_memory_bytes) for result in own), default=None
                ),
                hardware=tuple(dict.fromkeys(map(hardware, own))),
            )
        )
    return tuple(rows)


def run_table(runs: Runs) -> pd.DataFrame:
    """`runs.csv`: one row a run, in the suite's order.

    Columns: `method`, `seed`; the headline metric by its name, as it is shown (`accuracy`, percent;
    `pruned` for a gated method, else `unpruned`); `<state>_<metric>`, as shown, and `<state>_loss`
    for each state; `sentences` (evaluated);
    `effective_rank` (mean over adapted modules), `initial_rank`; `sum_of_gate_learning_rates`;
    `parameters_total`, `parameters_trainable`, `parameters_head`, `parameters_kept`;
    `train_seconds` (the loop alone), `evaluate_seconds` (a state),
    `sentences_per_second` (in training), `peak_memory_bytes`, `peak_memory_of`; `hardware`;
    `started` (of training, UTC); `predictions` (sha256); `run` (the record, below the suite's
    folder).
    """
    import pandas as pd

    metrics = [metric.name for metric in runs.task.metrics]
    columns = [
        "method", "seed", metrics[0],
        *(f"{state}_{what}" for state in STATES for what in (*metrics, "loss")),
        "sentences", "effective_rank", "initial_rank", "sum_of_gate_learning_rates",
        "parameters_total", "parameters_trainable", "parameters_head", "parameters_kept",
        "train_seconds", "evaluate_seconds", "sentences_per_second",
        "peak_memory_bytes", "peak_memory_of", "hardware", "started", "predictions", "run",
    ]  # fmt: skip
    measures = {name: runs.measure(name) for name in metrics}
    rows = [_run_row(runs, run, measures) for run in runs.results]
    return pd.DataFrame(rows, columns=columns)


def method_table(
    runs: Runs, rows: Sequence[MethodRow], estimates: Sequence[Estimate]
) -> pd.DataFrame:
    """`table.csv`: one row a method, in the suite's order.

    Columns: `method`, `title`, `family`, `kind`; `n` (runs); `<headline>_mean`, `<headline>_std` of
    the headline metric as it is shown (`accuracy`, percent); the same for `unpruned`, `pruned`,
    `gate_only`; `<state>_<metric>_mean`, `_std` of further metrics; `<split>_<metric>_mean`, `_std`
    on further validation splits, in the state that the method is quoted for;
    `effective_rank_mean`, `effective_rank_std`; `parameters_trainable`, `parameters_kept` (means);
    `train_seconds` (mean), `peak_memory_bytes` (largest), `hardware`; `seeds`, `runs` (the records,
    separated by spaces). A standard deviation is that of a sample (n−1), empty for n = 1.
    """
    import pandas as pd

    by_key = by_place(estimates)
    headline, *more = [metric.name for metric in runs.task.metrics]
    table = []
    for cost in rows:
        name, method = cost.method, runs.suite.method(cost.method)
        quoted = runs.headline_state(name)
        row: dict[str, object] = {
            "method": name, "title": method.title, "family": method.family, "kind": method.kind,
            "n": cost.n,
        }  # fmt: skip
        cells = {headline: by_key.get((headline, quoted, None, name))}
        cells |= {state: by_key.get((headline, state, None, name)) for state in STATES}
        for metric in more:
            cells |= {
                f"{state}_{metric}": by_key.get((metric, state, None, name)) for state in STATES
            }
        for split in runs.further:
            cells |= {
                f"{split}_{metric}": by_key.get((metric, quoted, split, name))
                for metric in (headline, *more)
            }
        for column, found in cells.items():
            row[f"{column}_mean"] = found.mean if found else None
            row[f"{column}_std"] = found.std if found else None
        row |= {
            "effective_rank_mean": cost.effective_rank,
            "effective_rank_std": cost.effective_rank_std,
            "parameters_trainable": cost.parameters_trainable,
            "parameters_kept": cost.parameters_kept,
            "train_seconds": cost.train_seconds,
            "peak_memory_bytes": cost.peak_memory_bytes,
            "hardware": "; ".join(cost.hardware),
        }
        own = [run for run in runs.results if run[0] == name]
        row["seeds"] = " ".join(str(seed) for _, seed in own)
        row["runs"] = " ".join(map(runs.path, own))
        table.append(row)
    return pd.DataFrame(table)


def markdown(runs: Runs, rows: Sequence[MethodRow], estimates: Sequence[Estimate]) -> str:
    """`table.md`, for people: the headline metric as mean ± standard deviation."""
    from tabulate import tabulate

    suite, metric, by_key = runs.suite, runs.task.headline, by_place(estimates)
    unit = f" {metric.unit}" if metric.unit else ""
    header = [
        "Method", "n", metric.title[:1].upper() + metric.title[1:] + unit,
        *(f"{STATE_WORDS[state]}{unit}" for state in STATES), "effective rank", "parameters kept",
        "training s", "peak memory GB",
    ]  # fmt: skip
    body = []
    for cost in rows:
        found = [
            by_key.get((metric.name, state, None, cost.method))
            for state in (runs.headline_state(cost.method), *STATES)
        ]
        memory = cost.peak_memory_bytes
        body.append(
            [
                _markdown(suite.method(cost.method).title),
                f"{cost.n} of {len(suite.seeds)}",
                *(_spread(own and own.mean, own and own.std, metric.places) for own in found),
                _spread(cost.effective_rank, cost.effective_rank_std, 2),
                _number(cost.parameters_kept, ",.0f"),
                _number(cost.train_seconds, ".1f"),
                _number(memory and memory / 1e9, ".2f"),
            ]
        )
    right = ["left", *["right"] * (len(header) - 1)]
    table = tabulate(body, header, tablefmt="github", disable_numparse=True, colalign=right)
    what = metric.title[:1].upper() + metric.title[1:]
    return (
        f"# {_markdown(suite.title)}\n\n{table}\n\n"
        f"Mean ± sample standard deviation (n−1) over n seeds; a single run has none. {what} is "
        "that of the pruned model where a method has gates, else that of the trained one.\n"
    )


def by_place(estimates: Sequence[Estimate]) -> Estimates:
    """Estimates by where they stand in the tables."""
    return {(e.metric, e.state, e.split, e.method): e for e in estimates}


def _run_row(runs: Runs, run: tuple[str, int], measures: dict[str, Measure]) -> dict[str, object]:
    result = runs.results[run]
    rank, quoted = result.rank, runs.headline_state(run[0])
    row: dict[str, object] = {
        "method": result.method, "seed": result.seed,
        "sentences": result.states["unpruned"].n,
        "effective_rank": rank.effective_mean if rank else None,
        "initial_rank": rank.initial if rank else None,
        "sum_of_gate_learning_rates": rank.sum_of_learning_rates if rank else None,
        "hardware": hardware(result),
        "started": min(where.started for where in result.provenance.environments.values()),
        "predictions": result.predictions,
        "run": runs.path(run),
    }  # fmt: skip
    for state, found in result.states.items():
        row[f"{state}_loss"] = found.loss
        for name, measure in measures.items():
            (row[f"{state}_{name}"],) = measure.values((run[0], state), (run[1],))
    headline = runs.task.headline.name
    row[headline] = row[f"{quoted}_{headline}"]
    row |= {f"parameters_{key}": value for key, value in result.parameters.model_dump().items()}
    return row | result.cost.model_dump()


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _spread(mean: float | None, std: float | None, digits: int) -> str:
    """'94.51 ± 0.34', '94.51' without a deviation, '—' without a mean."""
    if mean is None:
        return MISSING
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def _number(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


def _markdown(text: str) -> str:
    """`text` as a cell of a Markdown table."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
