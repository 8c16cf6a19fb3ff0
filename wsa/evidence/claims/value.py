"""A method's headline metric is about a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from wsa.evidence.claims.base import BaseClaim, State
from wsa.suite.strict import Many, Name

if TYPE_CHECKING:
    from wsa.evidence.runs import Runs
    from wsa.records.evidence import Judgement
    from wsa.task import Task


class ValueClaim(BaseClaim):
    """The headline metric of `method` is about `expected`, within `margin`: an accuracy in percent
    and points, any metric as it is shown.

    Judged once in each of `states`; a method without gates has only the state `unpruned`.
    """

    kind: Literal["value"]
    method: Name
    states: Many[State] = Field(default=("unpruned",), min_length=1)
    expected: float
    margin: Annotated[float, Field(gt=0)]

    def methods_named(self) -> tuple[str, ...]:
        return (self.method,)

    def check(self, task: Task) -> None:
        metric = task.headline
        if metric.unit == "%" and not 0 <= self.expected <= 100:
            raise ValueError(f"expected: {metric.title} is from 0 to 100 %, not {self.expected:g}")
        if metric.scale == 100 and abs(self.expected) > 100:
            raise ValueError(f"expected: {metric.title} ×100 is not {self.expected:g}")

    def judge(self, runs: Runs) -> tuple[Judgement, ...]:
        return tuple(self._judge_in(runs, state) for state in self.states)

    def _judge_in(self, runs: Runs, wanted: str) -> Judgement:
        """Is the metric, a number of these very sentences, about the claimed one?"""
        from wsa.evidence.judgements import AGAIN, called, not_measured, too_few, unit_word
        from wsa.evidence.regions import TEST, judge_mean

        metric = runs.task.headline
        unit = (self.method, runs.state_of(self.method, wanted))
        seeds = runs.seeds(unit)
        name = called(runs, *unit)
        after = " %" if metric.unit == "%" else ""
        fields = {
            "state": wanted,
            "claimed": f"{self.expected:g} ± {self.margin:g}{after}",
            "unit": unit_word(metric),
            "test": TEST.format("seeds, on these sentences") + AGAIN,
            "seeds": len(seeds),
            "runs": runs.paths(self.method, seeds),
        }
        if not seeds:
            return not_measured(f"There are no runs of {name}.", **fields)
        several = len(seeds) > 1
        spread = runs.headline.spread(unit, seeds).on_these_sentences() if several else None
        return judge_mean(
            f"The {metric.title} of {name}",
            runs.headline.values(unit, seeds),
            spread and spread.times(metric.scale),
            self.expected - self.margin,
            self.expected + self.margin,
            after=after,
            digits=metric.places,
            limits=runs.headline.limits,
            sentences=runs.predictions.sentences,
            notes=too_few(runs, seeds, self.method),
            **fields,
        )
