"""Intervals and tests for means over seeds and sentences.

A table of values, seeds × sentences, has two sources of chance. The model is that of two-way
random effects without replication: value = mean + seed + sentence + rest. Everything here works
on many tables at once (leading axes), so that simulated worlds are judged by the very code that
judges a suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import stats
from scipy.optimize import elementwise

from wsa.records.evidence import LEVEL

ALPHA = 1 - LEVEL
FEWEST_SEEDS = 3  # to decide anything by: with two no difference is large enough
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
        tied: whether the seeds do not differ in a single sentence.
    """

    mean: Float[np.ndarray, "*many"]
    by_seed: Float[np.ndarray, "*many"]
    by_sentence: Float[np.ndarray, "*many"]
    seeds: int
    sentences: int
    nonzero_sentences: Num[np.ndarray, "*many"]
    tied: Bool[np.ndarray, "*many"]

    @property
    def variance(self) -> Float[np.ndarray, "*many"]:
        """Of `mean`, for other seeds and other sentences."""
        return self.by_seed + self.by_sentence

    @property
    def seed_share(self) -> Float[np.ndarray, "*many"]:
        """Of `variance`, due to the seeds and to what differs within a seed."""
        total = self.variance
        return np.where(total > 0, self.by_seed / np.where(total > 0, total, 1), 0.0)

    @property
    def undecidable(self) -> Bool[np.ndarray, "*many"]:
        """Whether nothing can be decided, however large the mean: by two seeds, or by seeds that
        are tied, which say nothing about how far others would lie.
        """
        return self.tied | (self.seeds < FEWEST_SEEDS)

    def on_these_sentences(self) -> TwoWay:
        """The same mean, for other seeds on the very sentences that there are."""
        return replace(self, by_sentence=np.zeros_like(self.by_sentence))

    def times(self, scale: float) -> TwoWay:
        """The same in another unit."""
        by_seed, by_sentence = scale**2 * self.by_seed, scale**2 * self.by_sentence
        return replace(self, mean=scale * self.mean, by_seed=by_seed, by_sentence=by_sentence)

    def p_value(self) -> Float[np.ndarray, "*many"]:
        """Two-sided, that the true mean over all seeds and sentences is zero.

        The statistic is mean / √variance. Its reference is a mixture of Student's t with K−1 and
        with N−1 degrees of freedom, weighted by the shares of seeds and sentences in the
        variance: Cochran and Cox's answer (1950) to two variances that are known unequally well,
        with tail areas in place of critical values. Satterthwaite's single t, tried first, takes
        the estimated variance of the seeds for granted and decides wrongly too often (7 % at
        K = 3, where 5 % is meant). p is 1 where nothing can be decided, and with fewer than
        `FEWEST_DIFFERING` sentences.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.mean) / np.sqrt(self.variance)
        p = 2 * self._tail(np.nan_to_num(t, nan=0.0, posinf=np.inf), self._weight)
        return np.where(self.undecidable | (self.nonzero_sentences < FEWEST_DIFFERING), 1.0, p)

    def region_p(self, low: float, high: float) -> tuple[Float[np.ndarray, "*many"], ...]:
        """Two p-values: that the true mean lies beyond [low, high], and that it lies within.

        The first is the larger of two one-sided tests (Schuirmann 1987), the second two-sided, so
        that at 5 % it is the 95 % interval wholly outside; with the reference of `p_value`. A mean
        without any chance lies within if it is on the border. Both are 1 where nothing can be
        decided.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.minimum(self.mean - low, high - self.mean) / np.sqrt(self.variance)
        t = np.nan_to_num(t, nan=np.inf, posinf=np.inf, neginf=-np.inf)
        beyond = self._tail(t, self._weight)
        within = np.minimum(2 * self._tail(-t, self._weight), 1.0)
        return np.where(self.undecidable, 1.0, beyond), np.where(self.undecidable, 1.0, within)

    def equivalence_p(self, margin: float) -> tuple[Float[np.ndarray, "*many"], ...]:
        """`region_p` of ±margin; both are 1 with fewer than `FEWEST_DIFFERING` sentences."""
        few = self.nonzero_sentences < FEWEST_DIFFERING
        beyond, within = (np.where(few, 1.0, p) for p in self.region_p(-margin, margin))
        return beyond, within

    def interval(self, level: float = LEVEL) -> Interval:
        """For the true mean over all seeds and all sentences; inverts `p_value`.

        Two seeds get Student's t with one degree of freedom alone: there the mixture is too narrow.
        """
        tail = (1 - level) / 2
        fewest = min(self.seeds, self.sentences)
        narrow, wide = stats.norm.isf(tail), stats.t.isf(tail, fewest - 1)
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
    nearly zero, and the interval would be far too narrow. Nor does it let the mean of whole numbers
    be known more closely than to one step of its grid, 1 / (K N): seeds that agree to the last
    sentence are no certainty.
    """
    seeds, sentences = values.shape[-2:]
    of_seeds = values.mean(-1, dtype=np.float64)
    of_sentences = values.mean(-2, dtype=np.float64)
    mean = of_seeds.mean(-1)
    squares = np.einsum("...kn,...kn->...", values, values, dtype=np.float64)
    total = squares - seeds * sentences * mean**2
    seed_sum = sentences * ((of_seeds - mean[..., None]) ** 2).sum(-1)
    sentence_sum = seeds * ((of_sentences - mean[..., None]) ** 2).sum(-1)
    within = np.maximum(total - sentence_sum, 0)  # what differs between the seeds of a sentence
    rest = np.maximum(within - seed_sum, 0) / ((seeds - 1) * (sentences - 1))
    cells = seeds * sentences
    step = 1 / cells if np.issubdtype(values.dtype, np.integer) else 0.0
    return TwoWay(
        mean=mean,
        by_seed=np.maximum(np.maximum(seed_sum / (seeds - 1), rest) / cells, step**2),
        by_sentence=np.maximum(sentence_sum / (sentences - 1) - rest, 0) / cells,
        seeds=seeds,
        sentences=sentences,
        nonzero_sentences=(np.abs(of_sentences) > 1e-12).sum(-1),
        tied=within <= 1e-9 * squares,
    )


def one_way(values: Float[np.ndarray, "*many n"], step: float = 0.0) -> TwoWay:
    """The mean of one number a seed, which no sentences are behind.

    Args:
        values: of each seed.
        step: of the grid that they lie on; the mean is not known more closely than to `step` / n.
    """
    n = values.shape[-1]
    nothing = np.zeros(values.shape[:-1])
    return TwoWay(
        mean=values.mean(-1),
        by_seed=np.maximum(_standard_error(values), step / n) ** 2,
        by_sentence=nothing,
        seeds=n,
        sentences=n,
        nonzero_sentences=nothing + n,
        tied=nothing.astype(bool),
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
        np.stack([spread.tied for spread in spreads]),
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


def proportion_interval(spread: TwoWay, level: float = LEVEL) -> Interval:
    """For a mean of right (1) and wrong (0) over all seeds and all sentences; within 0 and 1.

    Clopper and Pearson's exact interval for so many independent answers as would leave the mean as
    uncertain as it is (Korn and Graubard 1998, for surveys): at most all K N, and N where all are
    right or all wrong.
    """
    p, cells = spread.mean, spread.seeds * spread.sentences
    low, high = spread.interval(level)
    error = (high - low) / 2 / stats.norm.isf((1 - level) / 2)
    certain = (p <= 0) | (p >= 1)
    answers = np.minimum(p * (1 - p) / np.where(error > 0, error, 1) ** 2, cells)
    answers = np.where(certain, spread.sentences, np.where(error > 0, answers, cells))
    right, wrong, tail = answers * p, answers * (1 - p), (1 - level) / 2
    # betas without a first or second parameter: their end is the border
    below = stats.beta.ppf(tail, np.maximum(right, 1e-9), wrong + 1)
    above = stats.beta.isf(tail, right + 1, np.maximum(wrong, 1e-9))
    return np.where(p <= 0, 0.0, below), np.where(p >= 1, 1.0, above)


def judge_region(spread: TwoWay, low: float, high: float) -> Num[np.ndarray, "*many"]:
    """Does the true mean lie in [low, high]?

    `SUPPORTED` by two one-sided tests at 5 % each, which is the 90 % interval inside;
    `CONTRADICTED` if the 95 % interval is wholly outside; else `UNDECIDED`.
    """
    beyond, within = spread.region_p(low, high)
    return np.where(beyond <= ALPHA, SUPPORTED, np.where(within <= ALPHA, CONTRADICTED, UNDECIDED))


def _standard_error(values: Float[np.ndarray, "*many n"]) -> Float[np.ndarray, "*many"]:
    return values.std(-1, ddof=1) / np.sqrt(values.shape[-1])


def _around(mean, half) -> Interval:
    return mean - half, mean + half
