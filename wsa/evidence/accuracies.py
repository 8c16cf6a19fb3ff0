"""Simulated suites of accuracies, whose truth is known.

A world is a suite's worth of runs. Whether method m with seed k classifies sentence j correctly
is decided by a probit model,

    correct = [skill_m + sentence_mj + luck_mk + ε_mkj > 0],   ε ~ N(0, 1).

A sentence is as easy as all methods find it and as this method does: either
sentence_mj = difficulty_j + taste_mj, both normal, or the probability that it stands for is drawn
from a beta distribution, methods being tied by a normal copula, as fitted to published
predictions. Luck is a seed's, part of it shared by the methods because seed k gives them the same
order of data and the same head. A true accuracy is the mean of Φ over all of these, and skills are
found that give it, so that a true difference can be set exactly.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri

SENTENCES = 872  # of SST-2's validation set, and of the embedded data set's
_GRID = ndtri((np.arange(4000) + 0.5) / 4000)  # of a standard normal


@dataclass(frozen=True)
class Kind:
    """A kind of world. Standard deviations are of the latent scale, whose noise ε has 1.

    Attributes:
        name: in files.
        description: for people.
        accuracy: of the middle one of three methods, as a fraction.
        seed_std: of a method's true accuracy over seeds, as a fraction.
        difficulty: of a sentence, shared by all methods.
        taste: of a sentence, a method's own.
        role: whether the constants of the test were chosen with it; `confirmed` and `limit` worlds
            were simulated after they were; in `limit` worlds what the test takes for granted is
            not so.
        sentences: N.
        beta: the parameters of a sentence's probability, and the share of the copula's variance
            that methods have in common, in place of difficulty and taste.
        shared_luck: share of the luck's variance that all methods have in common.
        luck_of: each method's luck, in terms of `seed_std`; further methods are as the last.
        tails: of luck: normal, heavy (Student's t with 3 degrees of freedom), or one seed in ten
            far worse than the others, which are alike.
        failing: share of each method's seeds that end at chance level, likewise.
        block: so many sentences are alike, as those of one text.
        power: whether true differences are tried, too.
        intervals: whether a method's own intervals are.
        one_in: of so many worlds of other kinds, one is made of this: it takes long.
    """

    name: str
    description: str
    accuracy: float
    seed_std: float
    difficulty: float = 6.0
    taste: float = 1.5
    role: Literal["chosen", "confirmed", "limit"] = "chosen"
    sentences: int = SENTENCES
    beta: tuple[float, float, float] | None = None
    shared_luck: float = 0.5
    luck_of: tuple[float, ...] = (1.0,)
    tails: Literal["normal", "heavy", "one in ten"] = "normal"
    failing: tuple[float, ...] = (0.0,)
    block: int = 1
    power: bool = False
    intervals: bool = False
    one_in: int = field(default=1, repr=False)

    def luck(self, methods: int) -> Float[np.ndarray, " m"]:
        """Each method's standard deviation over seeds, to first order in `seed_std`."""
        if self.beta is None:
            scale = np.sqrt(1 + self.difficulty**2 + self.taste**2)
            slope = np.exp(-(ndtri(self.accuracy) ** 2) / 2) / np.sqrt(2 * np.pi) / scale
        else:
            step = 1e-3
            slope = (self._accuracy_of(step) - self._accuracy_of(-step)) / (2 * step)
        return self.seed_std / slope * _of_each(self.luck_of, methods)

    def skills(self, accuracies: list[float]) -> Float[np.ndarray, " m"]:
        """The methods' skills that give these true accuracies, seeds that fail included."""
        found = []
        failing_of, lucks = (_of_each(self.failing, len(accuracies)), self.luck(len(accuracies)))
        for accuracy, luck, failing in zip(accuracies, lucks, failing_of, strict=True):
            of_others = (accuracy - failing / 2) / (1 - failing)
            if self.beta is None:
                variance = 1 + self.difficulty**2 + self.taste**2 + luck**2
                found.append(ndtri(of_others) * np.sqrt(variance))
            else:
                found.append(brentq(self._missing, -9, 9, (luck, of_others)))
        return np.array(found)

    def _accuracy_of(self, skill: float, luck: float = 0.0) -> float:
        """The true accuracy, where sentences are as `beta` says."""
        x = self.sentence(_GRID)
        return float(ndtr((x + skill) / np.sqrt(1 + luck**2)).mean())

    def _missing(self, skill: float, luck: float, accuracy: float) -> float:
        return self._accuracy_of(skill, luck) - accuracy

    def sentence(self, z: Float[np.ndarray, "*many"]) -> Float[np.ndarray, "*many"]:
        """How easy the sentences are whose place among all is Φ(z), where `beta` says it."""
        return np.interp(z, _GRID, _easiness(*self.beta[:2]))


def _of_each(values: tuple[float, ...], methods: int) -> Float[np.ndarray, " m"]:
    return np.array([values[min(m, len(values) - 1)] for m in range(methods)])


@functools.cache
def _easiness(alpha: float, beta: float) -> Float[np.ndarray, " grid"]:
    """On the probit scale: a probability's noise has standard deviation 1."""
    return np.clip(ndtri(betaincinv(alpha, beta, ndtr(_GRID))), -8, 8)


_STRONG = {"shared_luck": 0.0}
KINDS = (
    Kind("usual", "94 %, seeds vary by 0.3 points", 0.94, 0.003, power=True, intervals=True),
    Kind(
        "weaker model", "84 %, seeds vary by 0.5 points", 0.84, 0.005, 5.0, power=True,
        intervals=True,
    ),
    Kind(
        "close methods", "94 %, methods err on nearly the same sentences", 0.94, 0.003, taste=0.5,
        power=True,
    ),
    Kind("no seed effect", "94 %, seeds alike but for noise", 0.94, 0.0),
    Kind(
        "strong seed effect", "94 %, seeds vary by 1.5 points", 0.94, 0.015, intervals=True,
        **_STRONG,
    ),
    Kind(
        "rare bad seeds", "94 %, seeds vary by 1 point, heavy-tailed", 0.94, 0.01, tails="heavy",
        **_STRONG,
    ),
    Kind(
        "unequal seed effects", "94 %, seeds of one method vary by 2 points, of the others by 0.2",
        0.94, 0.02, luck_of=(1.0, 0.1), **_STRONG,
    ),
    Kind(
        "weaker model, strong seed effect", "84 %, seeds vary by 2 points", 0.84, 0.02, 3.0, 1.0,
        **_STRONG,
    ),
    Kind("noisy", "65 %, predictions mostly noise", 0.65, 0.004, 1.0, 0.3),
    Kind(
        "noisy, strong seed effect", "65 %, predictions mostly noise, seeds vary by 2 points", 0.65,
        0.02, 1.0, 0.3, **_STRONG,
    ),
    Kind("steady", "90 %, hardly any noise, methods differ much", 0.90, 0.001, 20.0, 8.0),
    Kind(
        "collapse", "90 %, one seed in ten of every method ends at chance level", 0.90, 0.003,
        failing=(0.1,),
    ),
    Kind("98 %", "seeds vary by 0.2 points", 0.98, 0.002, intervals=True),
    Kind("99.5 %", "seeds vary by 0.1 points", 0.995, 0.001, intervals=True),
    Kind(
        "50 sentences", "94 %, seeds vary by 0.5 points", 0.94, 0.005, sentences=50, intervals=True
    ),
    Kind(
        "50 sentences, weaker model", "80 %, seeds vary by 1 point", 0.80, 0.01, 5.0, sentences=50,
        intervals=True,
    ),
    Kind("200 sentences", "94 %, seeds vary by 0.5 points", 0.94, 0.005, sentences=200),
    Kind(
        "200 sentences, strong seed effect", "84 %, seeds vary by 2 points", 0.84, 0.02, 5.0,
        sentences=200, **_STRONG,
    ),
    Kind(
        "4,000 sentences", "94 %, seeds vary by 0.3 points", 0.94, 0.003, sentences=4000, one_in=5
    ),
    Kind(
        "as MiniLM on SST-2", "84 %, sentences as its predictions have them", 0.838, 0.0025,
        beta=(0.266, 0.0514, 0.968), role="confirmed", power=True,
    ),
    Kind(
        "as MiniLM on tweets", "95 %, sentences as its predictions have them", 0.952, 0.002,
        beta=(0.408, 0.0205, 0.971), role="confirmed", intervals=True,
    ),
    Kind(
        "as MiniLM on reviews", "88 %, sentences as its predictions have them, seeds vary by 1.5 "
        "points", 0.883, 0.015, beta=(0.319, 0.0422, 0.974), role="confirmed", **_STRONG,
    ),
    Kind(
        "277 sentences", "70 %, as of RTE, seeds vary by 1.5 points", 0.70, 0.015, 2.0, 0.8,
        role="confirmed", sentences=277, intervals=True,
    ),
    Kind(
        "2,000 sentences", "88 %, seeds vary by 0.6 points", 0.88, 0.006, 4.0, role="confirmed",
        sentences=2000, one_in=2,
    ),
    Kind(
        "99 %, 300 sentences", "seeds vary by 0.3 points", 0.99, 0.003, role="confirmed",
        sentences=300, intervals=True,
    ),
    Kind(
        "one bad seed in ten", "90 %, every method, 3 points worse", 0.90, 0.01, 5.0,
        role="confirmed", tails="one in ten", **_STRONG,
    ),
    Kind(
        "weaker model, unequal seed effects", "84 %, seeds of one method vary by 1.2 points, of "
        "the others by 0.3", 0.84, 0.012, 5.0, role="confirmed", luck_of=(1.0, 0.25),
        **_STRONG,
    ),
    Kind(
        "one method alone collapses", "94 % all told, one seed in ten of one method ends at chance "
        "level, and three seeds in four show none", 0.94, 0.003, role="limit",
        failing=(0.1, 0.0),
    ),
    Kind(
        "sentences in blocks", "94 %, sentences by eights, each as easy as the others", 0.94, 0.003,
        role="limit", block=8,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Worlds:
    """Simulated suites: who would be right about what, at any accuracies one asks for.

    Attributes:
        kind: what kind of worlds.
        sentences: how easy each is.
        latent: with luck and noise.
        failed: which seeds ended at chance level.
        chance: what a seed at chance level gets right.
    """

    kind: Kind
    sentences: Float[np.ndarray, "worlds m 1 n"]
    latent: Float[np.ndarray, "worlds m seeds n"]
    failed: Bool[np.ndarray, "worlds m seeds 1"] | None
    chance: Bool[np.ndarray, "worlds 1 n"] | None

    def right(self, accuracies: list[float]) -> Bool[np.ndarray, "m worlds seeds n"]:
        """Which sentences are classified correctly by methods of these true accuracies."""
        thresholds = -self.kind.skills(accuracies).astype(np.float32)
        right = np.stack([self.latent[:, m] > threshold for m, threshold in enumerate(thresholds)])
        if self.failed is None:
            return right
        failed = np.moveaxis(self.failed, 1, 0)[: len(thresholds)]
        return np.where(failed, self.chance, right)

    def accuracy_on_these(self, accuracy: float) -> Float[np.ndarray, " worlds"]:
        """The first method's true accuracy over all seeds, on each world's own sentences."""
        latent = self.sentences[:, 0, 0] + self.kind.skills([accuracy])[0]
        return ndtr(latent / np.sqrt(1 + self.kind.luck(1)[0] ** 2)).mean(-1)


def simulate(kind: Kind, worlds: int, methods: int, seeds: int, rng: np.random.Generator) -> Worlds:
    """`worlds` suites of one kind."""

    def normal(*size: int) -> np.ndarray:
        return rng.standard_normal(size, dtype=np.float32)

    blocks = -(-kind.sentences // kind.block)
    own, common = normal(worlds, methods, 1, blocks), normal(worlds, 1, 1, blocks)
    if kind.beta is None:
        sentences = np.float32(kind.taste) * own + np.float32(kind.difficulty) * common
    else:
        shared = kind.beta[2]
        z = np.sqrt(1 - shared) * own + np.sqrt(shared) * common
        sentences = kind.sentence(z).astype(np.float32)
    if kind.block > 1:
        sentences = np.repeat(sentences, kind.block, -1)[..., : kind.sentences]
    luck = _luck(kind, worlds, methods, seeds, rng) * kind.luck(methods)[:, None, None]
    latent = normal(worlds, methods, seeds, kind.sentences)
    latent += luck.astype(np.float32)
    latent += sentences
    if not any(kind.failing):
        return Worlds(kind, sentences, latent, None, None)
    failing = _of_each(kind.failing, methods)[:, None, None]
    failed = rng.random((worlds, methods, seeds, 1)) < failing
    return Worlds(kind, sentences, latent, failed, rng.random((worlds, 1, kind.sentences)) < 0.5)


def _luck(kind: Kind, worlds: int, methods: int, seeds: int, rng) -> np.ndarray:
    """Of mean 0 and variance 1."""
    own = (worlds, methods, seeds, 1)
    if kind.tails == "heavy":
        return rng.standard_t(3, own) / np.sqrt(3)
    if kind.tails == "one in ten":
        return (0.1 - (rng.random(own) < 0.1)) / 0.3
    luck = np.sqrt(1 - kind.shared_luck) * rng.standard_normal(own, dtype=np.float32)
    common = rng.standard_normal((worlds, 1, seeds, 1), dtype=np.float32)
    return luck + np.sqrt(kind.shared_luck) * common
