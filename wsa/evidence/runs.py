"""A suite's runs, read from disk; what cannot be read becomes a finding, never a failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from wsa.errors import InputError, remake
from wsa.layout import Layout, RunFiles
from wsa.records.evidence import Finding
from wsa.records.predictions import predictions_hash, read_predictions
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.suite.schema import Suite

Run = tuple[str, int]  # method, seed


@dataclass
class Runs:
    """The readable runs of a suite.

    Attributes:
        results: (method, seed) → the run's record.
        correct: (method, state) → seed → which sentences were classified correctly, in one order
            of sentences for all runs; filled by `read_runs`.
        findings: what was missing or broken.
    """

    suite: Suite
    layout: Layout
    results: dict[Run, Result] = field(default_factory=dict)
    correct: dict[tuple[str, str], dict[int, Bool[np.ndarray, " sentences"]]] = field(
        default_factory=dict
    )
    findings: list[Finding] = field(default_factory=list)

    def files(self, run: Run) -> RunFiles:
        """The files of one run."""
        return self.layout.run(self.suite.name, *run)

    def path(self, run: Run) -> str:
        """The run's record, relative to the suite's folder of results."""
        return str(self.files(run).result.relative_to(self.layout.suite(self.suite.name)))

    def paths(self, method: str, seeds: object = None) -> tuple[str, ...]:
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

    def table(self, method: str, state: str, seeds: tuple[int, ...]) -> Bool[np.ndarray, "k n"]:
        """Which sentences were classified correctly: seeds × sentences."""
        return np.stack([self.correct[method, state][seed] for seed in seeds])

    def state_of(self, method: str, state: str) -> str:
        """`state`, or `unpruned` for a method without gates, which has no other."""
        return state if self.suite.method(method).gated else "unpruned"


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
    """As `read_results`, with the predictions; a run whose predictions are wrong is left out."""
    runs = read_results(suite, layout)
    tables = {}
    for run, result in list(runs.results.items()):
        path = runs.files(run).predictions
        try:
            table = read_predictions(path)
            _agrees(table, result, path)
        except InputError as error:
            runs.fault(run, _without_remedy(error))
            del runs.results[run]
            continue
        tables[run] = table
    sentences = {run: _sentences(table) for run, table in tables.items()}
    usual = max(Counter(sentences.values()).items(), key=lambda item: item[1], default=(None,))[0]
    for run, table in tables.items():
        if sentences[run] != usual:
            runs.fault(
                run,
                f"{runs.files(run).predictions}: its sentences or labels differ from those of "
                f"{sum(other == usual for other in sentences.values())} other runs",
            )
            del runs.results[run]
            continue
        right, states = _right(table), table["state"].to_numpy(object)
        for state in runs.results[run].states:
            runs.correct.setdefault((run[0], state), {})[run[1]] = right[states == state]
    return runs


def hardware(result: Result) -> str:
    """The device a run was trained on."""
    environments = result.provenance.environments
    where = environments.get("train") or next(iter(environments.values()))
    return where.accelerator or where.processor


def _agrees(table, result: Result, path: Path) -> None:
    """Raise InputError unless the predictions are those that the record was written from."""
    if predictions_hash(table) != result.predictions:
        raise InputError("its content is not what result.json was written from", file=path)
    held = set(table["state"].unique())
    if held != set(result.states):
        raise InputError("holds other states than result.json", file=path, value=sorted(held))
    right, states = _right(table), table["state"].to_numpy(object)
    for state, recorded in result.states.items():
        own = right[states == state]
        if len(own) != recorded.n or abs(own.mean() - recorded.accuracy) > 1e-9:
            raise InputError(
                f"{own.mean():.6f} of {len(own)} are right, result.json says "
                f"{recorded.accuracy:.6f} of {recorded.n}",
                file=path, key=state,
            )  # fmt: skip


def _right(table) -> Bool[np.ndarray, " rows"]:
    """Which predictions are correct."""
    return (table["logit_1"] > table["logit_0"]).to_numpy() == (table["label"] == 1).to_numpy()


def _sentences(table) -> tuple:
    """Which sentences with which labels a run was evaluated on."""
    rows = table[table["state"] == table["state"].iloc[0]]
    return tuple(rows["sentence_id"].to_numpy(object)), rows["label"].to_numpy().tobytes()


def _without_remedy(error: InputError) -> str:
    """The error's message; a finding has a place of its own for the remedy."""
    return str(error).split("\n  what to do:")[0]
