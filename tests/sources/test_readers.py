"""What a data set may look like, and the message for each way it may not."""

import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest
from wsa.errors import InputError
from wsa.sources import readers
from wsa.suite.schema import RatedSentences, Splits

GOOD = b"sentence\tlabel\ngood\t1\nbad\t0\n"
SST2 = Path(os.environ.get("SST2_FOLDER", "sst2"))


def folder_with(folder: Path, train: bytes, validation: bytes = GOOD) -> Path:
    (folder / "train.tsv").write_bytes(train)
    (folder / "validation.tsv").write_bytes(validation)
    return folder


def test_rows_keep_their_order_and_every_character(tmp_path):
    # quotes, a carriage return at the end, a byte order mark, U+0085 and U+2028 inside
    text = '\ufeffsentence\tlabel\r\n"open quote\t0\r\na\x85b\u2028c é ½\t1\r\n  kept \t1\r\n'
    data = readers.read(Splits(), folder_with(tmp_path, text.encode()))
    assert data["train"] == [('"open quote', 0), ("a\x85b\u2028c é ½", 1), ("  kept ", 1)]
    assert data["validation"] == [("good", 1), ("bad", 0)]


@pytest.mark.parametrize(
    ("train", "parts"),
    [
        (b"sentence,label\ngood,1\n", ["columns", "missing: sentence, label", "sentence,label"]),
        (b"label\tsentence\n1\tgood\n", ["columns", "another order"]),
        (b"sentence\tlabel\tidx\ngood\t1\t0\n", ["columns", "not known: idx"]),
        (b"sentence\ngood\n", ["columns", "missing: label"]),
        (b"", ["columns", "missing: sentence, label"]),
        (b"sentence\tlabel\ngood\t1\nbad\t2\n", ["line 3", "not 0 or 1", "'2'"]),
        (b"sentence\tlabel\ngood\tpositive\n", ["line 2", "not 0 or 1", "'positive'"]),
        (b"sentence\tlabel\ngood\t-1\n", ["line 2", "not 0 or 1", "'-1'"]),
        (b"sentence\tlabel\ngood\t1.0\n", ["line 2", "not 0 or 1", "'1.0'"]),
        (b"sentence\tlabel\na\tb\t1\n", ["line 2", "3 cells instead of 2"]),
        (b"sentence\tlabel\ngood\t1\n\nbad\t0\n", ["line 3", "1 cells instead of 2"]),
        (b"sentence\tlabel\n \t1\n", ["line 2", "the sentence is empty"]),
        (b"sentence\tlabel\nok\t1\ncaf\xe9\t0\n", ["line 3", "not valid UTF-8", "byte 4", "iconv"]),
        (b"sentence\tlabel\ngood\t1\nfine\t1\n", ["only the label 1", "both classes"]),
        (b"sentence\tlabel\n", ["no sentences", "both classes"]),
    ],
)
def test_a_wrong_tsv_names_file_line_and_value(tmp_path, train, parts):
    with pytest.raises(InputError) as error:
        readers.read(Splits(), folder_with(tmp_path, train))
    for part in ["train.tsv", "what to do:", *parts]:
        assert part in str(error.value)


def test_missing_and_doubled_splits(tmp_path):
    (tmp_path / "train.tsv").write_bytes(GOOD)
    with pytest.raises(InputError, match="neither validation.tsv nor validation.parquet"):
        readers.read(Splits(), tmp_path)
    pd.DataFrame({"sentence": ["a"], "label": [1]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match="both train.tsv and train.parquet"):
        readers.read(Splits(), tmp_path)


@pytest.mark.parametrize("label", ["int64", "int8", "uint8"])
def test_parquet_gives_the_same_rows_as_tsv(tmp_path, label):
    frame = pd.DataFrame({"label": [1, 0], "sentence": ["good", "bad"]}).astype({"label": label})
    frame.to_parquet(tmp_path / "train.parquet")
    (tmp_path / "validation.tsv").write_bytes(GOOD)
    data = readers.read(Splits(), tmp_path)
    assert data["train"] == data["validation"] == [("good", 1), ("bad", 0)]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"sentence": ["a", "b"], "label": ["0", "1"]}, ["label", "string", "integers 0 and 1"]),
        ({"sentence": ["a", "b"], "label": [0.0, 1.0]}, ["label", "double", "integers 0 and 1"]),
        ({"sentence": [1, 2], "label": [0, 1]}, ["sentence", "int64", "strings"]),
        ({"sentence": ["a", "b"], "label": [0, -1]}, ["row 2", "not 0 or 1", "-1"]),
        ({"sentence": ["a", None], "label": [0, 1]}, ["row 2", "the sentence is empty"]),
        ({"sentence": ["a", "b"], "label": [0, 1], "idx": [0, 1]}, ["not known: idx"]),
        ({"text": ["a", "b"], "label": [0, 1]}, ["missing: sentence", "not known: text"]),
        ({"sentence": ["a", "b"], "label": [0, 0]}, ["only the label 0"]),
    ],
)
def test_a_wrong_parquet_names_file_row_and_value(tmp_path, columns, parts):
    pd.DataFrame(columns).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError) as error:
        readers.read(Splits(), tmp_path)
    for part in ["train.parquet", "what to do:", *parts]:
        assert part in str(error.value)


def test_a_parquet_file_that_is_none(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"sentence\tlabel\n")
    with pytest.raises(InputError, match="train.parquet: not a readable parquet file"):
        readers.read(Splits(), tmp_path)


# --- rated sentences -----------------------------------------------------------------------------

RATED = RatedSentences(kind="rated_sentences", minimum_rating=0.5, validation=20)


def rated(folder: Path, lines: list[str]) -> Path:
    (folder / "ratings.txt").write_bytes("\r\n".join(lines).encode())
    return folder


def test_the_label_is_the_sign_and_ratings_near_zero_are_dropped(tmp_path):
    ratings = [-3.0, -0.51, -0.5, 0.0, 0.5, 0.50001, 2.2]
    lines = [f"{i}\t{rating}\tsentence {i}" for i, rating in enumerate(ratings)]
    reader = RATED.model_copy(update={"validation": 1})
    data = readers.read(reader, rated(tmp_path, lines))
    rows = sorted(data["train"] + data["validation"])
    assert rows == [("sentence 0", 0), ("sentence 1", 0), ("sentence 5", 1), ("sentence 6", 1)]


def test_validation_is_the_smallest_hashes_and_never_a_repeated_sentence(tmp_path):
    texts = [f"sentence {i}" for i in range(100)]
    first = min(texts, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    lines = [f"{i}\t{1 - 2 * (i % 2)}\t{text}" for i, text in enumerate([*texts, first])]
    data = readers.read(RATED, rated(tmp_path, lines))
    train, validation = ([row.sentence for row in data[split]] for split in readers.SPLITS)
    by_hash = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    assert set(validation) == set(by_hash[1:21])
    assert len(validation) == 20 and not set(train) & set(validation)
    assert train.count(first) == 2
    # the source's order, and the split does not depend on it
    assert train == [text for text in [*texts, first] if text in set(train)]
    turned = tmp_path / "turned"
    turned.mkdir()
    again = readers.read(RATED, rated(turned, lines[::-1]))
    assert {row.sentence for row in again["validation"]} == set(validation)


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["1\t2.0\tgood", "2\tlow\tbad"], ["line 2", "mean rating", "low"]),
        (["1\t2.0\tgood", "2\t-2.0"], ["line 2", "mean rating"]),
        (["1\t2.0\tgood", "2\t-2.0\t "], ["line 2", "the sentence is empty"]),
        (["1\t2.0\tgood", "2\t2.0\tfine"], ["only the label 1"]),
        (["1\t2.0\tgood", "2\t-2.0\tbad"], ["only 2 sentences", "reader.validation", "20"]),
    ],
)
def test_wrong_ratings(tmp_path, lines, parts):
    with pytest.raises(InputError) as error:
        readers.read(RATED, rated(tmp_path, lines))
    for part in parts:
        assert part in str(error.value)


# --- ids -----------------------------------------------------------------------------------------


def test_ids_are_hashes_of_the_sentences_and_copies_get_a_number():
    rows = [readers.Row(text, 1) for text in ("one", "é", "one", "two", "one")]
    one, accent, two = (
        hashlib.sha256(text.encode()).hexdigest()[:16] for text in ("one", "é", "two")
    )
    assert readers.sentence_ids(rows) == [one, accent, f"{one}-2", two, f"{one}-3"]


@pytest.mark.skipif(not (SST2 / "train.tsv").is_file(), reason="needs SST-2 as TSV in SST2_FOLDER")
def test_the_real_sst2_reads_whole():
    data = readers.read(Splits(), SST2)
    # GLUE's own numbers
    assert len(data["train"]) == 67_349
    assert [sum(row.label == label for row in data["validation"]) for label in (0, 1)] == [428, 444]
    frame = pd.read_csv(SST2 / "train.tsv", sep="\t", quoting=3, keep_default_na=False)
    assert [row.sentence for row in data["train"]] == frame["sentence"].tolist()
    assert [row.label for row in data["train"]] == frame["label"].tolist()
    assert len(set(readers.sentence_ids(data["train"]))) == 67_349
