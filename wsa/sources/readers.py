"""Two-class sentences out of the files of a source, checked row by row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wsa.errors import InputError
from wsa.suite.schema import RatedSentences, Splits

COLUMNS = ["sentence", "label"]
SPLITS = ("train", "validation")


class Row(NamedTuple):
    """One sentence and its class, 0 or 1."""

    sentence: str
    label: int


Data = dict[str, list[Row]]


def read(reader: RatedSentences | Splits, folder: Path) -> Data:
    """The rows of the splits `train` and `validation`, in the source's order.

    Raises:
        InputError: naming the file, the line or row, the value and what would be right.
    """
    if reader.kind == "rated_sentences":
        return _read_rated(reader, folder)
    return {split: _read_split(folder, split) for split in SPLITS}


# --- splits --------------------------------------------------------------------------------------


def _read_split(folder: Path, split: str) -> list[Row]:
    """The rows of `<split>.tsv` or `<split>.parquet`."""
    tsv, parquet = folder / f"{split}.tsv", folder / f"{split}.parquet"
    if tsv.is_file() and parquet.is_file():
        raise InputError(
            f"there are both {tsv.name} and {parquet.name}", file=folder, remedy="remove one"
        )
    if not tsv.is_file() and not parquet.is_file():
        raise InputError(
            f"there is neither {tsv.name} nor {parquet.name}", file=folder,
            remedy=f"write {tsv.name}: a line 'sentence<tab>label', then one sentence a line",
        )  # fmt: skip
    path = tsv if tsv.is_file() else parquet
    rows = _tsv_rows(tsv) if path is tsv else _parquet_rows(parquet)
    return _both_classes(list(rows), path)


def _tsv_rows(path: Path) -> Iterator[Row]:
    """Rows of a tab-separated file without quoting, as GLUE's are: a quote is just a character."""
    lines = _lines(path)
    _, header = next(lines, (1, ""))
    _check_columns(header.split("\t"), path)
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != 2:
            raise InputError(
                f"has {len(cells)} cells instead of 2", file=path, key=f"line {number}", value=line,
                remedy="sentence<tab>label; a sentence holds no tab",
            )  # fmt: skip
        sentence, label = cells
        if label not in ("0", "1"):
            raise InputError(
                "the label is not 0 or 1", file=path, key=f"line {number}", value=label,
                remedy="0 for the first class (negative), 1 for the second (positive)",
            )  # fmt: skip
        yield _row(sentence, int(label), path, f"line {number}")


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"not a readable parquet file: {error}", file=path) from None
    _check_columns(table.column_names, path)
    for column, expected in (("sentence", "strings"), ("label", "integers 0 and 1")):
        kind = table.schema.field(column).type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text if column == "sentence" else pa.types.is_integer(kind)):
            raise InputError(
                f"the column holds {kind}, not {expected}", file=path, key=column,
                remedy=f"write the column as {expected}",
            )  # fmt: skip
    columns = (table.column(name).to_pylist() for name in COLUMNS)
    for number, (sentence, label) in enumerate(zip(*columns, strict=True), start=1):
        if label not in (0, 1):
            raise InputError(
                "the label is not 0 or 1", file=path, key=f"row {number}", value=label,
                remedy="0 for the first class (negative), 1 for the second (positive); a split "
                "without labels, such as GLUE's test split with its -1, cannot be used",
            )  # fmt: skip
        yield _row(sentence, label, path, f"row {number}")


def _check_columns(found: list[str], path: Path) -> None:
    if sorted(found) == sorted(COLUMNS) and (found == COLUMNS or path.suffix == ".parquet"):
        return
    missing = [name for name in COLUMNS if name not in found]
    extra = [name for name in found if name not in COLUMNS]
    faults = [f"missing: {', '.join(missing)}"] if missing else []
    faults += [f"not known: {', '.join(extra)}"] if extra else []
    raise InputError(
        f"the columns should be exactly sentence, label ({'; '.join(faults) or 'another order'})",
        file=path, key="columns", value=found,
        remedy="begin the file with the line 'sentence<tab>label'"
        if path.suffix == ".tsv"
        else "keep only the columns sentence and label",
    )  # fmt: skip


def _row(sentence: str | None, label: int, path: Path, where: str) -> Row:
    if sentence is None or not sentence.strip():
        raise InputError(
            "the sentence is empty", file=path, key=where, value=sentence, remedy="remove the row"
        )
    return Row(sentence, label)


def _both_classes(rows: list[Row], path: Path) -> list[Row]:
    counts = Counter(row.label for row in rows)
    if len(counts) < 2:
        only = f"only the label {next(iter(counts))}" if counts else "no sentences"
        raise InputError(
            f"there are {only}" if not counts else f"has {only}", file=path,
            remedy="a split needs sentences of both classes",
        )  # fmt: skip
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends; only a line feed ends one, as sentences may hold U+0085.

    Raises:
        InputError: naming the first line that is not UTF-8.
    """
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        try:
            yield number, line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"not valid UTF-8: {error.reason} at byte {error.start + 1} of the line",
                file=path, key=f"line {number}", value=line,
                remedy="convert the file: iconv -f WINDOWS-1252 -t UTF-8",
            ) from None  # fmt: skip


# --- rated sentences -----------------------------------------------------------------------------


def _read_rated(reader: RatedSentences, folder: Path) -> Data:
    """Sentences with a mean rating: the label is its sign, and ratings near zero are dropped.

    The validation split is the `reader.validation` sentences with the smallest sha256 of their
    text, so it depends on nothing but the texts. A text that occurs more than once is never
    chosen: all of its copies train, and no sentence is in both splits.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if len(paths) != 1:
        raise InputError(
            f"the source should be one file, not {len(paths)}", key="source.member",
            remedy="name the file with the ratings",
        )  # fmt: skip
    rows = _both_classes(list(_rated_rows(paths[0], reader.minimum_rating)), paths[0])
    copies = Counter(row.sentence for row in rows)
    unique = sorted((text for text, n in copies.items() if n == 1), key=_sha256)
    if len(unique) <= reader.validation:
        raise InputError(
            f"there are only {len(unique)} sentences", key="reader.validation",
            value=reader.validation, remedy="a smaller validation split",
        )  # fmt: skip
    chosen = set(unique[: reader.validation])
    return {
        "train": [row for row in rows if row.sentence not in chosen],
        "validation": [row for row in rows if row.sentence in chosen],
    }


def _rated_rows(path: Path, minimum: float) -> Iterator[Row]:
    """Rows of a file of lines id<tab>mean rating<tab>text with |rating| above `minimum`."""
    for number, line in _lines(path):
        cells = line.split("\t")
        try:
            _, rating, text = cells
            mean = float(rating)
        except ValueError:
            raise InputError(
                "should be id<tab>mean rating<tab>text", file=path, key=f"line {number}", value=line
            ) from None
        if abs(mean) > minimum:
            yield _row(text, int(mean > 0), path, f"line {number}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sentence_ids(rows: list[Row]) -> list[str]:
    """The first 16 hexadecimal digits of each sentence's sha256; copies get -2, -3, …"""
    seen: Counter[str] = Counter()
    ids = []
    for row in rows:
        digest = _sha256(row.sentence)[:16]
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids
