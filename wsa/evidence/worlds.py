"""Simulated suites whose judged metric is no accuracy: F1, a correlation, the squared error.

Classes: a sentence is of class 1 with probability `positive`, and method m with seed k says

    1 where ±(skill_m + difficulty_j + taste_mj + luck_mk + ε_mkj) + lean_mk > 0,   ε ~ N(0, 1),

+ for class 1 and − for class 0: luck makes a seed better at both, lean makes it say 1 too often.
Numbers: labels y are standard normal, and what is predicted is

    (skill_m + luck_mk) y_j + difficulty_j + taste_mj + ε_mkj + lean_mk.

All are normal, so a method's true metric over all seeds and sentences is an integral over luck and
lean, and skills are found that have any true difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num
from scipy.optimize import brentq
from scipy.special import ndtr

from wsa.evidence.accuracies import SENTENCES
from wsa.evidence.statistics import LOOKS
from wsa.task import METRICS, Metric

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class MetricKind:
    """A kind of world. Standard deviations are those of the model above.

    Attributes:
        name: in files.
        description: for people.
        judged_by: the metric's name.
        value: its true value for the middle one of three methods, as it is shown.
        differences: true differences that are tried, as they are shown.
        luck: of a seed's skill.
        lean: of a seed's constant.
        difficulty: of a sentence, shared by all methods.
        taste: of a sentence, a method's own.
        noise: of a single prediction.
        positive: the share of class 1; None where the label is a number.
        one_in: of so many worlds of an accuracy, one is made of this kind: they take long.
        looks: seeds at which they are judged.
    """

    name: str
    description: str
    judged_by: str
    value: float
    differences: tuple[float, ...]
    luck: float
    lean: float
    difficulty: float
    taste: float
    noise: float = 1.0
    positive: float | None = None
    one_in: int = 5
    looks: tuple[int, ...] = LOOKS

    @property
    def metric(self) -> Metric:
        return METRICS[self.judged_by]

    @property
    def classes(self) -> int:
        return 0 if self.positive is None else 2

    def skill(self, value: float) -> float:
        """The skill whose true metric is `value`, as it is shown."""
        low, high = (0.0, 60.0) if self.classes else (0.01, 5.0)
        if self.judged_by == "mean_squared_error":
            high = 1.0  # beyond, the error grows again
        return brentq(lambda skill: self.true_value(skill) - value, low, high)

    def true_value(self, skill: float) -> float:
        """The metric of very many sentences, mean over seeds, as it is shown."""
        own, lean = skill + self.luck * _NODES[:, None], self.lean * _NODES[None, :]
        of_seeds = self._of_classes(own, lean) if self.classes else self._of_numbers(own, lean)
        return float(self.metric.scale * (_WEIGHTS @ of_seeds @ _WEIGHTS))

    def seed_std(self) -> float:
        """Of the true metric over seeds, as it is shown."""
        skill = self.skill(self.value)
        own, lean = skill + self.luck * _NODES[:, None], self.lean * _NODES[None, :]
        of_seeds = self._of_classes(own, lean) if self.classes else self._of_numbers(own, lean)
        mean = _WEIGHTS @ of_seeds @ _WEIGHTS
        return float(self.metric.scale * np.sqrt(_WEIGHTS @ (of_seeds - mean) ** 2 @ _WEIGHTS))

    def _of_classes(self, own, lean) -> Float[np.ndarray, "luck lean"]:
        width = np.sqrt(self.noise**2 + self.difficulty**2 + self.taste**2)
        share = self.positive
        true_1 = share * ndtr((own + lean) / width)
        false_1 = (1 - share) * ndtr((lean - own) / width)
        if self.judged_by == "f1":
            return 2 * true_1 / (share + true_1 + false_1)
        said_1 = true_1 + false_1
        together = true_1 - share * said_1
        return together / np.sqrt(share * (1 - share) * said_1 * (1 - said_1))

    def _of_numbers(self, own, lean) -> Float[np.ndarray, "luck lean"]:
        rest = self.noise**2 + self.difficulty**2 + self.taste**2
        if self.judged_by == "mean_squared_error":
            return (own - 1) ** 2 + rest + lean**2
        pearson = own / np.sqrt(own**2 + rest) + 0 * lean
        if self.judged_by == "spearman":
            return 6 / np.pi * np.arcsin(pearson / 2)
        return pearson


Drawn = tuple[Num[np.ndarray, "worlds n"], Callable[[list[float]], Num[np.ndarray, "m worlds k n"]]]


def simulate(
    kind: MetricKind, worlds: int, methods: int, seeds: int, rng: np.random.Generator
) -> Drawn:
    """`worlds` suites of one kind.

    Returns:
        the labels, and what methods of any true values (as they are shown) predict.
    """

    def normal(width: float, *size: int) -> np.ndarray:
        return np.float32(width) * rng.standard_normal(size, dtype=np.float32)

    sentences = normal(kind.difficulty, worlds, 1, 1, SENTENCES)
    sentences = sentences + normal(kind.taste, worlds, methods, 1, SENTENCES)
    luck, lean = (normal(width, worlds, methods, seeds, 1) for width in (kind.luck, kind.lean))
    rest = sentences + normal(kind.noise, worlds, methods, seeds, SENTENCES)
    if kind.classes:
        labels = (rng.random((worlds, SENTENCES)) < kind.positive).astype(np.int8)
    else:
        labels = normal(1.0, worlds, SENTENCES)
    signs = (2 * labels - 1 if kind.classes else labels)[:, None, :]

    def predict(values: list[float]) -> Num[np.ndarray, "m worlds k n"]:
        said = []
        for method, skill in enumerate(map(kind.skill, values)):
            own = np.float32(skill) + luck[:, method]
            if kind.classes:
                latent = signs * (own + rest[:, method]) + lean[:, method]
                said.append((latent > 0).astype(np.int8))
            else:
                said.append(own * signs + rest[:, method] + lean[:, method])
        return np.stack(said)

    return labels, predict


_CLASSES = {"difficulty": 6.0, "taste": 1.5, "positive": 0.3}
_NUMBERS = {"difficulty": 0.37, "taste": 0.24, "noise": 0.19}
KINDS = (
    MetricKind(
        "F1", "30 % of class 1, F1 85 %, seeds vary by 0.8", "f1", 85.0, (0.0, 2.0),
        luck=0.2, lean=0.2, **_CLASSES,
    ),
    MetricKind(
        "F1, strong seed effect", "the same, seeds vary by 2.5", "f1", 85.0, (0.0,),
        luck=0.6, lean=0.6, **_CLASSES,
    ),
    MetricKind(
        "F1, rare class", "8 % of class 1, F1 70 %, seeds vary by 1.7", "f1", 70.0, (0.0,),
        luck=0.2, lean=0.2, **_CLASSES | {"positive": 0.08},
    ),
    MetricKind(
        "Matthews", "30 % of class 1, correlation 60, seeds vary by 1.7", "matthews", 60.0,
        (0.0, 3.0), luck=0.2, lean=0.2, **_CLASSES,
    ),
    MetricKind(
        "Pearson", "correlation 90, seeds vary by 0.3", "pearson", 90.0, (0.0, 1.0),
        luck=0.0175, lean=0.03, **_NUMBERS,
    ),
    MetricKind(
        "Pearson, strong seed effect", "correlation 90, seeds vary by 1", "pearson", 90.0, (0.0,),
        luck=0.06, lean=0.1, **_NUMBERS,
    ),
    MetricKind(
        "Spearman", "rank correlation 89, seeds vary by 0.3", "spearman", 89.0, (0.0, 1.0),
        luck=0.0175, lean=0.03, one_in=20, looks=(3, 5), **_NUMBERS,
    ),
    MetricKind(
        "squared error", "0.28 where the labels' variance is 1", "mean_squared_error", 0.28,
        (0.0, 0.02), luck=0.02, lean=0.05, **_NUMBERS,
    ),
)  # fmt: skip
