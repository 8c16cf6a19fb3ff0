"""How far a gate can move while it trains, against how far it has to."""

from __future__ import annotations

from collections.abc import Collection

from wsa.records.run import Rank
from wsa.suite.schema import Method


def unreachable(method: Method, ranks: Collection[Rank]) -> str:
    """Why no gate of `method` could pass its threshold, whatever the data; empty if one could.

    AdamW moves a parameter by about its learning rate in each step, so a gate by at most about the
    sum of them.

    Args:
        ranks: of its runs; the one whose learning rates sum to least counts.
    """
    start, need, _ = way(method)
    if not moved_by_optimizer(method) or least(ranks) >= need:
        return ""
    verb = "fall below" if start else "reach"
    return f"no gate could {verb} the threshold under this schedule"


def moved_by_optimizer(method: Method) -> bool:
    """Whether gates move as they train; those that choose directions otherwise do not."""
    return not (method.adapter or {}).get("choose")


def way(method: Method) -> tuple[int, float, str]:
    """Where a gate of `method` starts, how far it has to go, and what for."""
    threshold = method.threshold
    if (method.adapter or {}).get("gate") == "singular_value":  # the others start at 1
        return 0, threshold, f"to be kept, it must pass {threshold:g}"
    return 1, 1 - threshold, f"to be pruned, it must fall below {threshold:g}"


def least(ranks: Collection[Rank]) -> float:
    """About as far as a gate can go: the sum of its learning rates, the least of these runs."""
    return min(rank.sum_of_learning_rates for rank in ranks)
