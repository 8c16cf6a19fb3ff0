"""A suite's runs, read from disk; what cannot be read becomes a finding, never a failure."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

from wsa.errors import InputError, remake
from wsa.evidence.measure import Measure, Predictions, Unit, measured
from wsa.layout import Layout, RunFiles
from wsa.records.evidence import Finding
from wsa.records.predictions import (
    STATES,
    logits_of,
    predictions_hash,
    read_predictions,
    rows_of,
)
from wsa.records.record import read_record
from wsa.records.run import Result, State
from wsa.suite.schema import Suite
from wsa.task import METRICS, Task

if TYPE_CHECKING:
    import pandas as pd

Run = tuple[str, int]  # method, seed
TOLERANCE = 1e-6  # of a recorded metric against the one computed from the predictions


@dataclass
class Runs:
    """The readable runs of a suite.

    Attributes:
        results: (method, seed) → the run's record.
        predictions: on the sentences that count; filled by `read_runs`.
        further: the same on each further validation split.
        findings: what was missing or broken.
    """

    suite: Suite
    layout: Layout
    results: dict[Run, Result] = field(default_factory=dict)
    predictions: Predictions = field(default_factory=lambda: Predictions(np.empty(0)))
    further: dict[str, Predictions] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def task(self) -> Task:
        return self.suite.data.task

    @functools.cached_property
    def headline(self) -> Measure:
        """The headline metric on the sentences that count: what claims are judged by."""
        return self.measure(self.task.headline.name)

    def measure(self, metric: str, split: str | None = None) -> Measure:
        """A metric on a further split, or on the sentences that count."""
        predictions = self.predictions if split is None else self.further[split]
        return Measure(METRICS[metric], predictions, self.task.classes)

    def units(self, split: str | None = None) -> list[Unit]:
        """Every method and state that has runs, in the suite's order."""
        by_run = (self.predictions if split is None else self.further[split]).by_run
        every = [(method, state) for method in self.suite.methods for state in STATES]
        return [unit for unit in every if by_run.get(unit)]

    def seeds(self, *units: Unit, split: str | None = None) -> tuple[int, ...]:
        """The seeds that all of these methods and states have, in the suite's order."""
        by_run = (self.predictions if split is None else self.further[split]).by_run
        have = [by_run.get(unit, {}) for unit in units]
        return tuple(seed for seed in self.suite.seeds if all(seed in seeds for seeds in have))

    def files(self, run: Run) -> RunFiles:
        """The files of one run."""
        return self.layout.run(self.suite.name, *run)

    def path(self, run: Run) -> str:
        """The run's record, relative to the suite's folder of results."""
        return str(self.files(run).result.relative_to(self.layout.suite(self.suite.name)))

    def paths(self, method: str, seeds: Collection[int] | None = None) -> tuple[str, ...]:
        """The records of `method`, of all its seeds or of `seeds`."""
        return tuple(
            self.path(run)
            for run in self.results
            if run[0] == method and (seeds is None or run[1] in seeds)
        )

    def remake(self, run: Run) -> str:
        """The command that makes the run anew."""
        return remake(self.files(run).result)

    def fault(self, run: Run, message: str) -> None:
        """Add an error about one run, with the command that remakes it."""
        self.findings.append(
            Finding(
                severity="error",
                about=f"{run[0]}, seed {run[1]}",
                message=message,
                runs=(self.path(run),),
                remedy=self.remake(run),
            )
        )

    def state_of(self, method: str, state: str) -> str:
        """`state`, or `unpruned` for a method without gates, which has no other."""
        return state if self.suite.method(method).gated else "unpruned"

    def headline_state(self, method: str) -> str:
        """The state that a method is quoted for."""
        return self.state_of(method, "pruned")


def read_results(suite: Suite, layout: Layout) -> Runs:
    """The records of all runs that the suite asks for; missing and broken ones are findings."""
    runs = Runs(suite, layout)
    for run in suite.runs():
        path = runs.files(run).result
        try:
            result = read_record(path, Result)
        except InputError as error:
            runs.fault(run, "has not been run" if not path.exists() else _without_remedy(error))
            continue
        named = (result.suite, result.method, result.seed)
        if named != (suite.name, *run):
            runs.fault(run, f"{path}: says it is {' '.join(map(str, named))}")
            continue
        runs.results[run] = result
    return runs


def read_runs(suite: Suite, layout: Layout) -> Runs:
    """As `read_results`, with the predictions; a run whose predictions are wrong is left out.

    What is wrong with a further split is an error of its own; the run counts all the same.
    """
    runs = read_results(suite, layout)

    def drop(run: Run, message: str) -> None:
        runs.fault(run, message)
        del runs.results[run]

    every = {
        run: (runs.files(run).predictions, result.predictions, result.states)
        for run, result in runs.results.items()
    }
    runs.predictions = _read_split(runs, every, drop)
    wanted = suite.data.validation[1:] if suite.protocol.evaluate_on == "validation" else ()
    for split in wanted:
        found = {}
        for run, result in runs.results.items():
            if split not in result.further:
                runs.fault(run, f"has not been evaluated on the split '{split}'")
                continue
            own = result.further[split]
            found[run] = (runs.files(run).further_predictions(split), own.predictions, own.states)
        runs.further[split] = _read_split(runs, found, runs.fault)
    return runs


def hardware(result: Result) -> str:
    """The device a run was trained on."""
    environments = result.provenance.environments
    where = environments.get("train") or next(iter(environments.values()))
    return where.accelerator or where.processor


def _read_split(
    runs: Runs,
    recorded: dict[Run, tuple[Path, str, dict[str, State]]],
    refuse: Callable[[Run, str], None],
) -> Predictions:
    """The predictions of runs on one split; `refuse` is told of those that cannot be used.

    Args:
        runs: whose they are.
        recorded: run → its table, the hash that its record has of it, and the states' metrics.
        refuse: takes a run and why.
    """
    sentences, agreed = {}, {}
    for run, (path, digest, states) in recorded.items():
        try:
            table = read_predictions(path)
            agreed[run] = _agreed(table, digest, states, runs.task, path)
        except InputError as error:
            refuse(run, _without_remedy(error))
            continue
        sentences[run] = _sentences(table)
    usual = max(Counter(sentences.values()).items(), key=lambda item: item[1], default=(None,))[0]
    found = Predictions(np.empty(0))
    for run, own in sentences.items():
        if own != usual:
            refuse(
                run,
                f"{recorded[run][0]}: its sentences or labels differ from those of "
                f"{sum(other == usual for other in sentences.values())} other runs",
            )
            continue
        for state in recorded[run][2]:
            labels, predicted = agreed[run][state]
            found.labels = found.labels if found.by_run else labels
            found.by_run.setdefault((run[0], state), {})[run[1]] = predicted
    return found


def _agreed(
    table: pd.DataFrame, digest: str, states: dict[str, State], task: Task, path: Path
) -> dict[str, tuple[Num[np.ndarray, " n"], Num[np.ndarray, " n"]]]:
    """State → labels, and what is predicted; InputError unless the record was written from it."""
    if predictions_hash(table) != digest:
        raise InputError("its content is not what result.json was written from", file=path)
    logits = logits_of(table)
    if logits.shape[1] != task.num_labels:
        raise InputError(
            f"has {logits.shape[1]} logits a sentence, the data set asks for {task.num_labels}",
            file=path,
        )
    every = table["label"].to_numpy()
    held = {
        state: (every[rows], task.predicted(logits[rows]).astype(every.dtype))
        for state, rows in rows_of(table).items()
    }
    if held.keys() != states.keys():
        raise InputError("holds other states than result.json", file=path, value=sorted(held))
    for state, recorded in states.items():
        labels, predicted = held[state]
        if len(labels) != recorded.n:
            raise InputError(
                f"holds {len(labels)} sentences, result.json says {recorded.n}", file=path,
                key=state,
            )  # fmt: skip
        for name, said in recorded.metrics.items():
            if name not in METRICS:
                continue
            own = measured(METRICS[name], labels, predicted, task.classes)
            if abs(own - said) > TOLERANCE * max(1.0, abs(own)):
                raise InputError(
                    f"gives {METRICS[name].title} {own:.6f}, result.json says {said:.6f}",
                    file=path, key=state,
                )  # fmt: skip
    return held


def _sentences(table: pd.DataFrame) -> tuple:
    """Which sentences with which labels a run was evaluated on."""
    rows = next(iter(rows_of(table).values()))
    ids, labels = table["sentence_id"].to_numpy(object), table["label"].to_numpy()
    return tuple(ids[rows]), labels[rows].tobytes()


def _without_remedy(error: InputError) -> str:
    """The error's message; a finding has a place of its own for the remedy."""
    return str(error).split("\n  what to do:")[0]
