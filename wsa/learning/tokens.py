"""Sentences as token ids: made once for each model and data set, read by every run.

The file is safetensors, so that reading it needs neither torch nor transformers. Sentences are
not truncated in it: the maximum length is a suite's choice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int8, Int32, Int64

from wsa.errors import InputError, remake
from wsa.files import atomic_path
from wsa.layout import Layout
from wsa.records.source import verify
from wsa.suite.schema import DataSpec, ModelSpec

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Tokens:
    """One split, tokenised, its sentences one after the other (ragged).

    Attributes:
        input_ids: the token ids of all sentences, special tokens included.
        offsets: sentence `i` is `input_ids[offsets[i]:offsets[i + 1]]`; the first is 0.
        labels: 0 or 1.
        ids: the sentences' ids, hashes of their texts.
        pad_token_id: what fills up a batch.
        separator_id: the last token of every sentence (`[SEP]`); None if there is none.
        sha256: of the file's content, both splits and their origin.
    """

    input_ids: Int32[np.ndarray, " tokens"]
    offsets: Int64[np.ndarray, " sentences+1"]
    labels: Int8[np.ndarray, " sentences"]
    ids: list[str]
    pad_token_id: int
    separator_id: int | None
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Int64[np.ndarray, " sentences"]:
        """Tokens in each sentence, special tokens included."""
        return np.diff(self.offsets)

    def truncated(self, max_length: int) -> Tokens:
        """Every sentence cut to `max_length` tokens; a separator stays its last token.

        The same ids as a tokenizer with `truncation=True, max_length=max_length` gives.
        """
        lengths = np.minimum(self.lengths, max_length)
        ids = self._gather(self.offsets[:-1], lengths)
        offsets = _offsets(lengths)
        if self.separator_id is not None:
            ids[offsets[1:] - 1] = self.separator_id
        return self._replace(ids, offsets, self.labels, self.ids)

    def select(self, indices: Int[np.ndarray, " chosen"]) -> Tokens:
        """The sentences `indices`, in that order."""
        indices = np.asarray(indices)
        lengths = self.lengths[indices]
        ids = self._gather(self.offsets[:-1][indices], lengths)
        names = [self.ids[i] for i in indices]
        return self._replace(ids, _offsets(lengths), self.labels[indices], names)

    def _gather(
        self, starts: Int64[np.ndarray, " n"], lengths: Int64[np.ndarray, " n"]
    ) -> Int32[np.ndarray, " tokens"]:
        """A copy of `lengths[i]` tokens from `starts[i]` on, for every i."""
        shift = np.repeat(starts - _offsets(lengths)[:-1], lengths)
        return self.input_ids[shift + np.arange(len(shift))]

    def _replace(self, input_ids, offsets, labels, ids) -> Tokens:
        return Tokens(
            input_ids, offsets, labels, ids, self.pad_token_id, self.separator_id, self.sha256
        )


def _offsets(lengths: Int[np.ndarray, " sentences"]) -> Int64[np.ndarray, " sentences+1"]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


# --- writing -------------------------------------------------------------------------------------


def tokenise(model: ModelSpec, data: DataSpec, layout: Layout) -> Path:
    """Tokenise both splits of `data` for `model` into `layout.tokens(model.name, data.name)`.

    The ids are those of `AutoTokenizer` with the model's own special tokens, e.g.
    `[CLS] sentence [SEP]`, and without truncation.

    Raises:
        InputError: model or data are damaged, or transformers cannot load the tokenizer.
    """
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    folder = layout.model(model.name)
    origin = {"model": verify(folder), "data": verify(layout.data(data.name))}
    tokenizer = _tokenizer(folder)
    arrays: dict[str, np.ndarray] = {}
    last: set[int] = set()
    for split in SPLITS:
        table = pq.read_table(layout.data(data.name) / f"{split}.parquet")
        rows = tokenizer(
            table.column("sentence").to_pylist(),
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        ids = "\n".join(table.column("id").to_pylist()).encode()
        arrays |= {
            f"{split}.input_ids": np.concatenate([np.asarray(row, np.int32) for row in rows]),
            f"{split}.offsets": _offsets(np.asarray([len(row) for row in rows])),
            f"{split}.labels": table.column("label").to_numpy().astype(np.int8),
            f"{split}.ids": np.frombuffer(ids, np.uint8),
        }
        last |= {row[-1] for row in rows}
    about = {
        "pad_token_id": _pad_token_id(tokenizer),
        "separator_id": tokenizer.sep_token_id if last == {tokenizer.sep_token_id} else None,
        "origin": origin,
        "tokenizer": {"class": type(tokenizer).__name__} | _versions(),
    }
    # one metadata key: safetensors writes several in any order, and equal tokens should be
    # equal bytes
    metadata = {"tokens": json.dumps(about | {"sha256": _digest(arrays, about)}, sort_keys=True)}
    path = layout.tokens(model.name, data.name)
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata)
    return path


def _tokenizer(folder: Path):
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises anything here, even plain Exception
        raise InputError(f"transformers cannot load the tokenizer: {error}", file=folder) from error


def _pad_token_id(tokenizer) -> int:
    """The padding token; a tokenizer without one pads with its last token, which the mask hides."""
    return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("tokenizers", "transformers")}


def _digest(arrays: dict[str, np.ndarray], about: dict) -> str:
    """SHA-256 over names, dtypes, shapes and values of the arrays, and what is said about them."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# --- reading -------------------------------------------------------------------------------------


def load_tokens(path: Path, split: str) -> Tokens:
    """One split of a file that `tokenise` wrote; its content is checked against its hash.

    Args:
        path: `layout.tokens(model, data)`.
        split: "train" or "validation".

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
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(f"damaged: {error}", file=path, remedy=remedy) from None
    if _digest(arrays, about) != expected:
        raise InputError("damaged: its content has changed", file=path, remedy=remedy)
    return Tokens(
        input_ids=arrays[f"{split}.input_ids"],
        offsets=arrays[f"{split}.offsets"],
        labels=arrays[f"{split}.labels"],
        ids=arrays[f"{split}.ids"].tobytes().decode().split("\n"),
        pad_token_id=about["pad_token_id"],
        separator_id=about["separator_id"],
        sha256=expected,
    )
