"""Labelled texts out of the files of a source, checked row by row."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from wsa.errors import InputError, did_you_mean
from wsa.suite.schema import DataSpec, RatedSentences, SentencesByFile, Splits
from wsa.task import NUMBER

TEXT = ("sentence", "sentence_2")  # the columns of a split as it is kept


class Row(NamedTuple):
    """One text, or a pair of them, and its label: the number of a class, or a number."""

    text: tuple[str, ...]
    label: int | float


Data = dict[str, list[Row]]


def read(spec: DataSpec, folder: Path) -> Data:
    """The rows of every split, in the source's order: `train`, then the validation splits.

    Raises:
        InputError: naming the file, the line or row, the value and what would be right.
    """
    match spec.reader:
        case RatedSentences():
            return _by_hash(_read_rated(spec, folder), spec.reader.validation)
        case SentencesByFile():
            return _by_hash(_read_by_file(spec.reader, folder), spec.reader.validation)
        case Splits():
            names = {"train": spec.reader.train} | {name: name for name in spec.reader.validation}
            return {split: _read_split(spec, folder, name) for split, name in names.items()}


# --- splits --------------------------------------------------------------------------------------


def _read_split(spec: DataSpec, folder: Path, split: str) -> list[Row]:
    """The rows of `<split>.tsv` or `<split>.parquet`."""
    tsv, parquet = folder / f"{split}.tsv", folder / f"{split}.parquet"
    columns = [*spec.text, spec.label]
    if tsv.is_file() and parquet.is_file():
        raise InputError(
            f"there are both {tsv.name} and {parquet.name}", file=folder, remedy="remove one"
        )
    if not tsv.is_file() and not parquet.is_file():
        raise InputError(
            f"there is neither {tsv.name} nor {parquet.name}", file=folder,
            remedy=f"write {tsv.name}: a line '{'<tab>'.join(columns)}', then one row a line",
        )  # fmt: skip
    path = tsv if tsv.is_file() else parquet
    rows = _tsv_rows(spec, tsv) if path is tsv else _parquet_rows(spec, parquet)
    return _usable(list(rows), path)


def _tsv_rows(spec: DataSpec, path: Path) -> Iterator[Row]:
    """Rows of a tab-separated file without quoting, as GLUE's are: a quote is just a character."""
    lines = _lines(path)
    _, header = next(lines, (1, ""))
    names = header.split("\t")
    places = _places(spec, names, path)
    wanted = "<tab>".join(names)
    read_label = _label_reader(spec)
    for number, line in lines:
        cells, where = line.split("\t"), f"line {number}"
        if len(cells) != len(names):
            raise InputError(
                f"has {len(cells)} cells instead of {len(names)}", file=path, key=where, value=line,
                remedy=f"{wanted}; a text holds no tab",
            )  # fmt: skip
        *texts, label = (cells[place] for place in places)
        yield _row(tuple(texts), read_label(label, path, where), path, where)


def _parquet_rows(spec: DataSpec, path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"not a readable parquet file: {error}", file=path) from None
    _places(spec, table.column_names, path)
    for column in spec.text:
        kind = table.schema.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(
                f"the column holds {kind}, not text", file=path, key=column,
                remedy="write the column as strings",
            )  # fmt: skip
    read_label = _label_reader(spec)
    columns = [table.column(name).to_pylist() for name in (*spec.text, spec.label)]
    for number, (*texts, label) in enumerate(zip(*columns, strict=True), start=1):
        where = f"row {number}"
        yield _row(tuple(texts), read_label(label, path, where), path, where)


def _places(spec: DataSpec, found: list[str], path: Path) -> list[int]:
    """Where the columns of text and label are; others are no part of the task."""
    for key, name in (*(("text", text) for text in spec.text), ("label", spec.label)):
        if found.count(name) != 1:
            problem = "there is no column" if name not in found else "there are several columns"
            raise InputError(
                f"{problem} '{name}'", file=path, key="columns", value=found,
                remedy=f"a column of that name, or {key}: another in the data set's file; "
                + did_you_mean(name, found),
            )  # fmt: skip
    return [found.index(name) for name in (*spec.text, spec.label)]


def _label_reader(spec: DataSpec) -> Callable[[object, Path, str], int | float]:
    """What reads the cell of a label: a number, or a class by its number or its name."""
    if spec.labels == NUMBER:
        return _number
    numbers = {str(number): number for number in range(len(spec.labels))}
    classes = numbers | {name: number for number, name in enumerate(spec.labels)}
    meaning = ", ".join(f"{number} for {name}" for number, name in enumerate(spec.labels))

    def read(cell: object, path: Path, where: str) -> int:
        known = classes.get(str(cell)) if isinstance(cell, int | str) else None
        if known is None:
            raise InputError(
                "the label is no class of this data set", file=path, key=where, value=cell,
                remedy=f"{meaning}; a split without labels, such as GLUE's test split with its -1, "
                "cannot be used",
            )  # fmt: skip
        return known

    return read


def _number(cell: object, path: Path, where: str) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            "the label is not a number", file=path, key=where, value=cell,
            remedy="a finite number; or name the classes: labels: [negative, positive]",
        )  # fmt: skip
    return value


def _row(text: tuple[str | None, ...], label: int | float, path: Path, where: str) -> Row:
    text = tuple(part or "" for part in text)
    if not any(part.strip() for part in text):  # one empty text of a pair is still a pair
        raise InputError(
            "the text is empty", file=path, key=where, value=text, remedy="remove the row"
        )
    return Row(text, label)


def _usable(rows: list[Row], path: Path) -> list[Row]:
    """A split needs sentences, and not all with one label."""
    labels = Counter(row.label for row in rows)
    if len(labels) < 2:
        only = f"has only the label {next(iter(labels))}" if labels else "there are no sentences"
        raise InputError(only, file=path, remedy="a split needs sentences of different labels")
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


def _read_rated(spec: DataSpec, folder: Path) -> list[Row]:
    """Sentences with a mean rating; the label is its sign, its third, or the rating itself."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if len(paths) != 1:
        raise InputError(
            f"the source should be one file, not {len(paths)}", key="source.member",
            remedy="name the file with the ratings",
        )  # fmt: skip
    rated = list(_ratings(paths[0]))
    if spec.labels == NUMBER:
        return _usable(rated, paths[0])
    limit = spec.reader.minimum_rating
    if len(spec.labels) == 3:
        rows = [Row(text, 1 if abs(mean) <= limit else 2 * (mean > 0)) for text, mean in rated]
    else:
        rows = [Row(text, int(mean > 0)) for text, mean in rated if abs(mean) > limit]
    return _usable(rows, paths[0])


def _read_by_file(reader: SentencesByFile, folder: Path) -> list[Row]:
    """The sentences of several files; the label is the file's place among them."""
    rows = []
    for label, name in enumerate(reader.files):
        path = folder / name
        if not path.is_file():
            raise InputError(
                f"the source has no file '{name}'", key="reader.files", value=name,
                remedy=did_you_mean(name, (p.name for p in folder.iterdir())),
            )  # fmt: skip
        rows += [Row(text, label) for text, _ in _ratings(path)]
    return rows


def _ratings(path: Path) -> Iterator[Row]:
    """(text, mean rating) of a file of lines id<tab>mean rating<tab>text."""
    for number, line in _lines(path):
        cells = line.split("\t")
        try:
            _, rating, text = cells
            mean = float(rating)
        except ValueError:
            raise InputError(
                "should be id<tab>mean rating<tab>text", file=path, key=f"line {number}", value=line
            ) from None
        yield _row((text,), mean, path, f"line {number}")


def _by_hash(rows: list[Row], validation: int) -> Data:
    """The validation split is the `validation` texts with the smallest sha256.

    So it depends on nothing but the texts. A text that occurs more than once is never chosen: all
    of its copies train, and no sentence is in both splits.
    """
    copies = Counter(row.text for row in rows)
    unique = sorted((text for text, n in copies.items() if n == 1), key=_sha256)
    if len(unique) <= validation:
        raise InputError(
            f"there are only {len(unique)} sentences", key="reader.validation", value=validation,
            remedy="a smaller validation split",
        )  # fmt: skip
    chosen = set(unique[:validation])
    return {
        "train": [row for row in rows if row.text not in chosen],
        "validation": [row for row in rows if row.text in chosen],
    }


def _sha256(text: tuple[str, ...]) -> str:
    return hashlib.sha256("\t".join(text).encode()).hexdigest()


def sentence_ids(rows: list[Row]) -> list[str]:
    """The first 16 hexadecimal digits of each text's sha256; copies get -2, -3, …"""
    seen: Counter[str] = Counter()
    ids = []
    for row in rows:
        digest = _sha256(row.text)[:16]
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids
