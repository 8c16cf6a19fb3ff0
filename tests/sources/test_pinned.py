"""The embedded sources themselves, from the package index: the numbers that their files state."""

from pathlib import Path

import pandas as pd
import pytest
from tests.helpers.archives import bring_archives
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.records.record import read_record
from wsa.sources import SourceRecord, fetch_data, fetch_model, verify
from wsa.suite.load import read_yaml
from wsa.suite.schema import DataSpec, ModelSpec
from wsa.suite.strict import check

CONFIG = Path(__file__).parents[2] / "config"


def spec(kind, path):
    return check(kind, read_yaml(CONFIG / path), path)


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    return bring_archives(Layout(resources=tmp_path_factory.mktemp("resources")))


def fetched(fetch, *arguments):
    try:
        return fetch(*arguments)
    except InputError as error:
        if "pip cannot download" in error.problem:
            pytest.skip(f"no package index here: {error.problem}")
        raise


def test_every_pinned_source_is_valid():
    for path in sorted((CONFIG / "models").glob("*.yaml")):
        assert spec(ModelSpec, path.relative_to(CONFIG)).name == path.stem
    for path in sorted((CONFIG / "data").glob("*.yaml")):
        assert spec(DataSpec, path.relative_to(CONFIG)).name == path.stem


@pytest.mark.slow
def test_the_rated_film_sentences(layout):
    path = fetched(fetch_data, spec(DataSpec, "data/movie-snippets.yaml"), layout)
    splits = read_record(path, SourceRecord).splits
    # Hutto & Gilbert's 10,605 sentences without the neutral ones
    assert sum(counts["positive"] for counts in splits.values()) == 4_982
    assert sum(counts["negative"] for counts in splits.values()) == 5_061
    assert sum(splits["validation"].values()) == 872
    tables = [pd.read_parquet(path.parent / f"{split}.parquet") for split in splits]
    assert not set(tables[0]["sentence"]) & set(tables[1]["sentence"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("tweets", {"negative": 1_062, "positive": 2_300}),
        ("product-reviews", {"negative": 1_218, "positive": 1_725}),
        ("editorials", {"negative": 1_688, "positive": 1_100}),
        ("movie-snippets_three", {"negative": 5_061, "neutral": 562, "positive": 4_982}),
        ("movie-ratings", {"sentences": 10_605}),
        (
            "sentence-origin",
            {"film": 10_605, "tweet": 4_200, "product review": 3_708, "editorial": 5_190},
        ),
    ],
)
def test_the_other_data_sets_have_what_their_files_state(layout, name, counts):
    path = fetched(fetch_data, spec(DataSpec, f"data/{name}.yaml"), layout)
    splits = read_record(path, SourceRecord).splits
    assert {label: sum(own[label] for own in splits.values()) for label in counts} == counts
    assert sum(splits["validation"].values()) == 872
    assert sum(sum(own.values()) for own in splits.values()) == sum(counts.values())
    stated = (CONFIG / f"data/{name}.yaml").read_text().split("name:")[0].replace(",", "")
    for count in counts.values():
        assert str(count) in stated, f"the comment does not say {count}"
    verify(path.parent)


@pytest.mark.slow
def test_minilm_loads_as_a_classifier_with_a_new_head(layout):
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = fetched(fetch_model, spec(ModelSpec, "models/minilm-l6.yaml"), layout).parent
    verify(folder)
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    assert loading["missing_keys"] == {"classifier.weight", "classifier.bias"}
    assert not loading["unexpected_keys"]
    assert sum(value.numel() for value in model.bert.parameters()) == 22_713_216
