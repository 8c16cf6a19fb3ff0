"""The tokenising stage: a data set's splits as the token ids of a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wsa.errors import InputError
from wsa.files import atomic_path
from wsa.layout import Layout
from wsa.learning.tokens import SPECIAL, digest_of, offsets_of
from wsa.records.source import verify
from wsa.suite.schema import DataSpec, ModelSpec


def tokenise(model: ModelSpec, data: DataSpec, layout: Layout) -> Path:
    """Tokenise every split of `data` for `model` into `layout.tokens(model.name, data.name)`.

    The ids are those of `AutoTokenizer` with the model's own special tokens, e.g.
    `[CLS] sentence [SEP]` or `[CLS] first [SEP] second [SEP]`, and without truncation.

    Raises:
        InputError: model or data are damaged, or transformers cannot load the tokenizer.
    """
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    folder = layout.model(model.name)
    origin = {"model": verify(folder), "data": verify(layout.data(data.name))}
    tokenizer = _tokenizer(folder)
    arrays: dict[str, np.ndarray] = {}
    splits = ("train", *data.validation)
    for split in splits:
        table = pq.read_table(layout.split(data.name, split))
        texts = [
            table.column(name).to_pylist()
            for name in ("sentence", "sentence_2")
            if name in table.column_names
        ]
        kind = np.int16 if data.task.classes else np.float32
        arrays |= {
            f"{split}.{name}": array
            for name, array in {
                **_encode(tokenizer, *texts),
                "labels": table.column("label").to_numpy().astype(kind),
                "ids": np.frombuffer("\n".join(table.column("id").to_pylist()).encode(), np.uint8),
            }.items()
        }
    about = {
        "splits": splits,
        "pad_token_id": _pad_token_id(tokenizer),
        "origin": origin,
        "tokenizer": {"class": type(tokenizer).__name__} | _versions(),
    }
    # one metadata key: safetensors writes several in any order, and equal tokens should be
    # equal bytes
    metadata = {"tokens": json.dumps(about | {"sha256": digest_of(arrays, about)}, sort_keys=True)}
    path = layout.tokens(model.name, data.name)
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata)
    return path


def _encode(tokenizer, first: list[str], second: list[str] | None = None) -> dict[str, np.ndarray]:
    """Ragged input_ids, segments and offsets; token_type_ids of pairs, where the model has them."""
    types = second is not None and "token_type_ids" in tokenizer.model_input_names
    found = tokenizer(
        first, second, return_attention_mask=False, return_token_type_ids=types,
        return_special_tokens_mask=True, verbose=False,
    )  # fmt: skip
    if found.encodings:  # the tokenizers library tells them itself
        kinds = {None: SPECIAL, 0: 0, 1: 1}
        segments = [[kinds[kind] for kind in row.sequence_ids] for row in found.encodings]
    else:
        segments = [_segments(np.asarray(mask, bool)) for mask in found["special_tokens_mask"]]
    arrays = {
        "input_ids": _joined(found["input_ids"], np.int32),
        "segments": _joined(segments, np.int8),
        "offsets": offsets_of(np.asarray([len(row) for row in found["input_ids"]])),
    }
    if types:
        arrays["token_type_ids"] = _joined(found["token_type_ids"], np.int8)
    return arrays


def _segments(special: np.ndarray) -> np.ndarray:
    """Of each token: −1 if it is special, else how many texts have ended before it."""
    ends = np.flatnonzero(special[1:] & ~special[:-1]) + 1  # the special token after a text
    texts = np.searchsorted(ends, np.arange(len(special)), side="right")
    return np.where(special, SPECIAL, np.minimum(texts, 1))


def _joined(rows, kind) -> np.ndarray:
    return np.concatenate([np.asarray(row, kind) for row in rows])


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
