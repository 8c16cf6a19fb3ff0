"""What every claim says, and what its kind has to bring.

A suite's schema is built from these models: a module of this folder imports nothing heavy but
inside the functions that judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from wsa.suite.strict import Name, Strict

if TYPE_CHECKING:
    from wsa.evidence.runs import Runs
    from wsa.records.evidence import Judgement, PairComparison
    from wsa.task import Task

State = Literal["unpruned", "pruned"]


class BaseClaim(Strict):
    """A sentence that somebody has claimed. A kind adds `kind: Literal["<its name>"]`, its own
    fields, and `judge` or `judge_all`.
    """

    id: Name
    sentence: str = Field(description="the claim in its author's words")
    source: str
    note: str = Field(default="", description="how the sentence was read, where it leaves it open")

    def methods_named(self) -> tuple[str, ...]:
        """The suite's methods that the claim is about; a suite must have them all."""
        return ()

    def methods_timed(self) -> tuple[str, ...]:
        """Those of them whose time, merged, it is about."""
        return ()

    def check(self, task: Task) -> None:
        """Raise ValueError where the claim cannot be one about this task."""

    def judge(self, runs: Runs) -> tuple[Judgement, ...]:
        """The claim's judgements, one for each state that it is judged in."""
        raise NotImplementedError(f"claims of kind {self.kind!r} have no judge")

    @classmethod
    def judge_all(
        cls, claims: Sequence[Self], runs: Runs, comparisons: Sequence[PairComparison]
    ) -> list[tuple[Judgement, ...]]:
        """The judgements of all the suite's claims of this kind, in their order.

        A kind whose claims are judged as one family has its own.

        Args:
            claims: of this kind.
            runs: with predictions.
            comparisons: every pair of methods and states, as they are written.
        """
        return [claim.judge(runs) for claim in claims]


def low_below_high(claim: Any) -> Any:
    """For claims of a region: a validator."""
    if claim.low > claim.high:
        raise ValueError(f"low ({claim.low:g}) is above high ({claim.high:g})")
    return claim
