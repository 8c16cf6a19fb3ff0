"""GLUE's eight tasks as the hub's repository nyu-mll/glue lays them out, with few made-up rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tests.helpers.tiny import make_sentences
from wsa.layout import Layout
from wsa.sources import fetch_data
from wsa.suite.load import load_data
from wsa.suite.schema import DataSpec

CONFIG = Path(__file__).parents[2] / "config"
# what the repository's files call the columns of text, and what they hold as a label
COLUMNS = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "stsb": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
}
CLASSES = dict.fromkeys(COLUMNS, 2) | {"mnli": 3, "stsb": 0}
TRAIN, JUDGED = 48, 24  # rows of the training split, and of every other one


def splits_of(task: str) -> tuple[str, ...]:
    """The repository's splits of a task, in its order."""
    if task != "mnli":
        return ("train", "validation", "test")
    kinds = ("matched", "mismatched")
    return ("train", *(f"{split}_{kind}" for split in ("validation", "test") for kind in kinds))


def write_glue(layout: Layout) -> dict[str, dict[str, pd.DataFrame]]:
    """The repository where one brought by hand lies; returns task → split → its rows."""
    source = load_data("cola", CONFIG).source
    folder = layout.archives / f"{source.id.replace('/', '--')}@{source.revision[:12]}"
    return {task: _write_task(folder / task, task) for task in COLUMNS}


def _write_task(folder: Path, task: str) -> dict[str, pd.DataFrame]:
    folder.mkdir(parents=True)
    names, split_names = COLUMNS[task], splits_of(task)
    sizes = [TRAIN, *(JUDGED for _ in split_names[1:])]
    # the two texts of a pair are of like or of unlike mood
    first, second = make_sentences(sum(sizes), seed=1), make_sentences(sum(sizes) + 1, seed=2)[1:]
    frames, start = {}, 0
    for split, size in zip(split_names, sizes, strict=True):
        texts = (first[start : start + size], second[start : start + size])
        frame = pd.DataFrame(
            {name: [text for text, _ in column] for name, column in zip(names, texts, strict=False)}
        )
        frame["label"] = _labels(task, split, texts)
        frame["idx"] = range(size)
        kinds = [pa.string()] * len(names)
        kinds += [pa.int64() if CLASSES[task] else pa.float32(), pa.int32()]
        schema = pa.schema(list(zip(frame.columns, kinds, strict=True)))
        path = folder / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False), path)
        frames[split] = frame
        start += size
    return frames


def _labels(task: str, split: str, texts) -> list[int | float]:
    if split.startswith("test"):
        return [-1] * len(texts[0])
    moods = [mood for _, mood in texts[0]]
    if not CLASSES[task]:
        return [(place * 5 % 26) / 5.2 for place in range(len(moods))]
    if CLASSES[task] == 3:
        return [mood * (1 + place // 2 % 2) for place, mood in enumerate(moods)]
    if task == "cola":  # uneven, as it really is
        return [int(mood or place % 3 == 0) for place, mood in enumerate(moods)]
    return moods


def fetch_glue(task: str, layout: Layout, **changes: object) -> DataSpec:
    """Bring a task by its shipped file, whose top-level keys `changes` replaces."""
    spec = load_data(task, CONFIG).model_copy(update=changes)
    fetch_data(spec, layout)
    return spec
