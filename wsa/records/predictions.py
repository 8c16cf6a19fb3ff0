"""The table of predictions a run leaves behind: its schema, its file and its hash.

One row per state × sentence: `state` (one of `STATES`), `sentence_id` (text), `label` (a class's
number, or a number), `logit_0`, `logit_1`, … (float32), one for each output of the model's head.
One logit alone is the prediction of a number, and the labels are numbers then (float32).
"""

from __future__ import annotations

import hashlib
import operator
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from wsa.errors import InputError
from wsa.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

STATES = ("unpruned", "pruned", "gate_only")
# for people: the same words on every page and in every table and sentence
STATE_WORDS = {"unpruned": "as trained", "pruned": "pruned", "gate_only": "gates pruned"}
KEYS = ("state", "sentence_id", "label")


def table_of(
    logits: dict[str, Float32[np.ndarray, "sentences k"]], ids: list[str], labels: np.ndarray
) -> pd.DataFrame:
    """The table of one run: the logits of every state, for sentences with these ids and labels."""
    import pandas as pd

    return pd.concat(
        [
            pd.DataFrame(
                {"state": state, "sentence_id": ids, "label": labels}
                | {f"logit_{k}": values[:, k] for k in range(values.shape[1])}
            )
            for state, values in logits.items()
        ],
        ignore_index=True,
    )


def logits_of(table: pd.DataFrame) -> Float32[np.ndarray, "rows k"]:
    """The logits of a table of predictions."""
    columns = [table[name].to_numpy(np.float32) for name in _logit_columns(table.columns)]
    return np.stack(columns, axis=1)


def rows_of(table: pd.DataFrame) -> dict[str, slice]:
    """State → its rows, in a table in canonical order."""
    states = table["state"].to_numpy(object)
    starts = np.flatnonzero(np.r_[True, states[1:] != states[:-1]]).tolist()
    ends = [*starts[1:], len(states)]
    return {states[start]: slice(start, end) for start, end in zip(starts, ends, strict=True)}


def write_predictions(path: Path, frame: pd.DataFrame) -> str:
    """Write `frame` as parquet, atomically, and return its `predictions_hash`.

    Raises:
        InputError: a column is missing or unknown, a state is not one of `STATES` or a label none
            of the logits', a sentence stands twice in a state, two states hold other sentences or
            labels, or a logit is NaN or infinite.
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

    Over state and sentence_id, label, then the logits, rows in canonical order; text as UTF-8
    ended by a zero byte, classes as int8, numbers and logits as little-endian float32. Equal hashes
    mean equal bits.

    Raises:
        InputError: as `write_predictions`, NaN logits excepted.
    """
    return _hash(_canonical(frame, None))


def _logit_columns(columns: object) -> list[str]:
    found = [name for name in columns if re.fullmatch(r"logit_\d+", str(name))]
    return sorted(found, key=lambda name: int(name.removeprefix("logit_")))


def _types(logits: list[str]) -> dict[str, str]:
    label = "float32" if len(logits) == 1 else "int8"
    return {"state": "str", "sentence_id": "str", "label": label} | dict.fromkeys(logits, "float32")


def _hash(table: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for column in ("state", "sentence_id"):
        digest.update("".join(f"{value}\0" for value in table[column].to_numpy(object)).encode())
    logits = _logit_columns(table.columns)
    digest.update(table["label"].to_numpy("<f4" if len(logits) == 1 else "int8").tobytes())
    for column in logits:
        digest.update(table[column].to_numpy("<f4").tobytes())
    return digest.hexdigest()


def _canonical(frame: pd.DataFrame, path: Path | None) -> pd.DataFrame:
    """`frame` with the schema's columns and types, rows by state and sentence."""
    logits = _logit_columns(frame.columns)
    expected = [*KEYS, *(f"logit_{k}" for k in range(max(1, len(logits))))]
    if set(frame.columns) != set(expected):
        raise InputError(
            f"should have exactly the columns {', '.join(KEYS)}, logit_0, …",
            file=path, value=list(frame.columns),
        )  # fmt: skip
    states = frame["state"].to_numpy(object)
    unknown = set(states) - set(STATES)
    if unknown:
        raise InputError(
            f"should be one of {', '.join(STATES)}",
            file=path, key="state", value=sorted(map(str, unknown)),
        )  # fmt: skip
    wrong = set(frame["label"].unique()) - set(range(len(logits))) if len(logits) > 1 else ()
    if wrong:
        raise InputError(
            f"should be a class from 0 to {len(logits) - 1}", file=path, key="label",
            value=sorted(map(str, wrong)),
        )  # fmt: skip
    types = _types(logits)
    table = frame if list(frame.columns) == expected else frame.loc[:, expected]
    if {column: str(kind) for column, kind in table.dtypes.items()} != types:
        table = table.astype(types)
    ranks = [STATES.index(state) for state in states]
    ids = table["sentence_id"].to_numpy(object)
    keys = list(zip(ranks, ids, strict=True))
    if not all(map(operator.le, keys, keys[1:])):  # not as it was written
        table = table.iloc[np.lexsort((ids, ranks))]
    return table.reset_index(drop=True)


def _check(table: pd.DataFrame, path: Path) -> None:
    """Raise InputError unless `table`, in canonical order, is whole."""
    if table.empty:
        raise InputError("holds no prediction", file=path)
    ids, labels = table["sentence_id"].to_numpy(object), table["label"].to_numpy()
    sentences = [(ids[rows], labels[rows]) for rows in rows_of(table).values()]
    for own, _ in sentences:
        repeated = own[1:][own[1:] == own[:-1]]
        if repeated.size:
            raise InputError(
                "a sentence stands twice in a state",
                file=path, key="sentence_id", value=repeated[0],
            )  # fmt: skip
    for column in [*_logit_columns(table.columns), "label"]:
        broken = ~np.isfinite(table[column].to_numpy())
        if broken.any():
            raise InputError(
                f"{int(broken.sum())} of {len(table)} logits are NaN or infinite, the first at "
                f"sentence '{table.loc[broken, 'sentence_id'].iloc[0]}'",
                file=path, key=column,
            )  # fmt: skip
    if not all(all(map(np.array_equal, other, sentences[0])) for other in sentences):
        raise InputError("the states hold other sentences or labels", file=path)
