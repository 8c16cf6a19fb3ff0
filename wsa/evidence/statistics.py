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
from scipy import special, stats
from scipy.optimize import elementwise

from wsa.records.evidence import LEVEL

ALPHA = 1 - LEVEL
LOOKS = (3, 5, 10, 20)  # seeds at which a claim is judged, and judged again while it is undecided
FEWEST_SEEDS = LOOKS[0]  # with two no difference is large enough
FEWEST_DIFFERING = 10  # sentences; below, a mean over sentences is too far from normal to test
SUPPORTED, UNDECIDED, CONTRADICTED = 1, 0, -1

# Chosen by simulation, with which no kind of world is wrong in more than 5 % (`calibration`), nor a
# normal one whatever the shares of seeds, sentences and rest in the variance.
KNOWN = 2 / 3  # of what the rest within a seed adds to a variance, so much counts as known
_ONCE = (1.5, 1.4, 1.25, 1.2)  # for that, the seeds' tail counts so many times, at each of `LOOKS`
_AGAIN = (2.5, 5.0, 8.0, 12.0)  # and so many times if all of these looks are taken,
PRICE_OF_SENTENCES = 1.2  # and the sentences' so many times

Interval = tuple[Float[np.ndarray, "*many"], Float[np.ndarray, "*many"]]


@dataclass(frozen=True)
class TwoWay:
    """The mean of a table seeds × sentences, and where its variance comes from.

    Attributes:
        mean: of all values.
        by_seed: what the seeds, and the rest within a seed, add to the variance of `mean`.
        rest: what the rest within a seed adds to it; `by_seed` is this at least.
        by_sentence: what the sentences add to it.
        seeds: K.
        sentences: N.
        nonzero_sentences: sentences whose mean over seeds is not zero.
        tied: whether the seeds do not differ in a single sentence.
        answers: whether it is the mean of right minus wrong answers, −1, 0 and 1.
        looks: whether the mean is judged, and judged again with more seeds.
    """

    mean: Float[np.ndarray, "*many"]
    by_seed: Float[np.ndarray, "*many"]
    rest: Float[np.ndarray, "*many"]
    by_sentence: Float[np.ndarray, "*many"]
    seeds: int
    sentences: int
    nonzero_sentences: Num[np.ndarray, "*many"]
    tied: Bool[np.ndarray, "*many"]
    answers: bool = False
    looks: bool = True

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
        return replace(self, by_sentence=np.zeros_like(self.by_sentence), answers=False)

    def once(self) -> TwoWay:
        """The same mean, looked at once: it decides nothing, or no seed can be added."""
        return replace(self, looks=False)

    def times(self, scale: float) -> TwoWay:
        """The same in another unit."""
        variances = {
            name: scale**2 * getattr(self, name) for name in ("by_seed", "rest", "by_sentence")
        }
        return replace(self, mean=scale * self.mean, **variances)

    def p_value(self) -> Float[np.ndarray, "*many"]:
        """Two-sided, that the true mean over all seeds and sentences is zero.

        The statistic is mean / √variance. Its reference is a mixture of Student's t with K−1 and
        with N−1 degrees of freedom, weighted by what is known by the seeds alone and by the rest
        of the variance: Cochran and Cox's answer (1950) to two variances that are known unequally
        well, with tail areas in place of critical values. Known by the seeds alone is `by_seed`
        less two thirds of `rest`, which (K−1)(N−1) cells have a say in. As chance may make three
        seeds lie close to each other, that costs a little: the seeds' tail counts 1.5 times.

        Unless it is looked at `once`, the p-value, and the interval that inverts it, hold if the
        same mean is judged at each of `LOOKS`. Each has its share of the level, as if the seeds
        were all there is (2/5, 1/5, 1/8, 1/12, together less than 1), and the sentences, which
        are the same at every look, pay little. An interval of that kind is a repeated confidence
        interval (Jennison and Turnbull 1989).

        p is 1 where nothing can be decided, and with fewer than `FEWEST_DIFFERING` sentences.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.mean) / np.sqrt(self.variance)
        p = np.minimum(2 * self._tail(np.nan_to_num(t, nan=0.0, posinf=np.inf)), 1.0)
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
        beyond = np.minimum(self._tail(t), 1.0)
        within = np.minimum(2 * self._tail(-t), 1.0)
        return np.where(self.undecidable, 1.0, beyond), np.where(self.undecidable, 1.0, within)

    def if_apart(self, margin: float) -> TwoWay:
        """The same, with the variance that it would have if the true mean were ±`margin`.

        Answers that differ are what a difference and its variance are made of: where by chance
        there are few of one kind, both are too small, and two methods look alike with more
        certainty than there is. A score test takes the variance that the hypothesis implies (Nam
        1997, for paired proportions): here with as many more sentences won as are missing.
        """
        if not self.answers:
            return self
        size = np.abs(self.mean)
        missing = np.maximum(margin - size, 0) * (1 - margin - size) / self.sentences
        return replace(self, by_sentence=self.by_sentence + np.maximum(missing, 0))

    def equivalence_p(self, margin: float) -> tuple[Float[np.ndarray, "*many"], ...]:
        """`region_p` of ±margin, the first with the variance of `if_apart`; both are 1 with fewer
        than `FEWEST_DIFFERING` sentences.
        """
        few = self.nonzero_sentences < FEWEST_DIFFERING
        beyond, _ = self.if_apart(margin).region_p(-margin, margin)
        _, within = self.region_p(-margin, margin)
        return np.where(few, 1.0, beyond), np.where(few, 1.0, within)

    def interval(self, level: float = LEVEL) -> Interval:
        """For the true mean over all seeds and all sentences; inverts `p_value`.

        Two seeds get Student's t with one degree of freedom alone: there any mixture is too narrow.
        """
        tail = (1 - level) / 2
        weight, of_seeds, of_sentences = self._reference
        narrow = stats.norm.isf(tail)
        wide = stats.t.isf(tail / of_seeds, min(self.seeds, self.sentences) - 1)
        found = elementwise.find_root(
            lambda t, weight, of_seeds: self._mixture(t, weight, of_seeds, of_sentences) - tail,
            (np.full(weight.shape, 0.99 * narrow), 1.01 * wide),
            args=(weight, of_seeds),
        )
        return _around(self.mean, found.x * np.sqrt(self.variance))

    @property
    def _reference(self) -> tuple[Float[np.ndarray, "*many"], Float[np.ndarray, "*many"], float]:
        """The weight of t(K−1), and how often its tail and that of t(N−1) count."""
        one = np.ones(np.shape(self.mean))
        if self.seeds < FEWEST_SEEDS:
            return one, one, 1.0
        total = self.variance
        unsure = (self.by_seed - KNOWN * self.rest) / np.where(total > 0, total, 1)
        if self.looks:
            return unsure, one * np.interp(self.seeds, LOOKS, _AGAIN), PRICE_OF_SENTENCES
        some_known = self.rest > 1e-9 * self.by_seed
        return unsure, np.where(some_known, np.interp(self.seeds, LOOKS, _ONCE), one), 1.0

    def _tail(self, t: Float[np.ndarray, "*many"]) -> Float[np.ndarray, "*many"]:
        """How often, at most, the statistic lies above t; more than 1/2 where that is no bound."""
        return self._mixture(t, *self._reference)

    def _mixture(self, t, weight, of_seeds, of_sentences: float):
        # the distribution's own function: `stats.t.sf` gives the same bits fifty times as slowly
        seeds, sentences = (special.stdtr(n - 1, -t) for n in (self.seeds, self.sentences))
        return of_seeds * weight * seeds + of_sentences * (1 - weight) * sentences


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
    whole = np.issubdtype(values.dtype, np.integer)
    step = 1 / cells if whole else 0.0
    return TwoWay(
        mean=mean,
        by_seed=np.maximum(np.maximum(seed_sum / (seeds - 1), rest) / cells, step**2),
        rest=rest / cells,
        by_sentence=np.maximum(sentence_sum / (sentences - 1) - rest, 0) / cells,
        seeds=seeds,
        sentences=sentences,
        nonzero_sentences=(np.abs(of_sentences) > 1e-12).sum(-1),
        tied=within <= 1e-9 * squares,
        answers=whole,
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
        rest=nothing,
        by_sentence=nothing,
        seeds=n,
        sentences=n,
        nonzero_sentences=nothing + n,
        tied=nothing.astype(bool),
    )


def stacked(spreads: Sequence[TwoWay]) -> TwoWay:
    """The means of several tables of one size as those of many tables."""
    each = ("mean", "by_seed", "rest", "by_sentence", "nonzero_sentences", "tied")
    return replace(
        spreads[0], **{name: np.stack([getattr(one, name) for one in spreads]) for name in each}
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
    uncertain as it is (Korn and Graubard 1998, for surveys), and never for more than N: sentences
    that no seed is sure of may be missing by chance where nearly all are right.
    """
    p = spread.mean
    low, high = spread.interval(level)
    error = (high - low) / 2 / stats.norm.isf((1 - level) / 2)
    within = (p > 0) & (p < 1) & (error > 0)
    answers = np.where(within, p * (1 - p) / np.where(within, error, 1) ** 2, np.inf)
    answers = np.minimum(answers, spread.sentences)
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
