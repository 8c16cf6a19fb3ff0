"""What a data set may look like, and the message for each way it may not."""

import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest
from wsa.errors import InputError
from wsa.sources import readers
from wsa.suite.schema import DataSpec


def spec(**changes: object) -> DataSpec:
    """A data set's file with these keys."""
    return DataSpec.model_validate(
        {"name": "d", "title": "D", "source": {"kind": "path", "path": "."}} | changes
    )


SENTENCES = spec()
GOOD = b"sentence\tlabel\ngood\t1\nbad\t0\n"
SST2 = Path(os.environ.get("SST2_FOLDER", "sst2"))


def folder_with(folder: Path, train: bytes, validation: bytes = GOOD) -> Path:
    (folder / "train.tsv").write_bytes(train)
    (folder / "validation.tsv").write_bytes(validation)
    return folder


def test_rows_keep_their_order_and_every_character(tmp_path):
    # quotes, a carriage return at the end, a byte order mark, U+0085 and U+2028 inside
    text = '\ufeffsentence\tlabel\r\n"open quote\t0\r\na\x85b\u2028c é ½\t1\r\n  kept \t1\r\n'
    data = readers.read(SENTENCES, folder_with(tmp_path, text.encode()))
    assert data["train"] == [(('"open quote',), 0), (("a\x85b\u2028c é ½",), 1), (("  kept ",), 1)]
    assert data["validation"] == [(("good",), 1), (("bad",), 0)]


@pytest.mark.parametrize(
    ("train", "parts"),
    [
        (b"sentence,label\ngood,1\n", ["columns", "no column 'sentence'", "sentence,label"]),
        (b"sentence\ngood\n", ["columns", "no column 'label'"]),
        (b"label\tlabel\tsentence\n0\t1\tx\n", ["columns", "several columns 'label'"]),
        (b"", ["columns", "no column 'sentence'"]),
        (b"sentence\tlabel\ngood\t1\nbad\t2\n", ["line 3", "no class", "'2'", "1 for positive"]),
        (b"sentence\tlabel\ngood\tfine\n", ["line 2", "no class", "'fine'"]),
        (b"sentence\tlabel\ngood\t-1\n", ["line 2", "no class", "'-1'", "GLUE's test split"]),
        (b"sentence\tlabel\ngood\t1.0\n", ["line 2", "no class", "'1.0'"]),
        (b"sentence\tlabel\na\tb\t1\n", ["line 2", "3 cells instead of 2"]),
        (b"sentence\tlabel\ngood\t1\n\nbad\t0\n", ["line 3", "1 cells instead of 2"]),
        (b"sentence\tlabel\n \t1\n", ["line 2", "the text is empty"]),
        (b"sentence\tlabel\nok\t1\ncaf\xe9\t0\n", ["line 3", "not valid UTF-8", "byte 4", "iconv"]),
        (b"sentence\tlabel\ngood\t1\nfine\t1\n", ["only the label 1", "different labels"]),
        (b"sentence\tlabel\n", ["no sentences", "different labels"]),
    ],
)
def test_a_wrong_tsv_names_file_line_and_value(tmp_path, train, parts):
    with pytest.raises(InputError) as error:
        readers.read(SENTENCES, folder_with(tmp_path, train))
    for part in ["train.tsv", "what to do:", *parts]:
        assert part in str(error.value)


def test_missing_and_doubled_splits(tmp_path):
    (tmp_path / "train.tsv").write_bytes(GOOD)
    with pytest.raises(InputError, match="neither validation.tsv nor validation.parquet"):
        readers.read(SENTENCES, tmp_path)
    pd.DataFrame({"sentence": ["a"], "label": [1]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError, match="both train.tsv and train.parquet"):
        readers.read(SENTENCES, tmp_path)


def test_columns_may_have_any_names_and_order_and_others_are_left_out(tmp_path):
    pairs = spec(text=["premise", "hypothesis"], label="gold", labels=["no", "maybe", "yes"])
    train = b"gold\tidx\thypothesis\tpremise\n2\t7\tb\ta\nmaybe\t8\td\tc\n"
    folder_with(tmp_path, train, b"premise\thypothesis\tgold\n\ty\t0\nx\tz\tyes\n")
    data = readers.read(pairs, tmp_path)
    assert data["train"] == [(("a", "b"), 2), (("c", "d"), 1)]
    assert data["validation"] == [(("", "y"), 0), (("x", "z"), 2)]


def test_a_number_is_a_number(tmp_path):
    numbers = spec(labels="number")
    folder_with(tmp_path, b"sentence\tlabel\ngood\t4.5\nbad\t-1\n")
    assert readers.read(numbers, tmp_path)["train"] == [(("good",), 4.5), (("bad",), -1.0)]
    for wrong in (b"nan", b"inf", b"high", b""):
        (tmp_path / "train.tsv").write_bytes(b"sentence\tlabel\ngood\t" + wrong + b"\nbad\t0\n")
        with pytest.raises(InputError, match="line 2: the label is not a number"):
            readers.read(numbers, tmp_path)


def test_several_validation_splits_are_kept_apart(tmp_path):
    two = spec(reader={"kind": "splits", "train": "fit", "validation": ["matched", "mismatched"]})
    for number, split in enumerate(("fit", "matched", "mismatched")):
        (tmp_path / f"{split}.tsv").write_text(f"sentence\tlabel\na{number}\t0\nb{number}\t1\n")
    data = readers.read(two, tmp_path)
    assert {split: rows[0].text for split, rows in data.items()} == {
        "train": ("a0",), "matched": ("a1",), "mismatched": ("a2",),
    }  # fmt: skip


@pytest.mark.parametrize("label", ["int64", "int8", "uint8"])
def test_parquet_gives_the_same_rows_as_tsv(tmp_path, label):
    frame = pd.DataFrame({"label": [1, 0], "sentence": ["good", "bad"]}).astype({"label": label})
    frame.to_parquet(tmp_path / "train.parquet")
    (tmp_path / "validation.tsv").write_bytes(GOOD)
    data = readers.read(SENTENCES, tmp_path)
    assert data["train"] == data["validation"] == [(("good",), 1), (("bad",), 0)]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"sentence": ["a", "b"], "label": [0.0, 1.0]}, ["row 1", "no class", "0.0"]),
        ({"sentence": ["a", "b"], "label": [True, False]}, ["row 1", "no class", "True"]),
        ({"sentence": [1, 2], "label": [0, 1]}, ["sentence", "int64", "strings"]),
        ({"sentence": ["a", "b"], "label": [0, -1]}, ["row 2", "no class", "-1"]),
        ({"sentence": ["a", None], "label": [0, 1]}, ["row 2", "the text is empty"]),
        ({"text": ["a", "b"], "label": [0, 1]}, ["no column 'sentence'", "text: another"]),
        ({"sentence": ["a", "b"], "label": [0, 0]}, ["only the label 0"]),
    ],
)
def test_a_wrong_parquet_names_file_row_and_value(tmp_path, columns, parts):
    pd.DataFrame(columns).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InputError) as error:
        readers.read(SENTENCES, tmp_path)
    for part in ["train.parquet", "what to do:", *parts]:
        assert part in str(error.value)


def test_a_parquet_file_that_is_none(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"sentence\tlabel\n")
    with pytest.raises(InputError, match="train.parquet: not a readable parquet file"):
        readers.read(SENTENCES, tmp_path)


# --- rated sentences -----------------------------------------------------------------------------


def ratings(validation: int, **changes: object) -> DataSpec:
    reader = {"kind": "rated_sentences", "minimum_rating": 0.5, "validation": validation}
    if changes.get("labels") == "number":
        del reader["minimum_rating"]
    return spec(reader=reader, **changes)


RATED = ratings(20)


def rated(folder: Path, lines: list[str]) -> Path:
    (folder / "ratings.txt").write_bytes("\r\n".join(lines).encode())
    return folder


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["bad", "good"], {0: 0, 1: 0, 5: 1, 6: 1}),  # near zero: dropped
        (["bad", "neutral", "good"], {0: 0, 1: 0, 2: 1, 3: 1, 4: 1, 5: 2, 6: 2}),
        ("number", dict(enumerate([-3.0, -0.51, -0.5, 0.0, 0.5, 0.50001, 2.2]))),
    ],
    ids=["two classes", "three classes", "a number"],
)
def test_a_rating_is_a_sign_or_a_third_or_itself(tmp_path, labels, expected):
    means = [-3.0, -0.51, -0.5, 0.0, 0.5, 0.50001, 2.2]
    lines = [f"{i}\t{mean}\tsentence {i}" for i, mean in enumerate(means)]
    data = readers.read(ratings(1, labels=labels), rated(tmp_path, lines))
    rows = sorted(data["train"] + data["validation"])
    assert rows == [((f"sentence {i}",), label) for i, label in expected.items()]


def test_the_label_may_be_the_file(tmp_path):
    for name, texts in (("films", "abcd"), ("tweets", "efgd")):
        (tmp_path / f"{name}.txt").write_text("".join(f"1\t0.1\t{text}\n" for text in texts))
    by_file = spec(
        labels=["film", "tweet"],
        reader={"kind": "sentences_by_file", "files": ["films.txt", "tweets.txt"], "validation": 2},
    )
    data = readers.read(by_file, tmp_path)
    rows = [(row.text[0], row.label) for split in data.values() for row in split]
    assert sorted(rows) == [*((t, 0) for t in "abc"), ("d", 0), ("d", 1), *((t, 1) for t in "efg")]
    assert "d" not in {row.text[0] for row in data["validation"]}  # it is in both
    (tmp_path / "tweets.txt").unlink()
    with pytest.raises(InputError, match="no file 'tweets.txt'"):
        readers.read(by_file, tmp_path)


def test_validation_is_the_smallest_hashes_and_never_a_repeated_sentence(tmp_path):
    texts = [f"sentence {i}" for i in range(100)]
    first = min(texts, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    lines = [f"{i}\t{1 - 2 * (i % 2)}\t{text}" for i, text in enumerate([*texts, first])]
    data = readers.read(RATED, rated(tmp_path, lines))
    train, validation = ([row.text[0] for row in data[split]] for split in ("train", "validation"))
    by_hash = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    assert set(validation) == set(by_hash[1:21])
    assert len(validation) == 20 and not set(train) & set(validation)
    assert train.count(first) == 2
    # the source's order, and the split does not depend on it
    assert train == [text for text in [*texts, first] if text in set(train)]
    turned = tmp_path / "turned"
    turned.mkdir()
    again = readers.read(RATED, rated(turned, lines[::-1]))
    assert {row.text[0] for row in again["validation"]} == set(validation)


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["1\t2.0\tgood", "2\tlow\tbad"], ["line 2", "mean rating", "low"]),
        (["1\t2.0\tgood", "2\t-2.0"], ["line 2", "mean rating"]),
        (["1\t2.0\tgood", "2\t-2.0\t "], ["line 2", "the text is empty"]),
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
    rows = [readers.Row((text,), 1) for text in ("one", "é", "one", "two", "one")]
    one, accent, two = (
        hashlib.sha256(text.encode()).hexdigest()[:16] for text in ("one", "é", "two")
    )
    assert readers.sentence_ids(rows) == [one, accent, f"{one}-2", two, f"{one}-3"]


@pytest.mark.skipif(not (SST2 / "train.tsv").is_file(), reason="needs SST-2 as TSV in SST2_FOLDER")
def test_the_real_sst2_reads_whole():
    data = readers.read(SENTENCES, SST2)
    # GLUE's own numbers
    assert len(data["train"]) == 67_349
    assert [sum(row.label == label for row in data["validation"]) for label in (0, 1)] == [428, 444]
    frame = pd.read_csv(SST2 / "train.tsv", sep="\t", quoting=3, keep_default_na=False)
    assert [row.text[0] for row in data["train"]] == frame["sentence"].tolist()
    assert [row.label for row in data["train"]] == frame["label"].tolist()
    assert len(set(readers.sentence_ids(data["train"]))) == 67_349
