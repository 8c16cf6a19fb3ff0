"""What a suite's page says of the trials that its methods had."""

from __future__ import annotations

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
        record: names its run's record among those of the suite; None where that is not here.
    """

    trial: Trial
    value: float
    record: str | None


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
    there = trial_records(view)
    rows = []
    for name, tuning in view.results.tunings.items():
        lines = []
        for trial in tuning.trials:
            value = shown(trial.states["unpruned"], view.metric)
            key = f"{trial.method}/{tuning.seed}"
            lines.append(TrialLine(trial, value, key if key in there else None))
        rows.append(TunedRow(name, tuning, lines))
    return rows


def trial_records(view: SuiteView) -> dict[str, Path]:
    """The record of every trial's run that is here, by method and seed."""
    found = {}
    for tuning in view.results.tunings.values():
        for trial in tuning.trials:
            path = view.results.layout.results / trial.result
            if path.is_file():
                found[f"{trial.method}/{tuning.seed}"] = path
    return found
