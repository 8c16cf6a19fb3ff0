"""A suite's runs take at most so long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from wsa.evidence.claims.base import BaseClaim
from wsa.suite.strict import Many, Name

if TYPE_CHECKING:
    from wsa.evidence.runs import Runs
    from wsa.records.evidence import Judgement


class BudgetClaim(BaseClaim):
    """All runs of `methods` together take at most `limit` seconds on `hardware`."""

    kind: Literal["budget"]
    quantity: Literal["total_seconds"]
    limit: Annotated[float, Field(gt=0)]
    hardware: str = Field(description="part of the accelerator's name, such as 'RTX A6000'")
    methods: Many[Name] = Field(default=(), description="default: every method of the suite")

    def methods_named(self) -> tuple[str, ...]:
        return self.methods

    def judge(self, runs: Runs) -> tuple[Judgement, ...]:
        """Do the runs take no longer than claimed? Judged only on the hardware of the claim."""
        return (self._judge(runs),)

    def _judge(self, runs: Runs) -> Judgement:
        from wsa.evidence.judgements import decided, not_measured, undecided
        from wsa.evidence.runs import hardware
        from wsa.evidence.statistics import CONTRADICTED, SUPPORTED

        methods = self.methods or tuple(runs.suite.methods)
        wanted = [(method, seed) for method in methods for seed in runs.suite.seeds]
        found = {run: runs.results[run] for run in wanted if run in runs.results}
        total = sum(
            result.cost.train_seconds + len(result.states) * result.cost.evaluate_seconds
            for result in found.values()
        )
        where = sorted({hardware(result) for result in found.values()})
        fields = {
            "state": None,
            "claimed": f"at most {_duration(self.limit)} on one {self.hardware}",
            "unit": "seconds",
            "test": "a sum over runs, not a test",
            "seeds": len({seed for _, seed in found}),
            "runs": tuple(runs.path(run) for run in found),
        }
        if not found:
            return not_measured("There are no runs.", **fields)
        count = f"{len(found)} of {len(wanted)} runs"
        fields |= {
            "estimate": total,
            "measured": f"{_duration(total)} ({count})",
            "notes": ("Training and evaluation alone, without loading and decomposition.",),
        }
        said = f"{count} took {_duration(total)} on {', '.join(where)}"
        if not all(self.hardware.lower() in device.lower() for device in where):
            return not_measured(f"{said}, not on one {self.hardware}.", **fields)
        if total > self.limit:
            return decided(CONTRADICTED, f"{said}, more than {_duration(self.limit)}.", **fields)
        if len(found) < len(wanted):
            return undecided(f"{said}.", advice="The missing runs would decide it.", **fields)
        return decided(SUPPORTED, f"{said}, not more than {_duration(self.limit)}.", **fields)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
