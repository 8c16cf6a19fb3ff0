"""A quantity of one method, divided by that of another, lies in an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from wsa.evidence.claims.base import BaseClaim, low_below_high
from wsa.suite.strict import Name

if TYPE_CHECKING:
    from wsa.evidence.runs import Runs
    from wsa.records.evidence import Judgement
    from wsa.records.run import Result

BASE = "base"  # the pretrained model without an adapter


class RatioClaim(BaseClaim):
    """A quantity of `method`, divided by that of `reference`, lies between `low` and `high`.

    `parameters_kept` counts the adapter's parameters, without the head, which is the same in every
    method. `inference_seconds` is that of the merged model; its reference `base` is the
    pretrained model without an adapter.
    """

    kind: Literal["ratio"]
    quantity: Literal["parameters_kept", "inference_seconds"]
    method: Name
    reference: Name
    low: float = 0.0
    high: float

    _ordered = model_validator(mode="after")(low_below_high)

    @model_validator(mode="after")
    def _base_has_no_parameters(self) -> RatioClaim:
        if self.reference == BASE and self.quantity != "inference_seconds":
            raise ValueError("only inference_seconds can be compared with 'base'")
        return self

    def methods_named(self) -> tuple[str, ...]:
        return (self.method,) if self.reference == BASE else (self.method, self.reference)

    def methods_timed(self) -> tuple[str, ...]:
        return self.methods_named() if self.quantity == "inference_seconds" else ()

    def judge(self, runs: Runs) -> tuple[Judgement, ...]:
        """Is one method's quantity, divided by another's, in the claimed interval?"""
        from wsa.evidence.regions import region

        fields = {"state": None, "claimed": region(self.low, self.high), "unit": "ratio"}
        if self.quantity == "inference_seconds":
            return (self._judge_inference(runs, fields),)
        return (self._judge_parameters(runs, fields),)

    def _judge_parameters(self, runs: Runs, fields: dict[str, Any]) -> Judgement:
        import numpy as np

        from wsa.evidence.judgements import AGAIN, called, not_measured, too_few
        from wsa.evidence.regions import TEST, judge_mean
        from wsa.evidence.statistics import one_way

        seeds = [
            seed
            for seed in runs.suite.seeds
            if {(self.method, seed), (self.reference, seed)} <= runs.results.keys()
        ]
        fields |= {
            "test": TEST.format("seeds") + AGAIN,
            "seeds": len(seeds),
            "runs": runs.paths(self.method, seeds) + runs.paths(self.reference, seeds),
        }
        names = f"{called(runs, self.method)} and {called(runs, self.reference)}"
        if not seeds:
            return not_measured(f"There are no runs of {names} with the same seed.", **fields)
        own, other = (
            np.array([kept.kept - kept.head for kept in counts], dtype=float)
            for counts in (
                [runs.results[method, seed].parameters for seed in seeds]
                for method in (self.method, self.reference)
            )
        )
        if not other.all():
            said = f"{called(runs, self.reference)} has no adapter parameters to compare with."
            return not_measured(said, **fields)
        counted = (
            f"{own.mean():,.0f} adapter parameters kept against {other.mean():,.0f}, without heads."
        )
        ratios = own / other
        step = max(_a_direction(runs.results[self.method, seed]) for seed in seeds)
        return judge_mean(
            f"The ratio of the adapter parameters kept by {names}",
            ratios,
            one_way(ratios, step / other.mean()) if len(seeds) > 1 else None,
            self.low,
            self.high,
            limits=(0, np.inf),
            notes=(counted, *too_few(runs, seeds, self.method, self.reference)),
            **fields,
        )

    def _judge_inference(self, runs: Runs, fields: dict[str, Any]) -> Judgement:
        import numpy as np

        from wsa.errors import InputError
        from wsa.evidence.judgements import called, not_measured
        from wsa.evidence.regions import TEST, judge_mean
        from wsa.evidence.statistics import one_way
        from wsa.records.evidence import Inference
        from wsa.records.record import read_record

        path = runs.layout.inference_json(runs.suite.name)
        fields |= {"test": TEST.format("rounds timed in turn, their ratio"), "seeds": 0, "runs": ()}
        advice = f"`wsa inference {runs.suite.name}`, then `wsa aggregate {runs.suite.name}`."
        if not path.exists():
            return not_measured(
                f"Inference has not been timed: there is no {path.name}.", advice=advice, **fields
            )
        try:
            timed = read_record(path, Inference)
            own, other = (timed.seconds.get(name, ()) for name in (self.method, self.reference))
            if not own or len(own) != len(other):
                raise InputError(f"it lacks rounds of '{self.method}' and '{self.reference}'")
        except InputError as error:
            return not_measured(
                f"{path.name} cannot be used: {error.problem}.", advice=advice, **fields
            )
        where = timed.environment.accelerator or timed.environment.processor
        note = (
            f"{len(own)} rounds of {timed.sentences} sentences on {where}; the interval is for "
            "other rounds there, not for other machines."
        )
        base = self.reference == BASE
        other_name = "the pretrained model" if base else called(runs, self.reference)
        ratios = np.divide(own, other)
        judgement = judge_mean(
            f"The time of {called(runs, self.method)}, merged, divided by that of {other_name},",
            ratios,
            one_way(ratios).once() if len(ratios) > 1 else None,
            self.low,
            self.high,
            digits=3,
            limits=(0, np.inf),
            what="round",
            notes=(note,),
            sentences=timed.sentences,
            **fields,
        )
        # the values are rounds here: what more seeds would do is not the question
        advice = "More rounds of timing may decide it." if judgement.advice else ""
        return judgement.model_copy(update={"more_seeds": None, "advice": advice})


def _a_direction(result: Result) -> float:
    """The parameters of one direction of a module, on average: the least that pruning drops; none
    where nothing is pruned and the count is no matter of chance.
    """
    if result.rank is None:
        return 0.0
    adapter = result.parameters.trainable - result.parameters.head
    return adapter / (result.rank.initial * len(result.rank.effective_by_layer))
