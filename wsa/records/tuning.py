"""What the trials of a method gave, and which values its seeds run with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wsa.errors import InputError, remake
from wsa.layout import Layout
from wsa.records.record import SCHEMA_VERSION, Record, read_record
from wsa.records.run import StateName
from wsa.suite.schema import Suite
from wsa.suite.tuning import trial_values, with_values


class Trial(Record):
    """One trial: a run of the suite of trials."""

    method: str = Field(description="its name there: <method>.<number>")
    values: dict[str, int | float] = Field(description="key of the method → what was tried")
    states: dict[StateName, float] = Field(
        description="state → the headline metric on the sentences held out"
    )
    result: str = Field(description="its record, relative to the folder of all results")
    predictions: str = Field(description="sha256 of its table of predictions' content")


class MethodTuning(Record):
    """`tuning/<method>.json`: all trials of a method, and the chosen one."""

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: str
    method: str
    metric: str = Field(description="the headline metric's name; chosen by, as trained")
    seed: int
    steps: int = Field(description="of each trial's training")
    sentences: int = Field(description="held out, that judged")
    ranges: dict[str, tuple[int | float, int | float]]
    trials: tuple[Trial, ...] = Field(description="learning rates rising")
    chosen: str = Field(description="the trial whose values the seeds have")
    edges: dict[str, Literal["least", "largest"]] = Field(
        description="key → its chosen value is the least or the largest of those tried"
    )

    @property
    def best(self) -> Trial:
        """The chosen trial."""
        return next(trial for trial in self.trials if trial.method == self.chosen)


def read_tuning(suite: Suite, method: str, layout: Layout) -> MethodTuning:
    """What the trials of `method` gave.

    Raises:
        InputError: it has not been tuned, its record is damaged, or the suite now asks for other
            trials.
    """
    path = layout.tuning(suite.tuned_in, method)
    if not path.exists():
        raise InputError(
            f"method '{method}' has not been tuned yet", file=path,
            remedy=f"run its trials: {remake(path)}",
        )  # fmt: skip
    found = read_record(path, MethodTuning)
    wanted = trial_values(suite.method(method), suite.tuning.trials)
    if [trial.values for trial in found.trials] != wanted:
        raise InputError(
            "was made from other trials than the suite asks for", file=path, key="trials",
            remedy=f"run them: {remake(path)}",
        )  # fmt: skip
    return found


def tuned(suite: Suite, layout: Layout) -> Suite:
    """`suite` with the chosen values in every method whose trials have been run.

    A method without keeps its ranges: it can be shown, and not be trained.
    """
    methods = dict(suite.methods)
    for name in suite.tuned_methods():
        try:
            values = read_tuning(suite, name, layout).best.values
        except InputError:  # for a finding to tell, or for who trains
            continue
        methods[name] = with_values(suite.methods[name], values)
    return suite.model_copy(update={"methods": methods})
