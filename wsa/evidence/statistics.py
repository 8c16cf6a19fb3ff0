"""Intervals and tests for means over seeds and sentences.

A table of values, seeds × sentences, has two sources of chance. The model is that of two-way
random effects without replication: value = mean + seed + sentence + rest. Everything here works
on many tables at once (leading axes), so that simulated worlds are judged by the very code that
judges a suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import stats
from scipy.optimize import elementwise

from wsa.records.evidence import LEVEL

ALPHA = 1 - LEVEL
FEWEST_DIFFERING = 10  # sentences; below, a mean over sentences is too far from normal to test
SUPPORTED, UNDECIDED, CONTRADICTED = 1, 0, -1

Interval = tuple[Float[np.ndarray, "*many"], Float[np.ndarray, "*many"]]


@dataclass(frozen=True)
class TwoWay:
    """The mean of a table seeds × sentences, and where its variance comes from.

    Attributes:
        mean: of all values.
        by_seed: what the seeds, and the rest within a seed, add to the variance of `mean`.
        by_sentence: what the sentences add to it.
        seeds: K.
        sentences: N.
        nonzero_sentences: sentences whose mean over seeds is not zero.
    """

    mean: Float[np.ndarray, "*many"]
    by_seed: Float[np.ndarray, "*many"]
    by_sentence: Float[np.ndarray, "*many"]
    seeds: int
    sentences: int
    nonzero_sentences: Num[np.ndarray, "*many"]

    @property
    def variance(self) -> Float[np.ndarray, "*many"]:
        """Of `mean`, for other seeds and other sentences."""
        return self.by_seed + self.by_sentence

    @property
    def seed_share(self) -> Float[np.ndarray, "*many"]:
        """Of `variance`, due to the seeds and to what differs within a seed."""
        total = self.variance
        return np.where(total > 0, self.by_seed / np.where(total > 0, total, 1), 0.0)

    def p_value(self) -> Float[np.ndarray, "*many"]:
        """Two-sided, that the true mean over all seeds and sentences is zero.

        The statistic is mean / √variance. Its reference is a mixture of Student's t with K−1 and
        with N−1 degrees of freedom, weighted by the shares of seeds and sentences in the
        variance: Cochran and Cox's answer (1950) to two variances that are known unequally well,
        with tail areas in place of critical values. Satterthwaite's single t, tried first, takes
        the estimated variance of the seeds for granted and decides wrongly too often (7 % at
        K = 3, where 5 % is meant). Two seeds get t with one degree of freedom alone, for there
        the mixture is wrong in 7 %. With fewer than `FEWEST_DIFFERING` sentences p is 1.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.mean) / np.sqrt(self.variance)
        p = 2 * self._tail(np.nan_to_num(t, nan=0.0, posinf=np.inf), self._weight)
        return np.where(self.nonzero_sentences < FEWEST_DIFFERING, 1.0, p)

    def equivalence_p(self, margin: float) -> tuple[Float[np.ndarray, "*many"], ...]:
        """Two p-values: that the true mean lies beyond ±margin, and that it lies within.

        The first is the larger of two one-sided tests (Schuirmann 1987), the second two-sided, so
        that at 5 % it is the 95 % interval wholly outside; with the reference of `p_value`. With
        fewer than `FEWEST_DIFFERING` sentences both are 1.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.nan_to_num((margin - np.abs(self.mean)) / np.sqrt(self.variance))
        few = self.nonzero_sentences < FEWEST_DIFFERING
        beyond = np.where(few, 1.0, self._tail(t, self._weight))
        within = np.where(few, 1.0, np.minimum(2 * self._tail(-t, self._weight), 1.0))
        return beyond, within

    def interval(self, level: float = LEVEL) -> Interval:
        """For the true mean over all seeds and all sentences; inverts `p_value`."""
        tail = (1 - level) / 2
        narrow, wide = stats.t.isf(tail, self.sentences - 1), stats.t.isf(tail, self.seeds - 1)
        weight = np.asarray(self._weight)
        found = elementwise.find_root(
            lambda t, weight: self._tail(t, weight) - tail,
            (np.full(weight.shape, 0.99 * narrow), np.full(weight.shape, 1.01 * wide)),
            args=(weight,),
        )
        return _around(self.mean, found.x * np.sqrt(self.variance))

    @property
    def _weight(self) -> Float[np.ndarray, "*many"]:
        return self.seed_share if self.seeds > 2 else np.ones_like(self.seed_share)

    def _tail(self, t, weight):
        """P(T > t) for the mixture of t(K−1), with `weight`, and t(N−1)."""
        of_seeds, of_sentences = stats.t.sf(t, self.seeds - 1), stats.t.sf(t, self.sentences - 1)
        return weight * of_seeds + (1 - weight) * of_sentences


def two_way(values: Num[np.ndarray, "*many seeds sentences"]) -> TwoWay:
    """The mean of each table and its variance; needs at least two seeds and two sentences.

    With mean squares M of seeds, sentences and rest, Var(mean) = (M_seeds + M_sentences − M_rest)
    / (K N). M_seeds is not let fall below M_rest, its expectation when seeds have no effect of
    their own, nor M_sentences − M_rest below zero: with 3 seeds chance alone often makes M_seeds
    nearly zero, and the interval would be far too narrow.
    """
    seeds, sentences = values.shape[-2:]
    of_seeds = values.mean(-1, dtype=np.float64)
    of_sentences = values.mean(-2, dtype=np.float64)
    mean = of_seeds.mean(-1)
    squares = np.einsum("...kn,...kn->...", values, values, dtype=np.float64)
    total = squares - seeds * sentences * mean**2
    seed_sum = sentences * ((of_seeds - mean[..., None]) ** 2).sum(-1)
    sentence_sum = seeds * ((of_sentences - mean[..., None]) ** 2).sum(-1)
    rest = np.maximum(total - seed_sum - sentence_sum, 0) / ((seeds - 1) * (sentences - 1))
    cells = seeds * sentences
    return TwoWay(
        mean=mean,
        by_seed=np.maximum(seed_sum / (seeds - 1), rest) / cells,
        by_sentence=np.maximum(sentence_sum / (sentences - 1) - rest, 0) / cells,
        seeds=seeds,
        sentences=sentences,
        nonzero_sentences=(np.abs(of_sentences) > 1e-12).sum(-1),
    )


def stacked(spreads: Sequence[TwoWay]) -> TwoWay:
    """The means of several tables of one size as those of many tables."""
    return TwoWay(
        *(
            np.stack([getattr(spread, name) for spread in spreads])
            for name in ("mean", "by_seed", "by_sentence")
        ),
        spreads[0].seeds,
        spreads[0].sentences,
        np.stack([spread.nonzero_sentences for spread in spreads]),
    )


def difference(a: Bool[np.ndarray, "*many k n"], b: Bool[np.ndarray, "*many k n"]) -> TwoWay:
    """Accuracy of `a` minus that of `b`, paired by seed and sentence."""
    return two_way(a.astype(np.int8) - b.astype(np.int8))


def holm(
    p: Float[np.ndarray, "*many tests"],
) -> Float[np.ndarray, "*many tests"]:
    """Holm's adjusted p-values over the last axis (Holm 1979)."""
    order = np.argsort(p, axis=-1)
    factors = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * factors, axis=-1)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), -1)
    return adjusted


@dataclass(frozen=True)
class Decisions:
    """What became of claims that were judged together; claims on the last axis."""

    codes: Int[np.ndarray, "*many claims"]
    p: Float[np.ndarray, "*many claims"]
    p_adjusted: Float[np.ndarray, "*many claims"]


def decide(spreads: Sequence[TwoWay], sign: int = 1) -> Decisions:
    """Judge differences that belong to one family, at a familywise level of 5 % (Holm).

    Args:
        spreads: the differences.
        sign: 1 where a positive one is claimed, −1 where a negative one is.
    """
    p = np.stack([spread.p_value() for spread in spreads], -1)
    means = np.stack([spread.mean for spread in spreads], -1)
    adjusted = holm(p)
    return Decisions(judge_order(sign * means, adjusted), p, adjusted)


def decide_equivalence(spreads: Sequence[TwoWay], margins: Sequence[float]) -> Decisions:
    """Judge whether differences lie within their margins, as one family at 5 % (Holm)."""
    both = [spread.equivalence_p(margin) for spread, margin in zip(spreads, margins, strict=True)]
    beyond, within = (np.stack(p, -1) for p in zip(*both, strict=True))
    p = np.minimum(beyond, within)
    adjusted = holm(p)
    codes = np.where(beyond <= within, SUPPORTED, CONTRADICTED)
    return Decisions(np.where(adjusted <= ALPHA, codes, UNDECIDED), p, adjusted)


def judge_order(
    difference: Float[np.ndarray, "*many"], p: Float[np.ndarray, "*many"]
) -> Num[np.ndarray, "*many"]:
    """`SUPPORTED` if clearly positive, `CONTRADICTED` if clearly negative, else `UNDECIDED`."""
    return np.where(p <= ALPHA, np.sign(difference), UNDECIDED).astype(int)


def t_interval(values: Float[np.ndarray, "*many n"], level: float = LEVEL) -> Interval:
    """For the mean of the population that `values` are drawn from: Student's t, n−1."""
    n = values.shape[-1]
    return _around(values.mean(-1), stats.t.isf((1 - level) / 2, n - 1) * _standard_error(values))


def judge_region(
    values: Float[np.ndarray, "*many n"], low: float, high: float
) -> Num[np.ndarray, "*many"]:
    """Does the mean of the population that `values` are drawn from lie in [low, high]?

    `SUPPORTED` by two one-sided t-tests at 5 % each, which is the 90 % interval inside (Schuirmann
    1987); `CONTRADICTED` if the 95 % interval is wholly outside; else `UNDECIDED`.
    """
    below, above = t_interval(values)
    outside = (above < low) | (below > high)
    inside = equivalence_p(values, low, high) <= ALPHA
    return np.where(inside, SUPPORTED, np.where(outside, CONTRADICTED, UNDECIDED))


def equivalence_p(
    values: Float[np.ndarray, "*many n"], low: float, high: float
) -> Float[np.ndarray, "*many"]:
    """The larger p-value of two one-sided t-tests, that the mean is below low or above high."""
    mean, error, freedom = values.mean(-1), _standard_error(values), values.shape[-1] - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.minimum(mean - low, high - mean) / error
    # without any spread the mean is known; on the border it lies inside
    distances = np.where(np.isnan(distances), np.inf, distances)
    return stats.t.sf(distances, freedom)


def _standard_error(values: Float[np.ndarray, "*many n"]) -> Float[np.ndarray, "*many"]:
    return values.std(-1, ddof=1) / np.sqrt(values.shape[-1])


def _around(mean, half) -> Interval:
    return mean - half, mean + half
