"""What is asked of a model: classes or a number, and what that means for it and for its measure.

A data set's file says which labels there are and which metrics are reported (`DataSpec`). This
module knows what follows: the head and the loss that transformers gives the model, what a
prediction is, whether it is right, and every metric. A metric is an entry of `METRICS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Num

Labels = "Num[np.ndarray, ' sentences']"
Kind = Literal["classes", "two classes", "number"]

NUMBER = "number"  # what `labels` says in a data set whose label is a number


@dataclass(frozen=True)
class Metric:
    """How good predictions are, in one number over a set of sentences.

    Attributes:
        name: in files.
        title: for people.
        kind: which labels it is for.
        value: (labels, predictions, classes) → the metric; predictions are classes or numbers.
        scale: what it is multiplied with to be shown: 100 for shares and correlations.
        unit: of the number shown.
        limits: the least and the greatest value that it can have, before it is scaled.
        greater_is_better: whether more is better.
        per_sentence: (labels, predictions) → what each sentence adds to the mean that the metric
            is; None for a metric that is no mean over sentences.
        resampled: (labels (n,), predictions (runs, n), weights (draws, n), classes) → the metric
            (runs, draws) of the sentences, each taken as often as `weights` says; None: sentence
            by sentence through `value`, which is slow.
    """

    name: str
    title: str
    kind: Kind
    value: Callable[[np.ndarray, np.ndarray, int], float]
    scale: float = 100.0
    unit: str = "%"
    limits: tuple[float, float] = (0.0, 1.0)
    greater_is_better: bool = True
    per_sentence: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    resampled: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray] | None = None

    @property
    def difference_unit(self) -> str:
        """The unit of a difference of two shown values."""
        return "points" if self.scale == 100 else self.unit

    @property
    def places(self) -> int:
        """The decimal places of a shown value: alike in tables, sentences and pictures."""
        return 2 if self.scale == 100 else 4


@dataclass(frozen=True)
class Task:
    """What a data set asks.

    Attributes:
        labels: the classes' names, in the order of their numbers; None where the label is a number.
        metrics: what is reported; the first is the headline.
    """

    labels: tuple[str, ...] | None
    metrics: tuple[Metric, ...]

    @property
    def classes(self) -> int:
        """How many classes there are; 0 where the label is a number."""
        return len(self.labels or ())

    @property
    def num_labels(self) -> int:
        """The outputs of the model's head."""
        return self.classes or 1

    @property
    def problem_type(self) -> str:
        """What transformers calls it, which decides the loss: cross entropy, or squared error."""
        return "single_label_classification" if self.classes else "regression"

    @property
    def headline(self) -> Metric:
        """The metric that a method is quoted for."""
        return self.metrics[0]

    def predicted(self, logits: Float[np.ndarray, "*runs n k"]) -> Num[np.ndarray, "*runs n"]:
        """The class with the largest logit, the first of equal ones; or the number itself."""
        return logits.argmax(-1) if self.classes else logits[..., 0]

    def loss(self, logits: Float[np.ndarray, "n k"], labels: Num[np.ndarray, " n"]) -> float:
        """The mean loss, as transformers computes it for this problem type, in float64."""
        import torch

        values = torch.from_numpy(logits.astype("float64"))
        if self.classes:
            target = torch.from_numpy(labels.astype("int64"))
            return float(torch.nn.functional.cross_entropy(values, target))
        target = torch.from_numpy(labels.astype("float64"))
        return float(torch.nn.functional.mse_loss(values[:, 0], target))

    def measure(
        self, logits: Float[np.ndarray, "n k"], labels: Num[np.ndarray, " n"]
    ) -> dict[str, float]:
        """Every reported metric by name."""
        said = self.predicted(logits)
        return {m.name: float(m.value(labels, said, self.classes)) for m in self.metrics}


def task(labels: tuple[str, ...] | str, metrics: tuple[str, ...] = ()) -> Task:
    """The task of a data set with these `labels` and `metrics`, as its file names them."""
    if labels == NUMBER:
        names = metrics or ("pearson", "spearman", "mean_squared_error")
        return Task(None, tuple(METRICS[name] for name in names))
    return Task(tuple(labels), tuple(METRICS[name] for name in metrics or ("accuracy",)))


def check_metrics(labels: tuple[str, ...] | str, metrics: tuple[str, ...]) -> None:
    """Raise ValueError unless each of `metrics` is known and fits the labels."""
    from wsa.errors import did_you_mean

    kinds = {"number"} if labels == NUMBER else {"classes"}
    if labels != NUMBER and len(labels) == 2:
        kinds.add("two classes")
    for name in metrics:
        if name not in METRICS:
            raise ValueError(f"unknown metric '{name}': {did_you_mean(name, METRICS)}")
        if METRICS[name].kind not in kinds:
            fitting = [n for n, metric in METRICS.items() if metric.kind in kinds]
            raise ValueError(f"metric '{name}' does not fit these labels; {', '.join(fitting)} do")
    if len(set(metrics)) < len(metrics):
        raise ValueError("a metric is named twice")


# --- the metrics ---------------------------------------------------------------------------------


def _right(labels, predicted):
    return predicted == labels


def _squared_error(labels, predicted):
    import numpy as np

    return (predicted.astype(np.float64) - labels) ** 2


def _accuracy(labels, predicted, classes):
    from sklearn.metrics import accuracy_score

    return accuracy_score(labels, predicted)


def _mean_squared_error(labels, predicted, classes):
    from sklearn.metrics import mean_squared_error

    return mean_squared_error(labels.astype(float), predicted.astype(float))


def _f1(labels, predicted, classes):
    from sklearn.metrics import f1_score

    return f1_score(labels, predicted, zero_division=0)


def _f1_macro(labels, predicted, classes):
    from sklearn.metrics import f1_score

    every = list(range(classes))
    return f1_score(labels, predicted, labels=every, average="macro", zero_division=0)


def _matthews(labels, predicted, classes):
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(labels, predicted)


def _pearson(labels, predicted, classes):
    from scipy import stats

    if _constant(labels) or _constant(predicted):
        return 0.0  # a constant correlates with nothing; the findings tell of it
    return stats.pearsonr(labels.astype(float), predicted.astype(float)).statistic


def _spearman(labels, predicted, classes):
    from scipy import stats

    if _constant(labels) or _constant(predicted):
        return 0.0
    return stats.spearmanr(labels, predicted).statistic


def _constant(values) -> bool:
    return bool((values == values[0]).all())


def _mean_resampled(per_sentence):
    def resampled(labels, predicted, weights, classes):
        import numpy as np

        values = per_sentence(labels, predicted).astype(np.float64)
        return values @ weights.T.astype(np.float64) / weights.sum(1, dtype=np.float64)

    return resampled


def _counts(labels, predicted, weights, of: int):
    """How often each draw has a sentence of class `of`, said to be it, and both."""
    import numpy as np

    turned = weights.T.astype(np.float64)
    is_it, said = labels == of, predicted == of
    return is_it @ turned, said @ turned, (is_it & said) @ turned


def _f1_of(labels, predicted, weights, of: int):
    import numpy as np

    is_it, said, both = _counts(labels, predicted, weights, of)
    total = is_it + said
    return np.divide(2 * both, total, out=np.zeros_like(both), where=total > 0)


def _f1_resampled(labels, predicted, weights, classes):
    return _f1_of(labels, predicted, weights, 1)


def _f1_macro_resampled(labels, predicted, weights, classes):
    return sum(_f1_of(labels, predicted, weights, of) for of in range(classes)) / classes


def _matthews_resampled(labels, predicted, weights, classes):
    """The form for any number of classes (Gorodkin 2004), from the counts of a confusion matrix."""
    import numpy as np

    counts = [_counts(labels, predicted, weights, of) for of in range(classes)]
    total = weights.sum(1, dtype=np.float64)
    both = sum(both for _, _, both in counts)
    cross = sum(is_it * said for is_it, said, _ in counts)
    spread = [
        total**2 - sum(side[place] ** 2 for side in counts) for place in (0, 1)
    ]  # of the labels, of the predictions
    norm = np.sqrt(spread[0] * spread[1])
    return np.divide(both * total - cross, norm, out=np.zeros_like(both), where=norm > 0)


def _pearson_resampled(labels, predicted, weights, classes):
    import numpy as np

    turned = weights.T.astype(np.float64)
    total = turned.sum(0)
    # centred first: sums of squares lose digits otherwise
    y = labels.astype(np.float64) - labels.mean(dtype=np.float64)
    x = predicted.astype(np.float64)
    x = x - x.mean(-1, keepdims=True)
    mean_x, mean_y = x @ turned / total, y @ turned / total
    covariance = (x * y) @ turned / total - mean_x * mean_y
    variances = ((x**2) @ turned / total - mean_x**2, (y**2) @ turned / total - mean_y**2)
    norm = np.sqrt(np.maximum(variances[0] * variances[1], 0))
    return np.divide(covariance, norm, out=np.zeros_like(covariance), where=norm > 1e-12)


def _spearman_resampled(labels, predicted, weights, classes):
    """Pearson's correlation of the ranks that the sentences have in each draw."""
    import numpy as np

    y = _ranks(labels, weights)
    return np.stack([_paired_correlation(_ranks(run, weights), y, weights) for run in predicted])


def _ranks(values, weights):
    """The mid-ranks of `values` (n,) in each draw, where value i occurs `weights[:, i]` times."""
    import numpy as np

    _, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    times = np.add.reduceat(weights[:, order].astype(np.float64), starts, axis=1)
    return (np.cumsum(times, axis=1) - times + (times + 1) / 2)[:, place]


def _paired_correlation(x, y, weights):
    """Pearson's correlation in each draw, of values that differ from draw to draw."""
    import numpy as np

    total = weights.sum(1, dtype=np.float64)
    x = x - (np.einsum("bn,bn->b", weights, x) / total)[:, None]
    y = y - (np.einsum("bn,bn->b", weights, y) / total)[:, None]
    norm = np.sqrt(
        np.einsum("bn,bn,bn->b", weights, x, x) * np.einsum("bn,bn,bn->b", weights, y, y)
    )
    product = np.einsum("bn,bn,bn->b", weights, x, y)
    return np.divide(product, norm, out=np.zeros_like(product), where=norm > 1e-9)


_CORRELATION = (-1.0, 1.0)
METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy", "accuracy", "classes", _accuracy, per_sentence=_right,
            resampled=_mean_resampled(_right),
        ),
        Metric("f1", "F1", "two classes", _f1, resampled=_f1_resampled),
        Metric("f1_macro", "macro F1", "classes", _f1_macro, resampled=_f1_macro_resampled),
        Metric(
            "matthews", "Matthews correlation", "classes", _matthews, limits=_CORRELATION,
            unit="×100", resampled=_matthews_resampled,
        ),
        Metric(
            "pearson", "Pearson correlation", "number", _pearson, limits=_CORRELATION,
            unit="×100", resampled=_pearson_resampled,
        ),
        Metric(
            "spearman", "Spearman correlation", "number", _spearman, limits=_CORRELATION,
            unit="×100", resampled=_spearman_resampled,
        ),
        Metric(
            "mean_squared_error", "mean squared error", "number", _mean_squared_error,
            limits=(0.0, math.inf), scale=1.0, unit="", greater_is_better=False,
            per_sentence=_squared_error, resampled=_mean_resampled(_squared_error),
        ),
    )
}  # fmt: skip
