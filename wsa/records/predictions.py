"""The table of predictions a run leaves behind: its schema, its file and its hash."""

from __future__ import annotations

import hashlib
import operator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsa.errors import InputError
from wsa.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

STATES = ("unpruned", "pruned", "gate_only")
COLUMNS = ("state", "sentence_id", "label", "logit_0", "logit_1")
_TYPES = {
    "state": "str", "sentence_id": "str", "label": "int8", "logit_0": "float32",
    "logit_1": "float32",
}  # fmt: skip


def write_predictions(path: Path, frame: pd.DataFrame) -> str:
    """Write `frame` as parquet, atomically, and return its `predictions_hash`.

    Args:
        path: the file to write.
        frame: one row per state × sentence. Columns: `state` (one of `STATES`), `sentence_id`
            (written as text), `label` (0 or 1, written as int8), `logit_0` and `logit_1`
            (written as float32).

    Raises:
        InputError: a column is missing or unknown, a state or label is not one of the above, a
            sentence stands twice in a state, two states hold other sentences or labels, or a
            logit is NaN or infinite.
    """
    table = _canonical(frame, path)
    _check(table, path)
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)
    return _hash(table)


def read_predictions(path: Path) -> pd.DataFrame:
    """The table in `path`, checked as `write_predictions` checks it, in canonical order.

    The order is that of `STATES`, then that of `sentence_id`.

    Raises:
        InputError: the file is missing or damaged, or its content breaks the schema.
    """
    import pyarrow.parquet

    try:
        # one thread: a table is too small for more
        frame = pyarrow.parquet.read_table(path, use_threads=False).to_pandas(use_threads=False)
    except FileNotFoundError:
        raise InputError("there are no predictions", file=path) from None
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise InputError(f"damaged: {error}", file=path) from None
    table = _canonical(frame, path)
    _check(table, path)
    return table


def predictions_hash(frame: pd.DataFrame) -> str:
    """The hexadecimal SHA-256 of the predictions' content, whatever the order of the rows.

    Over the columns in the order of `COLUMNS`, rows in canonical order; text as UTF-8 ended by a
    zero byte, `label` as int8, logits as little-endian float32. Equal hashes mean equal bits.

    Raises:
        InputError: as `write_predictions`, NaN logits excepted.
    """
    return _hash(_canonical(frame, None))


def _hash(table: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for column in ("state", "sentence_id"):
        digest.update("".join(f"{value}\0" for value in table[column].to_numpy(object)).encode())
    digest.update(table["label"].to_numpy("int8").tobytes())
    for column in ("logit_0", "logit_1"):
        digest.update(table[column].to_numpy("<f4").tobytes())
    return digest.hexdigest()


def _canonical(frame: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """`frame` with the schema's columns and types, rows by state and sentence."""
    if set(frame.columns) != set(COLUMNS):
        raise InputError(
            f"should have exactly the columns {', '.join(COLUMNS)}",
            file=path, value=list(frame.columns),
        )  # fmt: skip
    unknown = set(frame["state"].unique()) - set(STATES)
    if unknown:
        raise InputError(
            f"should be one of {', '.join(STATES)}",
            file=path, key="state", value=sorted(map(str, unknown)),
        )  # fmt: skip
    wrong = set(frame["label"].unique()) - {0, 1}
    if wrong:
        raise InputError(
            "should be 0 or 1", file=path, key="label", value=sorted(map(str, wrong)),
        )  # fmt: skip
    table = frame.loc[:, list(COLUMNS)]
    if {column: str(kind) for column, kind in table.dtypes.items()} != _TYPES:
        table = table.astype(_TYPES)
    ranks = table["state"].map(STATES.index).to_numpy()
    ids = table["sentence_id"].to_numpy(object)
    keys = list(zip(ranks.tolist(), ids, strict=True))
    if all(map(operator.le, keys, keys[1:])):  # as it was written
        return table.reset_index(drop=True)
    return table.iloc[np.lexsort((ids, ranks))].reset_index(drop=True)


def _check(table: pd.DataFrame, path: Path) -> None:
    """Raise InputError unless `table`, in canonical order, is whole."""
    if table.empty:
        raise InputError("holds no prediction", file=path)
    repeated = table.duplicated(["state", "sentence_id"])
    if repeated.any():
        raise InputError(
            "a sentence stands twice in a state",
            file=path, key="sentence_id", value=table.loc[repeated, "sentence_id"].iloc[0],
        )  # fmt: skip
    for column in ("logit_0", "logit_1"):
        broken = ~np.isfinite(table[column].to_numpy())
        if broken.any():
            raise InputError(
                f"{int(broken.sum())} of {len(table)} logits are NaN or infinite, the first at "
                f"sentence '{table.loc[broken, 'sentence_id'].iloc[0]}'",
                file=path, key=column,
            )  # fmt: skip
    sentences = [
        (group["sentence_id"].tolist(), group["label"].tolist())
        for _, group in table.groupby("state", sort=False)
    ]
    if any(other != sentences[0] for other in sentences[1:]):
        raise InputError("the states hold other sentences or labels", file=path)
