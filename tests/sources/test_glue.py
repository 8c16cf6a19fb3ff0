"""GLUE's eight tasks from files laid out as the hub's, through their shipped descriptions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.helpers.glue import CLASSES, COLUMNS, CONFIG, JUDGED, TRAIN, fetch_glue, write_glue
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.records.record import read_record
from wsa.sources import SourceRecord, verify
from wsa.suite.load import load_data, load_suites
from wsa.suite.schema import Splits

METRICS = {
    "cola": ("matthews", "accuracy"),
    "sst2": ("accuracy",),
    "mrpc": ("accuracy", "f1"),
    "stsb": ("pearson", "spearman"),
    "qqp": ("accuracy", "f1"),
    "mnli": ("accuracy",),
    "qnli": ("accuracy",),
    "rte": ("accuracy",),
}
MATCHED = ("validation_matched", "validation_mismatched")


@pytest.fixture(scope="module")
def glue(tmp_path_factory):
    """(layout, task → split → rows): the repository as brought by hand."""
    layout = Layout(resources=tmp_path_factory.mktemp("glue"))
    return layout, write_glue(layout)


@pytest.mark.parametrize("task", COLUMNS)
def test_rows_labels_and_splits_are_the_repository_s(glue, task):
    layout, given = glue
    spec = fetch_glue(task, layout)
    folder = layout.data(task)
    validation = MATCHED if task == "mnli" else ("validation",)
    assert spec.text == COLUMNS[task] and spec.validation == validation
    assert {path.stem for path in folder.glob("*.parquet")} == {"train", *validation}
    for split in ("train", *validation):
        table, rows = pd.read_parquet(folder / f"{split}.parquet"), given[task][split]
        assert len(table) == (TRAIN if split == "train" else JUDGED)
        kept = ("sentence", "sentence_2")[: len(COLUMNS[task])]
        assert list(table.columns) == ["id", *kept, "label"]
        for column, name in zip(kept, COLUMNS[task], strict=True):
            assert table[column].tolist() == rows[name].tolist()
        assert table["label"].dtype == (np.int16 if CLASSES[task] else np.float32)
        assert table["label"].tolist() == rows["label"].astype(table["label"].dtype).tolist()
        assert table["id"].is_unique
    counts = read_record(folder / "source.json", SourceRecord).splits
    if CLASSES[task]:
        assert list(counts["train"]) == list(spec.labels) and len(spec.labels) == CLASSES[task]
        for place, name in enumerate(spec.labels):
            assert counts["train"][name] == (given[task]["train"]["label"] == place).sum()
    else:
        assert counts == {"train": {"sentences": TRAIN}, "validation": {"sentences": JUDGED}}
    verify(folder)


@pytest.mark.parametrize("task", COLUMNS)
def test_what_is_asked_and_measured(task):
    asked = load_data(task, CONFIG).task
    assert tuple(metric.name for metric in asked.metrics) == METRICS[task]
    assert asked.headline.name == METRICS[task][0]
    assert (asked.classes, asked.num_labels) == (CLASSES[task], CLASSES[task] or 1)
    assert asked.problem_type == "single_label_classification" if CLASSES[task] else "regression"


def test_matched_and_mismatched_are_kept_apart(glue):
    layout, given = glue
    fetch_glue("mnli", layout)
    tables = [pd.read_parquet(layout.split("mnli", split)) for split in MATCHED]
    assert tables[0]["sentence"].tolist() == given["mnli"][MATCHED[0]]["premise"].tolist()
    assert not set(tables[0]["id"]) & set(tables[1]["id"])


@pytest.mark.parametrize("task", COLUMNS)
def test_a_test_split_without_labels_is_refused(glue, tmp_path, task):
    layout = Layout(resources=tmp_path)
    layout.archives.symlink_to(glue[0].archives)
    test = "test_matched" if task == "mnli" else "test"
    with pytest.raises(InputError) as error:
        fetch_glue(task, layout, reader=Splits(validation=(test,)))
    said = str(error.value)
    assert f"data set '{task}': {test}.parquet" in said and "-1" in said
    assert "no class of this data set" in said if CLASSES[task] else "only the label -1" in said
    if CLASSES[task]:
        assert "GLUE's test split" in said
    assert not layout.data(task).exists()


def test_two_validation_splits_are_never_taken_for_one(glue, tmp_path):
    layout = Layout(resources=tmp_path)
    layout.archives.symlink_to(glue[0].archives)
    with pytest.raises(InputError, match="has no file of the split 'validation'") as error:
        fetch_glue("mnli", layout, reader=Splits())
    assert "mnli/validation_matched-00000-of-00001.parquet" in str(error.value)


def test_the_shipped_collection_has_all_eight():
    suites, (collection,) = load_suites(["deberta-v3-base_glue"], CONFIG)
    assert {suite.data.name for suite in suites} == set(COLUMNS)
    assert {suite.name for suite in suites} == set(collection.suites)
    for suite in suites:
        # the data set's own, but for the question's suite, which says it itself
        assert suite.protocol.max_length == suite.data.max_length
        assert suite.methods.keys() == suites[0].methods.keys()
