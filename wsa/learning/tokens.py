"""Texts as token ids: made once for each model and data set, read by every run.

The file is safetensors, so that reading it needs neither torch nor transformers. Texts are not
truncated in it: the maximum length is a suite's choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int8, Int32, Int64, Num

from wsa.errors import InputError, remake

SPECIAL = -1  # the segment of a special token


@dataclass(frozen=True)
class Tokens:
    """One split, tokenised, its sentences (or pairs of them) one after the other (ragged).

    Attributes:
        input_ids: the token ids of all sentences, special tokens included.
        segments: what a token belongs to: 0 the text, 1 the second of a pair, −1 none (special).
        token_type_ids: what the model's tokenizer says of each token of a pair; None for single
            texts and for models that do not tell segments apart.
        offsets: sentence `i` is `input_ids[offsets[i]:offsets[i + 1]]`; the first is 0.
        labels: numbers of classes (int16), or numbers (float32).
        ids: the sentences' ids, hashes of their texts.
        pad_token_id: what fills up a batch.
        sha256: of the file's content, all splits and their origin.
    """

    input_ids: Int32[np.ndarray, " tokens"]
    segments: Int8[np.ndarray, " tokens"]
    token_type_ids: Int8[np.ndarray, " tokens"] | None
    offsets: Int64[np.ndarray, " sentences+1"]
    labels: Num[np.ndarray, " sentences"]
    ids: list[str]
    pad_token_id: int
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Int64[np.ndarray, " sentences"]:
        """Tokens in each sentence, special tokens included."""
        return np.diff(self.offsets)

    def truncated(self, max_length: int) -> Tokens:
        """Every sentence cut to `max_length` tokens, its special tokens kept; the longer of a pair
        first.

        The same ids as a tokenizer with `truncation=True, max_length=max_length` gives.
        """
        if self.lengths.max(initial=0) <= max_length:
            return self
        sentence = np.repeat(np.arange(len(self)), self.lengths)
        counts = [
            np.bincount(sentence[self.segments == segment], minlength=len(self))
            for segment in (SPECIAL, 0, 1)
        ]
        room = np.maximum(max_length - counts[0], 0)
        limits = _longest_first(counts[1], counts[2], room)
        kept = self.segments == SPECIAL
        for segment, limit in enumerate(limits):
            own = np.flatnonzero(self.segments == segment)
            starts = np.cumsum(counts[segment + 1]) - counts[segment + 1]
            place = np.arange(len(own)) - starts[sentence[own]]  # of a token in its text
            kept[own[place < limit[sentence[own]]]] = True
        lengths = np.bincount(sentence[kept], minlength=len(self))
        return self._cut(kept, lengths)

    def select(self, indices: Int[np.ndarray, " chosen"]) -> Tokens:
        """The sentences `indices`, in that order."""
        indices = np.asarray(indices)
        lengths = self.lengths[indices]
        shift = np.repeat(self.offsets[:-1][indices] - offsets_of(lengths)[:-1], lengths)
        chosen = self._cut(shift + np.arange(len(shift)), lengths)
        return replace(
            chosen, labels=self.labels[indices], ids=[self.ids[i] for i in indices]
        )

    def _cut(self, tokens: np.ndarray, lengths: np.ndarray) -> Tokens:
        """These of the tokens, in sentences of these lengths."""
        types = self.token_type_ids
        return replace(
            self,
            input_ids=self.input_ids[tokens],
            segments=self.segments[tokens],
            token_type_ids=None if types is None else types[tokens],
            offsets=offsets_of(lengths),
        )


def _longest_first(
    first: Int[np.ndarray, " n"], second: Int[np.ndarray, " n"], room: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """How many tokens of each of two texts fit into `room`: the longer one is cut first.

    Cut further, both get half of it; of an odd number the longer one gets more, the second one
    where both are equal (as the `tokenizers` library does).
    """
    short, long = np.minimum(first, second), np.maximum(first, second)
    least = np.minimum(short, room // 2)
    most = np.minimum(long, room - np.minimum(short, room // 2))
    fits = first + second <= room
    short, long = np.where(fits, short, least), np.where(fits, long, most)
    swap = first > second
    return np.where(swap, long, short), np.where(swap, short, long)


def offsets_of(lengths: Int[np.ndarray, " sentences"]) -> Int64[np.ndarray, " sentences+1"]:
    """Where each sentence begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def digest_of(arrays: dict[str, np.ndarray], about: dict) -> str:
    """SHA-256 over names, dtypes, shapes and values of the arrays, and what is said about them."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def load_tokens(path: Path) -> dict[str, Tokens]:
    """The splits of a file that `stages.tokenise` wrote, by name; checked against its hash.

    Args:
        path: `layout.tokens(model, data)`.

    Raises:
        InputError: the file is missing or damaged; names the command that makes it again.
    """
    from safetensors import SafetensorError, safe_open

    remedy = f"make it again: {remake(path)}"
    if not path.is_file():
        raise InputError("there is no such file", file=path, remedy=remedy)
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["tokens"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        expected = about.pop("sha256")
        if digest_of(arrays, about) != expected:
            raise InputError("damaged: its content has changed", file=path, remedy=remedy)
        return dict(_splits(arrays, about, expected))
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(f"damaged: {error}", file=path, remedy=remedy) from None


def _splits(
    arrays: dict[str, np.ndarray], about: dict, sha256: str
) -> Iterator[tuple[str, Tokens]]:
    for split in about["splits"]:
        yield split, Tokens(
            input_ids=arrays[f"{split}.input_ids"],
            segments=arrays[f"{split}.segments"],
            token_type_ids=arrays.get(f"{split}.token_type_ids"),
            offsets=arrays[f"{split}.offsets"],
            labels=arrays[f"{split}.labels"],
            ids=arrays[f"{split}.ids"].tobytes().decode().split("\n"),
            pad_token_id=about["pad_token_id"],
            sha256=sha256,
        )
