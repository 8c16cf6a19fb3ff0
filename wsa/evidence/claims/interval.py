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
    from wsa.records.run import Rank


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

        from wsa.evidence.judgements import AGAIN, called, not_measured, too_few
        from wsa.evidence.reach import unreachable
        from wsa.evidence.regions import TEST, judge_mean
        from wsa.evidence.statistics import one_way

        ranks = {
            seed: result.rank
            for (method, seed), result in runs.results.items()
            if method == self.method and result.rank is not None
        }
        fields = {
            "state": None,
            "claimed": f"{self.low:g} to {self.high:g}",
            "unit": "directions",
            "test": TEST.format("seeds") + AGAIN,
            "seeds": len(ranks),
            "runs": runs.paths(self.method, ranks),
        }
        name = called(runs, self.method)
        if not ranks:
            return (not_measured(f"There are no runs of {name} with gates.", **fields),)
        effective = np.array([rank.effective_mean for rank in ranks.values()])
        initial = max(rank.initial for rank in ranks.values())
        modules = max(len(rank.effective_by_layer) for rank in ranks.values())
        judgement = judge_mean(
            f"The mean effective rank of {name}",
            effective,
            one_way(effective, step=1 / modules) if len(ranks) > 1 else None,
            self.low,
            self.high,
            limits=(0, initial),
            notes=too_few(runs, ranks, self.method) + _way(runs, self.method, ranks.values()),
            **fields,
        )
        if cause := unreachable(runs.suite.method(self.method), ranks.values()):
            sentence = f"{judgement.sentence} {cause[:1].upper()}{cause[1:]}."
            judgement = judgement.model_copy(update={"sentence": sentence})
        return (judgement,)


def _way(runs: Runs, method: str, ranks: Collection[Rank]) -> tuple[str, ...]:
    """How far the gates of `method` could have moved, against how far they had to."""
    from wsa.evidence.reach import least, moved_by_optimizer, way

    known = runs.suite.method(method)
    if not moved_by_optimizer(known):
        return ()
    start, need, task = way(known)
    moved = least(ranks)
    said = (
        f"A gate starts at {start}; AdamW can move it by about the sum of its learning rates, "
        f"{moved:.3g}; {task}, "
    )
    if moved < need:
        return (said + "which was out of reach whatever the data say.",)
    return (said + f"which takes {100 * need / moved:.0f} % of all the way it can go.",)
