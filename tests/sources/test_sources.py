"""Fetched folders: what they hold, what their record says, and how damage is noticed."""

import hashlib
import json
import os

import pandas as pd
import pytest
from tests.helpers import tiny
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.records.record import read_record
from wsa.sources import SourceRecord, fetch_data, fetch_model, verify
from wsa.suite.schema import DataSpec, ModelSpec


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout(resources=tmp_path / "resources")


def data_spec(path) -> DataSpec:
    source = {"kind": "path", "path": str(path)}
    return DataSpec(name="snippets", title="Snippets", source=source, licence="CC0")


def model_spec(path) -> ModelSpec:
    return ModelSpec(
        name="tiny", title="Tiny", source={"kind": "path", "path": str(path)},
        target_modules=["query"], head_modules=["classifier"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny.make_tiny_bert(tmp_path_factory.mktemp("bert"))


# --- data ----------------------------------------------------------------------------------------


def test_a_data_set_is_two_tables_and_a_record(tmp_path, layout):
    folder = tiny.write_tsv_data(tmp_path / "data", train=30, validation=10)
    path = fetch_data(data_spec(folder), layout)
    assert path == layout.data("snippets") / "source.json"
    for split in ("train", "validation"):
        given = pd.read_csv(folder / f"{split}.tsv", sep="\t")
        table = pd.read_parquet(path.parent / f"{split}.parquet")
        assert table.columns.tolist() == ["id", "sentence", "label"]
        assert table["label"].dtype == "int16"
        assert table["sentence"].tolist() == given["sentence"].tolist()
        assert table["label"].tolist() == given["label"].tolist()
        digests = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in given["sentence"]]
        assert table["id"].tolist() == digests
    record = read_record(path, SourceRecord)
    assert record.source.path == str(folder) and record.licence == "CC0"
    assert record.splits["train"] == {"negative": 15, "positive": 15}
    assert record.splits["validation"] == {"negative": 5, "positive": 5}
    assert record.shared_sentences == 0
    assert verify(path.parent) == record.sha256


def test_sentences_in_both_splits_are_told_and_counted(tmp_path, layout, capsys):
    folder = tiny.write_tsv_data(tmp_path / "data", train=30, validation=60)
    same, alike, *_ = (folder / "validation.tsv").read_text().splitlines()[1:]
    with (folder / "train.tsv").open("a") as train:
        train.write(f"{same}\n{same}\n  {alike.upper().replace(' ', '  ')}\n")
    record = read_record(fetch_data(data_spec(folder), layout), SourceRecord)
    assert record.shared_sentences == 2
    told = "data set 'snippets': 2 of 60 validation sentences (3.3 %) are training sentences too"
    printed = capsys.readouterr().out
    assert f"{told}, 1 of them but for letter case or spaces, such as " in printed


def test_a_validation_set_that_was_trained_on_is_refused(tmp_path, layout, capsys):
    folder = tiny.write_tsv_data(tmp_path / "data", train=30, validation=20)
    fetch_data(data_spec(folder), layout)
    assert "validation sentences" not in capsys.readouterr().out
    first, second, *_ = (folder / "validation.tsv").read_text().splitlines()[1:]
    train = (folder / "train.tsv").read_text()
    (folder / "train.tsv").write_text(f"{train}{first}\n")
    fetch_data(data_spec(folder), layout)  # 5 %
    (folder / "train.tsv").write_text(f"{train}{first}\n{second}\n")
    with pytest.raises(InputError, match=r"2 of 20 validation sentences \(10.0 %\) are training"):
        fetch_data(data_spec(folder), layout)


def test_fetching_again_gives_the_same_bytes(tmp_path, layout):
    spec = data_spec(tiny.write_tsv_data(tmp_path / "data"))
    first = fetch_data(spec, layout).read_bytes()
    assert fetch_data(spec, layout).read_bytes() == first


def test_a_wrong_row_leaves_the_last_whole_folder_alone(tmp_path, layout):
    folder = tiny.write_tsv_data(tmp_path / "data")
    path = fetch_data(data_spec(folder), layout)
    before = path.read_bytes()
    (folder / "validation.tsv").write_text("sentence\tlabel\ngood\tyes\n")
    with pytest.raises(InputError, match="no class of this data set"):
        fetch_data(data_spec(folder), layout)
    assert path.read_bytes() == before and verify(path.parent)
    # nothing half-made is left beside it
    assert os.listdir(layout.resources / "data") == ["snippets"]


def test_a_path_may_name_home_and_variables(tmp_path, layout, monkeypatch):
    tiny.write_tsv_data(tmp_path / "home" / "data")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CORPUS", "data")
    fetch_data(data_spec("~/$CORPUS"), layout)


@pytest.mark.parametrize("fetch, spec", [(fetch_data, data_spec), (fetch_model, model_spec)])
def test_a_folder_that_is_not_there(layout, fetch, spec):
    with pytest.raises(InputError, match="there is no folder") as error:
        fetch(spec("$NOWHERE/x"), layout)
    assert "source.path" in str(error.value) and "what to do" in str(error.value)


# --- models --------------------------------------------------------------------------------------


def test_a_model_is_copied_with_what_transformers_needs(tmp_path, layout, bert):
    names = {path.name for path in bert.iterdir()}
    (bert / "notes.md").write_text("no part of the model")
    path = fetch_model(model_spec(bert), layout)
    found = {file.name: file for file in path.parent.iterdir()}
    assert set(found) == names | {"source.json"}
    for name in names:
        assert found[name].read_bytes() == (bert / name).read_bytes()
        assert not found[name].is_symlink()
    assert verify(path.parent) == json.loads(path.read_text())["sha256"]


def test_the_layout_of_deberta_v3_is_kept(tmp_path, layout):
    folder = tiny.make_tiny_deberta(tmp_path / "deberta")
    path = fetch_model(model_spec(folder), layout)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "config.json", "pytorch_model.bin", "source.json", "spm.model", "tokenizer_config.json",
    ]  # fmt: skip


def broken(bert, folder, remove=(), write=()):
    folder.mkdir()
    for path in bert.iterdir():
        if path.name not in remove:
            (folder / path.name).write_bytes(path.read_bytes())
    for name, text in dict(write).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"remove": ["config.json"]}, "no config.json"),
        ({"write": {"config.json": "{"}}, "not a model's configuration"),
        ({"write": {"config.json": "{}"}}, "not a model's configuration"),
        ({"remove": ["model.safetensors"]}, "no weight file"),
        ({"remove": ["tokenizer.json"]}, "no tokenizer"),
        (
            {
                "remove": ["model.safetensors"],
                "write": {"model.safetensors.index.json": '{"weight_map": {"a": "1.safetensors"}}'},
            },
            "weight files are missing: 1.safetensors",
        ),
    ],
)
def test_a_folder_that_is_no_model(tmp_path, layout, bert, change, problem):
    folder = broken(bert, tmp_path / "broken", **change)
    with pytest.raises(InputError, match=problem) as error:
        fetch_model(model_spec(folder), layout)
    assert str(folder) in str(error.value)
    assert not layout.model("tiny").exists()


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: path.write_bytes(flipped(path.read_bytes())), "its bytes have changed"),
        (lambda path: path.unlink(), "the file is missing"),
    ],
)
def test_damage_names_the_file_and_the_command_that_mends_it(layout, bert, damage, problem):
    folder = fetch_model(model_spec(bert), layout).parent
    damage(folder / "model.safetensors")
    with pytest.raises(InputError, match=problem) as error:
        verify(folder)
    assert str(folder / "model.safetensors") in str(error.value)
    assert f"snakemake --cores 1 -R {folder / 'source.json'}" in str(error.value)
    fetch_model(model_spec(bert), layout)
    assert verify(folder)


def test_a_record_that_was_edited(layout, bert):
    path = fetch_model(model_spec(bert), layout)
    record = json.loads(path.read_text())
    record["files"]["config.json"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="source.json: damaged"):
        verify(path.parent)
    path.unlink()
    with pytest.raises(InputError, match="there is no such record"):
        verify(path.parent)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
