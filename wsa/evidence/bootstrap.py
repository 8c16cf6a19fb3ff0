"""The paired bootstrap over seeds × sentences, and the variances that it gives.

Sentences are drawn with replacement, the same draws for every run; a metric that is no mean over
sentences (F1, a correlation) has its variances from there. Draws are made in blocks: 40,000
sentences × 10,000 draws never lie in memory at once, and the blocks' size changes no number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32, Int, Num

from wsa.evidence.statistics import LEVEL, TwoWay
from wsa.task import Metric

RESAMPLES = 10_000
SEED = 0  # fixed: the same runs give the same intervals, to the last bit
_CELLS = 2_000_000  # sentences × draws in memory at a time


def sentence_weights(
    sentences: int, resamples: int = RESAMPLES, cells: int = _CELLS
) -> Iterator[Float32[np.ndarray, "block sentences"]]:
    """How often each sentence is drawn, in each of `resamples` draws with replacement, by blocks.

    Args:
        sentences: how many there are; so many are drawn.
        resamples: the draws of all blocks together.
        cells: at most so many numbers in a block, one draw at least.
    """
    block = max(1, cells // sentences)
    if block >= resamples:
        yield _only_block(sentences, resamples)
        return
    rng = np.random.default_rng([SEED, sentences])
    for start in range(0, resamples, block):
        yield _draw_counts(rng, sentences, min(block, resamples - start)).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _only_block(sentences: int, resamples: int) -> Float32[np.ndarray, "resamples sentences"]:
    rng = np.random.default_rng([SEED, sentences])
    return _draw_counts(rng, sentences, resamples).astype(np.float32)


@functools.cache
def seed_weights(seeds: int, resamples: int) -> Float[np.ndarray, "resamples seeds"]:
    """Each seed's share of the seeds drawn, in each of `resamples` draws with replacement."""
    return _draw_counts(np.random.default_rng([SEED, seeds, 1]), seeds, resamples) / seeds


def resample(
    metric: Metric,
    labels: Num[np.ndarray, " n"],
    predicted: Num[np.ndarray, "runs n"],
    classes: int,
    resamples: int = RESAMPLES,
    cells: int = _CELLS,
) -> Float[np.ndarray, "runs draws"]:
    """The metric of each run on each draw of the sentences."""
    blocks = [
        _on_draws(metric, labels, predicted, weights, classes)
        for weights in sentence_weights(len(labels), resamples, cells)
    ]
    return np.concatenate(blocks, axis=1)


def over_seeds(
    draws: Float[np.ndarray, "*many seeds draws"], greater_is_better: bool = True
) -> tuple[Float[np.ndarray, "*many draws"], Float[np.ndarray, "*many draws"]]:
    """The second of the bootstrap's two ways: differences of seeds on resampled sentences.

    Returns:
        in each draw, the mean difference over the seeds drawn, and the share of them that win.
    """
    weights = seed_weights(*draws.shape[-2:]).T
    wins = 0.5 + 0.5 * np.sign(draws if greater_is_better else -draws)
    return (draws * weights).sum(-2), (wins * weights).sum(-2)


def percentiles(
    draws: Float[np.ndarray, "*many draws"],
) -> tuple[Float[np.ndarray, "*many"], Float[np.ndarray, "*many"]]:
    """The bootstrap's 95 % interval."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=-1)
    return low, high


def two_way_of_draws(
    values: Float[np.ndarray, "*many seeds"],
    draws: Float[np.ndarray, "*many seeds draws"],
    sentences: int,
    nonzero_sentences: Int[np.ndarray, "*many"],
) -> TwoWay:
    """What `statistics.two_way` is for means, for a value of any form.

    Let V be the variance over draws of the mean over seeds, and W the mean over seeds of the
    variance over draws. In the model value = mean + seed + sentence + rest, V holds the sentences'
    part and 1/K of the rest's, W both whole: the rest within a seed adds (W − V) / (K − 1) to the
    variance of the mean, the sentences V less that. The seeds' part is the variance between seeds,
    not let fall below the rest, as there.

    Args:
        values: on all sentences.
        draws: on resampled ones, the same for all seeds.
        sentences: N.
        nonzero_sentences: those that can make a difference.
    """
    seeds = values.shape[-1]
    mean = values.mean(-1)
    unbiased = sentences / (sentences - 1)  # a sample's sentences vary less than the population's
    together = draws.mean(-2).var(-1) * unbiased
    apart = draws.var(-1).mean(-1) * unbiased
    rest = np.maximum(apart - together, 0) / (seeds - 1)
    return TwoWay(
        mean=mean,
        by_seed=np.maximum(values.var(-1, ddof=1) / seeds, rest),
        rest=rest,
        by_sentence=np.maximum(together - rest, 0),
        seeds=seeds,
        sentences=sentences,
        nonzero_sentences=nonzero_sentences,
        tied=(np.ptp(values, -1) == 0) & (np.ptp(draws, -2) == 0).all(-1),
    )


def _on_draws(metric, labels, predicted, weights, classes) -> Float[np.ndarray, "runs block"]:
    if metric.resampled is not None:
        return metric.resampled(labels, predicted, weights, classes)
    drawn = [np.repeat(np.arange(len(labels)), row.astype(int)) for row in weights]
    return np.array(
        [[metric.value(labels[rows], run[rows], classes) for rows in drawn] for run in predicted]
    )


def _draw_counts(rng: np.random.Generator, of: int, draws: int) -> Int[np.ndarray, "draws of"]:
    drawn = rng.integers(0, of, (draws, of)) + of * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * of).reshape(draws, of)
