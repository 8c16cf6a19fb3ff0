"""How many more seeds would probably decide an undecided claim."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from wsa.evidence.statistics import ALPHA, TwoWay

POWER = 0.8  # the probability with which the planned runs should decide
MOST_SEEDS = 50  # in all; a plan beyond is no plan

Plan = tuple[int | None, str]  # more seeds (null: no number helps), and the advice in words


def seeds_for_order(measured: TwoWay, alpha: float = ALPHA) -> Plan:
    """For the sign of a mean difference, if its size and its variance are as measured.

    Args:
        measured: the difference so far.
        alpha: the level it must pass: smaller where several claims are judged together.
    """
    margin = stats.norm.isf(1 - POWER)
    size = abs(float(measured.mean))
    for seeds in range(measured.seeds + 1, MOST_SEEDS + 1):
        planned = TwoWay(
            mean=np.asarray(size - margin * math.sqrt(_variance(measured, seeds))),
            by_seed=measured.by_seed * measured.seeds / seeds,
            by_sentence=measured.by_sentence,
            seeds=seeds,
            sentences=measured.sentences,
            nonzero_sentences=measured.nonzero_sentences,
        )
        if planned.mean > 0 and planned.p_value() <= alpha:
            return _more(seeds - measured.seeds)
    needed = _needed(alpha)
    if size > 0 and measured.by_sentence * needed < size**2:
        return None, f"More than {MOST_SEEDS} seeds would be needed to decide it."
    advice = (
        f"No number of seeds would decide it: {measured.sentences} sentences are too few for a "
        "difference as small as this."
    )
    if sentences := sentences_for_order(measured, alpha):
        advice += f" About {sentences:,} would do."
    return None, advice


def sentences_for_order(measured: TwoWay, alpha: float = ALPHA) -> int | None:
    """How many sentences, with any number of seeds, would decide the sign if size and variance are
    as measured; None where it is a million or more. Rounded up to two digits.
    """
    size = abs(float(measured.mean))
    if not size:
        return None
    sentences = measured.sentences * float(measured.by_sentence) * _needed(alpha) / size**2
    return _round_up(sentences) if 0 < sentences < 1e6 else None


def _needed(alpha: float) -> float:
    """The squared number of standard errors that passes `alpha` with probability `POWER`."""
    return (stats.norm.isf(alpha / 2) + stats.norm.isf(1 - POWER)) ** 2


def seeds_for_equivalence(measured: TwoWay, margin: float, alpha: float = ALPHA) -> Plan:
    """For a mean difference being within ±margin or beyond, if it and its variance are as measured.

    Args:
        measured: the difference so far.
        margin: in its unit.
        alpha: the level it must pass: smaller where several claims are judged together.
    """
    size = abs(float(measured.mean))
    within, room = size <= margin, abs(margin - size)
    tail = 2 * alpha if within else alpha  # outside the interval that decides
    for seeds in range(measured.seeds + 1, MOST_SEEDS + 1):
        planned = TwoWay(
            mean=np.asarray(0.0),
            by_seed=measured.by_seed * measured.seeds / seeds,
            by_sentence=measured.by_sentence,
            seeds=seeds,
            sentences=measured.sentences,
            nonzero_sentences=measured.nonzero_sentences,
        )
        spread, half = math.sqrt(planned.variance), float(planned.interval(1 - tail)[1])
        power = stats.norm.cdf((room - half) / spread)
        if within:  # both borders must be passed
            power -= stats.norm.sf((margin + size - half) / spread)
        if power >= POWER:
            return _more(seeds - measured.seeds)
    missed = (1 - POWER) / 2 if within else 1 - POWER
    needed = (stats.norm.isf(tail / 2) + stats.norm.isf(missed)) ** 2
    if measured.by_sentence * needed < room**2:
        return None, f"More than {MOST_SEEDS} seeds would be needed to decide it."
    advice = (
        f"No number of seeds would decide it: {measured.sentences} sentences are too few for a "
        "margin as small as this."
    )
    if room > 0:
        sentences = measured.sentences * float(measured.by_sentence) * needed / room**2
        if sentences < 1e6:
            advice += f" About {_round_up(sentences):,} would do."
    return None, advice


def seeds_for_region(mean: float, std: float, seeds: int, low: float, high: float) -> Plan:
    """For a mean over seeds being in or out of [low, high], if mean and `std` are as measured."""
    inside = low <= mean <= high
    room = min(abs(mean - low), abs(high - mean))
    tail = ALPHA if inside else ALPHA / 2
    for planned in range(seeds + 1, MOST_SEEDS + 1):
        crossing = stats.t.isf(tail, planned - 1) + stats.norm.isf(1 - POWER)
        if crossing * std / math.sqrt(planned) < room:
            return _more(planned - seeds)
    return None, f"More than {MOST_SEEDS} seeds would be needed to decide it."


def _variance(measured: TwoWay, seeds: int) -> float:
    return float(measured.by_seed) * measured.seeds / seeds + float(measured.by_sentence)


def _more(count: int) -> Plan:
    return count, f"About {count} more seed{'s' if count > 1 else ''} would probably decide it."


def _round_up(value: float) -> int:
    """To two significant digits."""
    step = 10 ** max(math.floor(math.log10(value)) - 1, 0)
    return int(math.ceil(value / step) * step)
