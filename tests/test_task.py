"""Metrics against scikit-learn and scipy, also where sentences are drawn with replacement."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from wsa.task import METRICS, check_metrics, task

N = 60


def drawn(rng, classes: int) -> tuple[np.ndarray, np.ndarray]:
    if classes:
        return rng.integers(0, classes, N), rng.integers(0, classes, (3, N))
    labels = rng.normal(size=N).round(1)  # rounded: with ties
    return labels, (labels + rng.normal(size=(3, N))).round(1)


ORACLES = {
    ("accuracy", 3): lambda y, p: sk.accuracy_score(y, p),
    ("f1", 2): lambda y, p: sk.f1_score(y, p),
    ("f1_macro", 3): lambda y, p: sk.f1_score(y, p, average="macro", labels=[0, 1, 2]),
    ("matthews", 2): lambda y, p: sk.matthews_corrcoef(y, p),
    ("matthews", 4): lambda y, p: sk.matthews_corrcoef(y, p),
    ("pearson", 0): lambda y, p: np.corrcoef(y, p)[0, 1],
    ("spearman", 0): lambda y, p: stats.spearmanr(y, p).statistic,
    ("mean_squared_error", 0): lambda y, p: sk.mean_squared_error(y, p),
}


@pytest.mark.parametrize(("name", "classes"), ORACLES, ids=lambda value: str(value))
def test_a_resampled_metric_is_that_of_the_sentences_repeated(name, classes):
    rng = np.random.default_rng(len(name) + classes)
    labels, predicted = drawn(rng, classes)
    chosen = rng.integers(0, N, (5, N))
    weights = np.stack([np.bincount(row, minlength=N) for row in chosen]).astype(np.float32)
    found = METRICS[name].resampled(labels, predicted, weights, classes)
    expected = [
        [ORACLES[name, classes](labels[rows], run[rows]) for rows in chosen] for run in predicted
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    whole = [METRICS[name].value(labels, run, classes) for run in predicted]
    everything = METRICS[name].resampled(labels, predicted, np.ones((1, N), np.float32), classes)
    np.testing.assert_allclose(everything[:, 0], whole, atol=1e-9)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_model_that_always_says_the_same_gets_a_number(name):
    """A collapsed run is told in the findings; it must not be dropped, nor be NaN."""
    metric = METRICS[name]
    classes = 0 if metric.kind == "number" else 2
    rng = np.random.default_rng(0)
    labels, _ = drawn(rng, classes)
    same = np.zeros((1, N), labels.dtype)
    weights = rng.integers(0, 3, (4, N)).astype(np.float32)
    assert np.isfinite(metric.value(labels, same[0], classes))
    assert np.isfinite(metric.resampled(labels, same, weights, classes)).all()


@pytest.mark.parametrize("classes", [2, 3, 0])
def test_the_loss_is_the_one_that_transformers_trains_with(classes):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    asked = task(tuple("abc"[:classes]) if classes else "number")
    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, num_labels=asked.num_labels, problem_type=asked.problem_type,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).eval()
    ids = torch.randint(0, 20, (6, 5))
    labels = torch.tensor([0, 1, 0, 1, 1, 0]) if classes else torch.randn(6)
    out = model(input_ids=ids, labels=labels)
    logits = out.logits.detach().numpy()
    assert asked.loss(logits, labels.numpy()) == pytest.approx(out.loss.item(), rel=1e-5)


def test_a_metric_must_fit_the_labels():
    check_metrics(("a", "b"), ("f1", "accuracy"))
    with pytest.raises(ValueError, match="does not fit"):
        check_metrics(("a", "b", "c"), ("f1",))
    with pytest.raises(ValueError, match="does not fit"):
        check_metrics("number", ("accuracy",))
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        check_metrics(("a", "b"), ("acuracy",))
