"""Does a mean lie where it was claimed to lie? What value, interval and ratio claims share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from wsa.evidence import planning
from wsa.evidence.judgements import decided, number, undecided, undecided_alike, undecided_yet
from wsa.evidence.statistics import CONTRADICTED, FEWEST_SEEDS, SUPPORTED, TwoWay, judge_region
from wsa.records.evidence import Interval, Judgement

TEST = "Over {}: two one-sided tests at 5 % each for support, 95 % interval for contradiction"


def judge_mean(
    subject: str,
    values: Float[np.ndarray, " n"],
    spread: TwoWay | None,
    low: float,
    high: float,
    *,
    after: str = "",
    digits: int = 2,
    limits: tuple[float, float] = (-np.inf, np.inf),
    what: str = "seed",
    **fields,
) -> Judgement:
    """Does the mean of the population of `values` lie in [low, high]?

    Args:
        subject: what it is the mean of, for sentences.
        values: of each seed, or whatever `what` says.
        spread: their mean and its variance; None for a single one.
        low: where the claimed region begins.
        high: where it ends.
        after: the unit, as it follows a number.
        digits: of numbers in sentences.
        limits: between which every value lies.
        what: one of `values`.
        **fields: the judgement's others.
    """
    n, mean = len(values), float(values.mean())
    text = f"{number(mean, digits)}{after}"
    fields["estimate"] = mean
    if spread is None:
        fields["measured"] = f"{text} (n = 1)"
        return undecided_yet(f"{subject} is {text} in the only run", 1, what, **fields)
    std = float(values.std(ddof=1))
    ends = dict(zip(("low", "high"), map(float, spread.interval()), strict=True))
    interval = Interval(**ends).within(*limits)
    fields |= {
        "measured": f"{number(mean, digits)} ± {number(std, digits)}{after} (n = {n})",
        "interval": interval,
        "p": float(spread.region_p(low, high)[0]),
    }
    low_end, high_end = (number(end, digits) for end in (interval.low, interval.high))
    said = f"{subject} is {text} (95 % interval {low_end} to {high_end})"
    if n < FEWEST_SEEDS:
        return undecided_yet(said, n, what, **fields)
    if spread.tied:
        return undecided_alike(said, n, **fields)
    code = int(judge_region(spread, low, high))
    if code == SUPPORTED:
        return decided(code, f"{said}, within the claimed {region(low, high)}.", **fields)
    if code == CONTRADICTED:
        side = "above" if mean > high else "below"
        return decided(code, f"{said}, {side} the claimed {region(low, high)}.", **fields)
    more, advice = planning.seeds_for_region(spread, low, high)
    return undecided(
        f"{said}: these runs cannot tell whether it is within the claimed {region(low, high)}.",
        more_seeds=more,
        advice=advice,
        **fields,
    )


def region(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if low > 0 else f"at most {high:g}"
