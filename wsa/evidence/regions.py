"""Does a mean lie where it was claimed to lie? What value, interval and ratio claims share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from wsa.evidence import planning
from wsa.evidence.judgements import ONE_MORE, ONE_SEED, decided, number, undecided
from wsa.evidence.statistics import (
    CONTRADICTED,
    SUPPORTED,
    equivalence_p,
    judge_region,
    t_interval,
)
from wsa.records.evidence import Interval, Judgement

TEST = "Over {}: two one-sided t-tests at 5 % each for support, 95 % interval for contradiction"


def zero_spread(values: Float[np.ndarray, " seeds"]) -> tuple[str, ...]:
    """A note where seeds that agree to the last sentence would pass for certainty."""
    if len(values) < 2 or np.ptp(values) > 0:
        return ()
    return (
        f"All {len(values)} seeds give the very same number, and an interval without width: that "
        "is no certainty, other seeds may well differ.",
    )


def judge_mean(
    subject: str,
    values: Float[np.ndarray, " n"],
    low: float,
    high: float,
    *,
    after: str = "",
    digits: int = 2,
    **fields,
) -> Judgement:
    """Does the mean of the population of `values` lie in [low, high]?"""
    n, mean = len(values), float(values.mean())
    text = f"{number(mean, digits)}{after}"
    fields["estimate"] = mean
    if n == 1:
        return undecided(
            f"{subject} is {text} in the only run. {ONE_SEED}",
            measured=f"{text} (n = 1)",
            advice=ONE_MORE,
            **fields,
        )
    std = float(values.std(ddof=1))
    interval = Interval(**dict(zip(("low", "high"), map(float, t_interval(values)), strict=True)))
    fields |= {
        "measured": f"{number(mean, digits)} ± {number(std, digits)}{after} (n = {n})",
        "interval": interval,
        "p": float(equivalence_p(values, low, high)),
    }
    low_end, high_end = (number(end, digits) for end in (interval.low, interval.high))
    between = f"95 % interval {low_end} to {high_end}"
    said = f"{subject} is {text} ({between})"
    code = int(judge_region(values, low, high))
    if code == SUPPORTED:
        return decided(code, f"{said}, within the claimed {region(low, high)}.", **fields)
    if code == CONTRADICTED:
        side = "above" if mean > high else "below"
        return decided(code, f"{said}, {side} the claimed {region(low, high)}.", **fields)
    more, advice = planning.seeds_for_region(mean, std, n, low, high)
    return undecided(
        f"{said}: these runs cannot tell whether it is within the claimed {region(low, high)}.",
        more_seeds=more,
        advice=advice,
        **fields,
    )


def region(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if low > 0 else f"at most {high:g}"
