"""How many more seeds would probably decide an undecided claim.

A plan is a further look: verdicts hold at `LOOKS`, so it leads to one of them, judged by the rule
that will judge it there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import stats

from wsa.evidence.statistics import ALPHA, LOOKS, PRICE_OF_SENTENCES, TwoWay

POWER = 0.8  # the probability with which the planned runs should decide
MOST_SEEDS = LOOKS[-1]  # in all; a plan beyond is no plan

Plan = tuple[int | None, str]  # more seeds (null: no number helps), and the advice in words


def seeds_for_order(measured: TwoWay, alpha: float = ALPHA) -> Plan:
    """For the sign of a mean difference, if its size and its variance are as measured.

    Args:
        measured: the difference so far.
        alpha: the level it must pass: smaller where several claims are judged together.
    """
    margin = stats.norm.isf(1 - POWER)
    size = abs(float(measured.mean))
    for planned in _further_looks(measured):
        # the size that it is found to have, or more, with probability POWER
        found = replace(planned, mean=np.asarray(size - margin * math.sqrt(planned.variance)))
        if found.mean > 0 and found.p_value() <= alpha:
            return _more(measured, planned)
    needed = _needed(alpha)
    if size > 0 and measured.by_sentence * needed < size**2:
        return None, f"More than {MOST_SEEDS} seeds would be needed to decide it."
    return _too_few(measured, "difference", sentences_for_order(measured, alpha))


def sentences_for_order(measured: TwoWay, alpha: float = ALPHA) -> int | None:
    """How many sentences, with any number of seeds, would decide the sign if size and variance are
    as measured; None where it is a million or more. Rounded up to two digits.
    """
    return _sentences(measured, abs(float(measured.mean)), _needed(alpha))


def _needed(alpha: float, power: float = POWER) -> float:
    """The squared number of standard errors, all of sentences, that passes `alpha` on both sides
    with probability `power`.
    """
    return (stats.norm.isf(alpha / 2 / PRICE_OF_SENTENCES) + stats.norm.isf(1 - power)) ** 2


def seeds_for_region(measured: TwoWay, low: float, high: float, alpha: float = ALPHA) -> Plan:
    """For a mean being in or out of [low, high], if it and its variance are as measured.

    Args:
        measured: the mean so far.
        low: in its unit, as `high`.
        alpha: the level it must pass: smaller where several claims are judged together.
    """
    mean = float(measured.mean)
    inside, room = low <= mean <= high, min(abs(mean - low), abs(high - mean))
    tail = 2 * alpha if inside else alpha  # outside the interval that decides
    for planned in _further_looks(measured):
        spread = math.sqrt(planned.variance)
        tested = planned.if_apart(high) if inside else planned
        half = float(tested.interval(1 - tail)[1] - tested.mean)  # the interval's, either way
        power = stats.norm.cdf((room - half) / spread)
        if inside:  # both borders must be passed
            power -= stats.norm.sf((high - low - room - half) / spread)
        if power >= POWER:
            return _more(measured, planned)
    needed = _needed(tail, (1 + POWER) / 2 if inside else POWER)
    if measured.by_sentence * needed <= room**2:
        return None, f"More than {MOST_SEEDS} seeds would be needed to decide it."
    return _too_few(measured, "margin", _sentences(measured, room, needed))


def _further_looks(measured: TwoWay) -> Iterator[TwoWay]:
    """The same mean, had it been measured with as many seeds as at each look to come."""
    for seeds in LOOKS:
        if seeds > measured.seeds:
            fewer = measured.seeds / seeds
            by_seed, rest = measured.by_seed * fewer, measured.rest * fewer
            yield replace(measured, by_seed=by_seed, rest=rest, seeds=seeds)


def _sentences(measured: TwoWay, size: float, needed: float) -> int | None:
    """How many sentences make `size` the root of `needed` standard errors, whatever the seeds."""
    if not size:
        return None
    sentences = measured.sentences * float(measured.by_sentence) * needed / size**2
    return _round_up(sentences) if 0 < sentences < 1e6 else None


def _too_few(measured: TwoWay, what: str, sentences: int | None) -> Plan:
    advice = (
        f"No number of seeds would decide it: {measured.sentences} sentences are too few for a "
        f"{what} as small as this."
    )
    return None, advice + (f" About {sentences:,} would do." if sentences else "")


def _more(measured: TwoWay, planned: TwoWay) -> Plan:
    count = planned.seeds - measured.seeds
    seeds = f"{count} more seed{'s' if count > 1 else ''}, {planned.seeds} in all,"
    return count, f"About {seeds} would probably decide it."


def _round_up(value: float) -> int:
    """To two significant digits."""
    step = 10 ** max(math.floor(math.log10(value)) - 1, 0)
    return int(math.ceil(value / step) * step)
