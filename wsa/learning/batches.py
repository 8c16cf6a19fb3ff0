"""Which sentences are trained on and evaluated, and in what order a seed sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from wsa.errors import InputError
from wsa.suite.schema import DataSpec, Protocol

if TYPE_CHECKING:
    import torch

    from wsa.learning.tokens import Tokens

Indices = Int[np.ndarray, " batch"]


def training_sentences(train: Tokens, protocol: Protocol) -> Tokens:
    """The training sentences of a suite, the same for every method and seed.

    A subset is chosen by the sentences' ids, which are hashes of their texts, so it depends on
    nothing but the data. With `evaluate_on: holdout` the last sentences in that order stay out.

    Raises:
        InputError: if the data set is too small for subset and holdout.
    """
    order = np.argsort(np.asarray(train.ids), kind="stable")
    available = len(train)
    if protocol.evaluate_on == "holdout":
        available -= protocol.holdout_sentences
        if available <= 0:
            raise InputError(
                f"the holdout leaves none of the {len(train)} training sentences",
                key="protocol.holdout_sentences", value=protocol.holdout_sentences,
                remedy=f"fewer than {len(train)}",
            )  # fmt: skip
    wanted = protocol.train_sentences or available
    if wanted > available:
        raise InputError(
            f"only {available} sentences are there to train on", key="protocol.train_sentences",
            value=wanted, remedy=f"at most {available}, or a smaller holdout",
        )  # fmt: skip
    return train.select(np.sort(order[:wanted])).truncated(protocol.max_length)


def evaluation_sentences(
    splits: Mapping[str, Tokens], data: DataSpec, protocol: Protocol
) -> dict[str, Tokens]:
    """The sentences that are reported, by split; the first is the one that counts.

    The validation splits, or the holdout of the training data.
    """
    if protocol.evaluate_on == "validation":
        return {name: splits[name].truncated(protocol.max_length) for name in data.validation}
    train = splits["train"]
    order = np.argsort(np.asarray(train.ids), kind="stable")
    held = train.select(np.sort(order[-protocol.holdout_sentences :]))
    return {"holdout": held.truncated(protocol.max_length)}


def training_batches(
    lengths: Int[np.ndarray, " sentences"], protocol: Protocol, seed: int
) -> list[Indices]:
    """The batches of all epochs, in order; they depend on lengths, protocol and seed alone.

    'random' shuffles and cuts. 'sorted_windows' shuffles, cuts into windows of `window_batches`
    batches, sorts each window by length so that a batch holds sentences of like length, and
    shuffles the window's batches: less padding, and still another order every epoch.
    """
    batches: list[Indices] = []
    for epoch in range(protocol.epochs):
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(lengths))
        window = len(order)
        if protocol.batching == "sorted_windows":
            window = protocol.window_batches * protocol.batch_size
        for start in range(0, len(order), window):
            part = order[start : start + window]
            if protocol.batching == "sorted_windows":
                part = part[np.argsort(lengths[part], kind="stable")]
            cut = [
                part[i : i + protocol.batch_size] for i in range(0, len(part), protocol.batch_size)
            ]
            if protocol.batching == "sorted_windows":
                cut = [cut[i] for i in generator.permutation(len(cut))]
            batches += cut
    return batches


def evaluation_batches(
    lengths: Int[np.ndarray, " sentences"], protocol: Protocol
) -> Iterator[Indices]:
    """Every sentence once, in batches of like length."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), protocol.batch_size):
        yield order[start : start + protocol.batch_size]


class TokenTable:
    """All sentences as one padded table on the device, so that a batch is one gather.

    Args:
        tokens: the sentences, already truncated.
        device: where the batches are wanted.
    """

    def __init__(self, tokens: Tokens, device: torch.device) -> None:
        import torch

        self.lengths = tokens.lengths
        self._device = device
        self._columns = torch.arange(int(self.lengths.max()), device=device)
        self._lengths = torch.from_numpy(self.lengths).to(device)
        self._tables = {"input_ids": self._padded(tokens.input_ids, tokens.pad_token_id)}
        if tokens.token_type_ids is not None:
            self._tables["token_type_ids"] = self._padded(tokens.token_type_ids, 0)
        kind = np.float32 if tokens.labels.dtype.kind == "f" else np.int64
        self._labels = torch.from_numpy(tokens.labels.astype(kind)).to(device)

    def _padded(self, values: Int[np.ndarray, " tokens"], fill: int) -> torch.Tensor:
        """The ragged `values` as a table (sentences, longest)."""
        import torch

        width = int(self.lengths.max())
        table = np.full((len(self.lengths), width), fill, dtype=values.dtype)
        table[np.arange(width) < self.lengths[:, None]] = values
        return torch.from_numpy(table).to(self._device)

    def batch(self, indices: Indices) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask` (batch, longest), of pairs `token_type_ids` where the
        model has them, all int64; `labels` (batch,), int64, or float32 where they are numbers.
        """
        import torch

        longest = int(self.lengths[indices].max())
        rows = torch.from_numpy(indices)
        if self._device.type == "cuda":  # from other memory, the copy may wait for the GPU
            rows = rows.pin_memory()
        rows = rows.to(self._device, non_blocking=True)
        batch = {name: table[rows, :longest].long() for name, table in self._tables.items()}
        mask = self._columns[:longest] < self._lengths[rows, None]
        return batch | {"attention_mask": mask.long(), "labels": self._labels[rows]}
