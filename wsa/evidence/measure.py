"""One metric on the sentences of one split: of every run, and of every two methods side by side.

Numbers are the metric's own, unscaled, but for `shown` and `values`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Num

from wsa.evidence import bootstrap
from wsa.evidence.statistics import TwoWay, proportion_interval, two_way
from wsa.records.evidence import Interval
from wsa.task import Metric

Unit = tuple[str, str]  # method, state
Seeds = tuple[int, ...]


@dataclass
class Predictions:
    """What every run predicts for the sentences of one split.

    Attributes:
        labels: what is right, in one order of sentences for all runs.
        by_run: (method, state) → seed → classes or numbers.
    """

    labels: Num[np.ndarray, " n"]
    by_run: dict[Unit, dict[int, Num[np.ndarray, " n"]]] = field(default_factory=dict)

    @property
    def sentences(self) -> int:
        return len(self.labels)

    def table(self, unit: Unit, seeds: Seeds) -> Num[np.ndarray, "k n"]:
        """Seeds × sentences."""
        return np.stack([self.by_run[unit][seed] for seed in seeds])


class Measure:
    """A metric of predictions. A metric that is a mean has its variances from the analysis of
    variance over seeds and sentences, any other from the bootstrap.

    Args:
        metric: which one.
        predictions: of all runs.
        classes: how many there are; 0 where the label is a number.
        resamples: draws of the bootstrap.
    """

    def __init__(
        self,
        metric: Metric,
        predictions: Predictions,
        classes: int,
        resamples: int = bootstrap.RESAMPLES,
    ) -> None:
        self.metric, self.predictions, self.classes = metric, predictions, classes
        self._resamples = resamples
        self._of = functools.cache(self._measured)

    def shown(self, value: Float[np.ndarray, "*many"]) -> Float[np.ndarray, "*many"]:
        """As a page shows it."""
        return self.metric.scale * value

    def interval(self, ends: tuple[np.ndarray, np.ndarray]) -> Interval:
        """Both ends as a page shows them."""
        low, high = map(self.shown, ends)
        return Interval(low=float(low), high=float(high))

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that the metric can have, as a page shows it."""
        low, high = self.metric.limits
        return self.metric.scale * low, self.metric.scale * high

    @property
    def sign(self) -> int:
        """1 if greater is better, else −1."""
        return 1 if self.metric.greater_is_better else -1

    def values(self, unit: Unit, seeds: Seeds) -> Float[np.ndarray, " k"]:
        """The metric of each seed, as a page shows it."""
        return self.shown(self._values(unit, seeds))

    def spread(self, unit: Unit, seeds: Seeds) -> TwoWay:
        """The mean over seeds, two at least, and where its variance comes from."""
        if self.metric.per_sentence:
            return two_way(_signed(self._scores(unit, seeds)))
        return bootstrap.two_way_of_draws(
            self._values(unit, seeds), self.draws(unit, seeds), self.predictions.sentences,
            np.asarray(self.predictions.sentences),
        )  # fmt: skip

    def intervals(self, unit: Unit, seeds: Seeds) -> tuple[Interval, Interval]:
        """Of the mean over seeds, two at least: for other seeds on these sentences, and for other
        seeds and other sentences. Both lie where the metric can lie.
        """
        spread = self.spread(unit, seeds).once()
        right_or_wrong = self.metric.per_sentence and self._scores(unit, seeds).dtype == bool
        on_others = proportion_interval(spread) if right_or_wrong else spread.interval()
        on_these = spread.on_these_sentences().interval()
        return tuple(self.interval(ends).within(*self.limits) for ends in (on_these, on_others))

    def difference(self, a: Unit, b: Unit, seeds: Seeds) -> TwoWay:
        """The metric of `a` minus that of `b`, paired by seed, two at least, and sentence."""
        if self.metric.per_sentence:
            return two_way(_signed(self._scores(a, seeds)) - _signed(self._scores(b, seeds)))
        return bootstrap.two_way_of_draws(
            self._values(a, seeds) - self._values(b, seeds),
            self.draws(a, seeds) - self.draws(b, seeds),
            self.predictions.sentences,
            np.asarray(self.differing(a, b, seeds)),
        )

    def mean_difference(self, a: Unit, b: Unit, seeds: Seeds) -> float:
        """The metric of `a` minus that of `b`, mean over seeds, as a page shows it."""
        if self.metric.per_sentence:
            means = self._scores(a, seeds).mean() - self._scores(b, seeds).mean()
        else:
            means = self._values(a, seeds).mean() - self._values(b, seeds).mean()
        return float(self.shown(means))

    def differing(self, a: Unit, b: Unit, seeds: Seeds) -> int:
        """Sentences that can make a difference: on which a and b differ over all seeds."""
        if self.metric.per_sentence:
            net = _signed(self._scores(a, seeds)) - _signed(self._scores(b, seeds))
            return int((np.abs(net.mean(0, dtype=np.float64)) > 1e-12).sum())
        one, other = (np.sort(self.predictions.table(unit, seeds), axis=0) for unit in (a, b))
        return int((one != other).any(0).sum())

    def sentence_error(self, unit: Unit, seed: int) -> float:
        """The standard error of one run due to its sentences, as a page shows it."""
        if self.metric.per_sentence:
            scores = self._scores(unit, (seed,))
            return float(self.shown(scores.std() / np.sqrt(scores.size)))
        return float(self.shown(self.draws(unit, (seed,)).std()))

    def draws(self, unit: Unit, seeds: Seeds) -> Float[np.ndarray, "k draws"]:
        """The metric of each seed on resampled sentences, the same draws for all runs."""
        return np.stack([self._resampled[unit, seed] for seed in seeds])

    @functools.cached_property
    def _resampled(self) -> dict[tuple[Unit, int], Float[np.ndarray, " draws"]]:
        by_run = self.predictions.by_run
        runs = [(unit, seed) for unit, seeds in by_run.items() for seed in seeds]
        if not runs:
            return {}
        table = np.stack([by_run[unit][seed] for unit, seed in runs])
        drawn = bootstrap.resample(
            self.metric, self.predictions.labels, table, self.classes, self._resamples
        )
        return dict(zip(runs, drawn, strict=True))

    def _scores(self, unit: Unit, seeds: Seeds) -> Num[np.ndarray, "k n"]:
        """What each sentence adds to the mean that the metric is."""
        return self.metric.per_sentence(
            self.predictions.labels, self.predictions.table(unit, seeds)
        )

    def _values(self, unit: Unit, seeds: Seeds) -> Float[np.ndarray, " k"]:
        return np.array([self._of(unit, seed) for seed in seeds])

    def _measured(self, unit: Unit, seed: int) -> float:
        return measured(self.metric, self.predictions.labels, self.predictions.by_run[unit][seed],
                        self.classes)  # fmt: skip


def measured(
    metric: Metric,
    labels: Num[np.ndarray, " n"],
    predicted: Num[np.ndarray, " n"],
    classes: int,
) -> float:
    """A metric of one run: the mean over sentences where it is one, else as its draws are made."""
    if metric.per_sentence:
        return float(metric.per_sentence(labels, predicted).mean())
    if metric.resampled:
        each_once = np.ones((1, len(labels)), np.float32)
        return float(metric.resampled(labels, predicted[None], each_once, classes)[0, 0])
    return float(metric.value(labels, predicted, classes))


def _signed(scores: Bool[np.ndarray, "k n"] | Float[np.ndarray, "k n"]) -> Num[np.ndarray, "k n"]:
    """Scores that can be subtracted: right and wrong become 1 and 0."""
    return scores.astype(np.int8) if scores.dtype == bool else scores
