"""How a metric is named and its values are written: once for all pages and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsa.leaderboard.formats import decimals, signed
from wsa.task import Metric

if TYPE_CHECKING:
    from wsa.leaderboard.entries import Scale


def heading(metric: Metric) -> str:
    """The metric's title at the head of a column or a sentence.

    >>> from wsa.task import METRICS
    >>> heading(METRICS["f1_macro"]), heading(METRICS["f1"])
    ('Macro F1', 'F1')
    """
    return metric.title[:1].upper() + metric.title[1:]


def axis(metric: Metric) -> str:
    """The metric with its unit: 'accuracy, %'."""
    unit = f", {metric.unit}" if metric.unit else ""
    return metric.title + unit + ("" if metric.greater_is_better else " (less is better)")


def places(metric: Metric) -> int:
    """The decimal places of a shown value."""
    return metric.places


def shown(value: float, metric: Metric) -> float:
    """A value of a run's record as it is shown."""
    return metric.scale * value


def score(value: float | None, metric: Metric) -> str:
    """A shown value, without its unit."""
    return decimals(value, metric.places)


def change(value: float | None, metric: Metric) -> str:
    """A difference of two shown values, with its sign."""
    return signed(value, metric.places)


def in_words(metric: Metric) -> str:
    """The metric with its unit, as a caption begins: 'Accuracy in percent'."""
    unit = {"%": " in percent", "": ""}.get(metric.unit, f" ({metric.unit})")
    return heading(metric) + unit + ("" if metric.greater_is_better else " (less is better)")


def recorded(value: float | None, metric: Metric) -> str:
    """A value as a run's record has it, shown without its unit."""
    return score(None if value is None else shown(value, metric), metric)


def ends(scale: Scale, metric: Metric) -> str:
    """From where to where a scale goes: '75 to 96 %'."""
    digits = 0 if metric.scale == 100 else 2
    unit = " %" if metric.unit == "%" else ""
    return f"{decimals(scale.low, digits)} to {decimals(scale.high, digits)}{unit}"


def difference_words(metric: Metric) -> str:
    """What a difference is counted in: 'points of accuracy'."""
    unit = f"{metric.difference_unit} of " if metric.difference_unit else ""
    return unit + metric.title


def difference_axis(metric: Metric) -> str:
    return f"difference, {metric.difference_unit or metric.title}"


def gain(value: float, metric: Metric) -> float:
    """`value` with the sign that makes more of it better."""
    return value if metric.greater_is_better else -value


FILTERS = {
    "heading": heading, "in_words": in_words, "score": score, "recorded": recorded,
    "change": change, "ends": ends, "difference_words": difference_words,
}  # fmt: skip
