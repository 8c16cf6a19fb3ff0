"""A quantity of a method lies in an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from wsa.evidence.claims.base import BaseClaim, low_below_high
from wsa.suite.strict import Name

if TYPE_CHECKING:
    from collections.abc import Collection

    from wsa.evidence.runs import Runs
    from wsa.records.evidence import Judgement


class IntervalClaim(BaseClaim):
    """A quantity of `method` lies between `low` and `high`."""

    kind: Literal["interval"]
    method: Name
    quantity: Literal["effective_rank"]
    low: float
    high: float

    _ordered = model_validator(mode="after")(low_below_high)

    def methods_named(self) -> tuple[str, ...]:
        return (self.method,)

    def judge(self, runs: Runs) -> tuple[Judgement, ...]:
        """Is the mean effective rank, over modules and seeds, in the claimed interval?"""
        import numpy as np

        from wsa.evidence.judgements import not_measured, too_few
        from wsa.evidence.regions import TEST, judge_mean

        ranks = {
            seed: result.rank
            for (method, seed), result in runs.results.items()
            if method == self.method and result.rank is not None
        }
        fields = {
            "state": None,
            "claimed": f"{self.low:g} to {self.high:g}",
            "unit": "directions",
            "test": TEST.format("seeds"),
            "seeds": len(ranks),
            "runs": runs.paths(self.method, ranks),
        }
        if not ranks:
            return (not_measured(f"There are no runs of {self.method} with gates.", **fields),)
        judgement = judge_mean(
            f"The mean effective rank of {self.method}",
            np.array([rank.effective_mean for rank in ranks.values()]),
            self.low,
            self.high,
            notes=too_few(runs, ranks, self.method) + _reach(runs, self.method, ranks),
            **fields,
        )
        return (judgement,)


def _reach(runs: Runs, method: str, seeds: Collection[int]) -> tuple[str, ...]:
    """How far the gates of `method` could have moved, against how far they had to."""
    ranks = [runs.results[method, seed].rank for seed in seeds]
    moved, threshold = min(rank.sum_of_learning_rates for rank in ranks), ranks[0].threshold
    adapter = runs.suite.method(method).adapter or {}
    if adapter.get("choose"):
        return ()  # gates that no optimizer moves
    if adapter.get("gate") == "singular_value":  # the others start at 1
        start, need, task = 0, threshold, f"to be kept, it must pass {threshold:g}"
    else:
        start, need, task = 1, 1 - threshold, f"to be pruned, it must fall below {threshold:g}"
    said = (
        f"A gate starts at {start}; AdamW can move it by about the sum of its learning rates, "
        f"{moved:.3g}; {task}, "
    )
    if moved < need:
        return (said + "which was out of reach whatever the data say.",)
    return (said + f"which takes {100 * need / moved:.0f} % of all the way it can go.",)
