"""From a suite's runs to a verdict on each of its claims."""

from __future__ import annotations

from collections.abc import Sequence

from wsa.evidence.claims import KINDS
from wsa.evidence.runs import Runs
from wsa.records.evidence import JudgedClaim, Judgement, PairComparison


def judge_claims(runs: Runs, comparisons: Sequence[PairComparison]) -> tuple[JudgedClaim, ...]:
    """Every claim of the suite with its judgements, one for each state it is judged in.

    Claims that rest on missing or broken runs are judged from the runs that there are, or not at
    all.
    """
    judged: dict[str, tuple[Judgement, ...]] = {}
    for kind in KINDS:
        own = [claim for claim in runs.suite.claims if type(claim) is kind]
        judgements = kind.judge_all(own, runs, comparisons) if own else []
        judged |= {claim.id: found for claim, found in zip(own, judgements, strict=True)}
    return tuple(
        JudgedClaim(claim=claim, judgements=judged[claim.id]) for claim in runs.suite.claims
    )
