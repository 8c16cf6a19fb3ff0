import hashlib
import struct

import numpy as np
import pandas as pd
import pytest
from wsa.errors import InputError
from wsa.records.predictions import predictions_hash, read_predictions, write_predictions


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "state": ["pruned", "unpruned", "pruned", "unpruned"],
            "sentence_id": ["b", "b", "a", "a"],
            "label": [1, 1, 0, 0],
            "logit_0": [0.25, -1.5, 2.0, 0.0],
            "logit_1": [0.5, 1.5, -2.0, -0.0],
        }
    )


def test_hash_is_that_of_the_documented_bytes():
    rows = [("unpruned", "a", 0, 0.0, -0.0), ("unpruned", "b", 1, -1.5, 1.5)]
    rows += [("pruned", "a", 0, 2.0, -2.0), ("pruned", "b", 1, 0.25, 0.5)]
    columns = list(zip(*rows, strict=True))
    text = b"".join(f"{v}\0".encode() for v in columns[0] + columns[1])
    numbers = struct.pack("<4b", *columns[2]) + struct.pack("<8f", *columns[3], *columns[4])
    assert predictions_hash(_frame()) == hashlib.sha256(text + numbers).hexdigest()


def test_hash_follows_content_not_order_and_survives_the_file(tmp_path):
    frame = _frame()
    written = write_predictions(tmp_path / "p.parquet", frame)
    assert written == predictions_hash(frame.iloc[::-1])
    assert written == predictions_hash(read_predictions(tmp_path / "p.parquet"))
    for column, value in (("logit_0", np.nextafter(np.float32(0.25), 1)), ("sentence_id", "c")):
        other = frame.copy()
        other.loc[0, column] = value
        assert predictions_hash(other) != written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="label"), "exactly the columns"),
        (lambda f: f.assign(label=2), "a class from 0 to 1"),
        (lambda f: f.assign(state="merged"), "one of unpruned, pruned, gate_only"),
        (lambda f: f.assign(sentence_id="a"), "twice in a state"),
        (lambda f: f.assign(logit_1=[0.5, np.nan, -2.0, 0.0]), "logit_1: 1 of 4 logits are NaN"),
        (lambda f: f.assign(logit_0=[np.inf, 0, 0, 0]), "NaN or infinite"),
        (lambda f: f.assign(label=[1, 0, 0, 0]), "other sentences or labels"),
        (lambda f: f.iloc[:0], "no prediction"),
    ],
)
def test_refuses_tables_that_break_the_schema(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_predictions(tmp_path / "p.parquet", change(_frame()))
    assert not list(tmp_path.iterdir())


def test_names_the_file_that_is_missing_or_damaged(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(InputError, match="p.parquet: there are no predictions"):
        read_predictions(path)
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="p.parquet: damaged"):
        read_predictions(path)
