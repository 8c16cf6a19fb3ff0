"""What a suite's page says of the trials that its methods had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsa.leaderboard.measures import shown
from wsa.records.tuning import MethodTuning, Trial

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView


@dataclass(frozen=True)
class TrialLine:
    """One trial.

    Attributes:
        trial: its record.
        value: the headline metric on the sentences held out, as trained and as it is shown.
        file: its run's record, relative to the suite's page; None where that is not here.
    """

    trial: Trial
    value: float
    file: str | None


@dataclass(frozen=True)
class TunedRow:
    """A method's trials, learning rates rising."""

    name: str
    tuning: MethodTuning
    lines: list[TrialLine]

    @property
    def best(self) -> TrialLine:
        return next(line for line in self.lines if line.trial.method == self.tuning.chosen)


def tuned_rows(view: SuiteView) -> list[TunedRow]:
    """Every method whose trials have been run, in the suite's order."""
    there = {file for file, _ in trial_records(view)}
    rows = []
    for name, tuning in view.results.tunings.items():
        lines = []
        for trial in tuning.trials:
            value, file = shown(trial.states["unpruned"], view.metric), _file(trial)
            lines.append(TrialLine(trial, value, file if file in there else None))
        rows.append(TunedRow(name, tuning, lines))
    return rows


def trial_records(view: SuiteView) -> Iterator[tuple[str, Path]]:
    """(file below the suite's page, record) of every trial whose record is here."""
    for tuning in view.results.tunings.values():
        for trial in tuning.trials:
            path = view.results.layout.results / trial.result
            if path.is_file():
                yield _file(trial), path


def _file(trial: Trial) -> str:
    return f"trials/{trial.method}.json"
