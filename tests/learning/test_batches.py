"""Which sentences a seed sees, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from wsa.errors import InputError
from wsa.learning.batches import (
    TokenTable,
    evaluation_batches,
    evaluation_sentences,
    training_batches,
    training_sentences,
)
from wsa.learning.tokens import Tokens
from wsa.suite.schema import DataSpec, Protocol

DATA = DataSpec(name="d", title="D", source={"kind": "path", "path": "."})


def protocol(**changes: object) -> Protocol:
    values: dict = {
        "epochs": 2, "batch_size": 4, "batching": "sorted_windows", "window_batches": 3,
        "max_length": 9, "schedule": "linear", "weight_decay": 0.0, "head_learning_rate": 1e-3,
    }  # fmt: skip
    return Protocol(**values | changes)


def sentences(n: int, seed: int = 0) -> Tokens:
    """`n` sentences of 3 to 12 tokens; each begins with 101 and ends with 102."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 13, n)
    rows = [np.r_[101, generator.integers(200, 300, length - 2), 102] for length in lengths]
    return Tokens(
        input_ids=np.concatenate(rows).astype(np.int32),
        segments=np.concatenate([np.r_[-1, np.zeros(n - 2), -1] for n in lengths]).astype(np.int8),
        token_type_ids=None,
        offsets=np.r_[0, lengths.cumsum()].astype(np.int64),
        labels=generator.integers(0, 2, n).astype(np.int16),
        ids=[f"{generator.integers(2**60):016x}" for _ in range(n)],
        pad_token_id=0,
        sha256="0" * 64,
    )


@pytest.mark.parametrize("batching", ["sorted_windows", "random"])
def test_every_epoch_sees_every_sentence_once(batching):
    lengths = sentences(37).lengths
    batches = training_batches(lengths, protocol(batching=batching), seed=3)
    half = len(batches) // 2
    for epoch in (batches[:half], batches[half:]):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(37))


def test_the_order_depends_on_the_seed_and_nothing_else():
    lengths = sentences(64).lengths
    one, again, other = (training_batches(lengths, protocol(), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_epochs_differ():
    batches = training_batches(sentences(64).lengths, protocol(), seed=0)
    first, second = batches[: len(batches) // 2], batches[len(batches) // 2 :]
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_sorted_windows_pad_less():
    lengths = sentences(600).lengths

    def padded(batching: str) -> int:
        chosen = protocol(batching=batching, window_batches=50)
        return sum(len(b) * lengths[b].max() for b in training_batches(lengths, chosen, 0))

    assert padded("sorted_windows") < 0.8 * padded("random")


def test_evaluation_sees_every_sentence_once():
    lengths = sentences(37).lengths
    seen = np.concatenate(list(evaluation_batches(lengths, protocol())))
    assert sorted(seen.tolist()) == list(range(37))


def test_holdout_and_training_sentences_are_apart():
    train, validation = sentences(50), sentences(20, seed=1)
    chosen = protocol(evaluate_on="holdout", holdout_sentences=20, train_sentences=30)
    trained = set(training_sentences(train, chosen).ids)
    splits = {"train": train, "validation": validation}
    (found,) = evaluation_sentences(splits, DATA, chosen).values()
    held_out = set(found.ids)
    assert len(trained) == 30 and len(held_out) == 20
    assert not trained & held_out
    assert held_out <= set(train.ids)


def test_the_validation_set_is_reported_on():
    validation = sentences(20, seed=1)
    splits = {"train": sentences(50), "validation": validation}
    (found,) = evaluation_sentences(splits, DATA, protocol()).values()
    assert found.ids == validation.ids


def test_the_subset_does_not_depend_on_the_order_of_the_data():
    train = sentences(50)
    shuffled = train.select(np.random.default_rng(5).permutation(50))
    chosen = protocol(train_sentences=20)
    assert set(training_sentences(train, chosen).ids) == set(
        training_sentences(shuffled, chosen).ids
    )


def test_too_large_a_subset_is_refused():
    with pytest.raises(InputError, match="only 50 sentences"):
        training_sentences(sentences(50), protocol(train_sentences=51))


def test_a_batch_is_padded_to_its_longest_sentence():
    tokens = sentences(10).truncated(9)
    table = TokenTable(tokens, torch.device("cpu"))
    rows = np.array([3, 7, 1])
    batch = table.batch(rows)
    assert batch["input_ids"].shape == (3, tokens.lengths[rows].max())
    for row, index in enumerate(rows):
        start, end = tokens.offsets[index : index + 2]
        ids = batch["input_ids"][row][batch["attention_mask"][row].bool()]
        assert ids.tolist() == tokens.input_ids[start:end].tolist()
    assert batch["labels"].tolist() == tokens.labels[rows].tolist()
