"""Tokens against a plain AutoTokenizer call, their cut and choice, and damage to their file."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sentencepiece
from tests.helpers import tiny
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.learning.tokens import Tokens, load_tokens
from wsa.sources import fetch_data, fetch_model
from wsa.stages.tokenise import tokenise
from wsa.suite.schema import DataSpec, ModelSpec

MAKERS = {"bert": tiny.make_tiny_bert, "deberta": tiny.make_tiny_deberta}
# what real sentences hold beside words: cases, accents, fractions, spaces, unknown letters
ODD = ["Éclair à la CRÈME", "9 ½ Weeks …", "two  spaces ", "中文 xyz", "a" * 300, "!"]


def model_spec(name: str, folder: Path) -> ModelSpec:
    return ModelSpec(
        name=name, title=name, source={"kind": "path", "path": str(folder)},
        target_modules=["query"], head_modules=["classifier"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tiny.write_tsv_data(tmp_path_factory.mktemp("data"), train=50, validation=20)
    with (folder / "train.tsv").open("a", encoding="utf-8") as file:
        file.writelines(f"{text}\t{i % 2}\n" for i, text in enumerate([*ODD, ODD[0]]))
    return DataSpec(name="data", title="Data", source={"kind": "path", "path": str(folder)})


@pytest.fixture(scope="module", params=MAKERS)
def made(request, tmp_path_factory, data):
    """(layout, model, data) with the tokens' file made."""
    root = tmp_path_factory.mktemp(request.param)
    layout = Layout(resources=root / "resources")
    model = model_spec(request.param, MAKERS[request.param](root / "model"))
    fetch_model(model, layout)
    fetch_data(data, layout)
    assert tokenise(model, data, layout) == layout.tokens(model.name, data.name)
    return layout, model, data


def sentences(tokens: Tokens) -> list[list[int]]:
    return [
        tokens.input_ids[start:stop].tolist()
        for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
    ]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_tokens_are_those_of_the_tokenizer(made, split):
    from transformers import AutoTokenizer

    layout, model, data = made
    tokenizer = AutoTokenizer.from_pretrained(layout.model(model.name))
    table = pd.read_parquet(layout.data(data.name) / f"{split}.parquet")
    expected = [tokenizer(text)["input_ids"] for text in table["sentence"]]
    tokens = load_tokens(layout.tokens(model.name, data.name))[split]
    assert sentences(tokens) == expected
    assert tokens.lengths.tolist() == [len(row) for row in expected]
    assert tokens.labels.tolist() == table["label"].tolist()
    assert tokens.ids == table["id"].tolist()
    assert len(tokens) == len(table)
    assert (tokens.input_ids.dtype, tokens.offsets.dtype, tokens.labels.dtype) == (
        np.int32, np.int64, np.int16,
    )  # fmt: skip
    assert tokens.pad_token_id == tokenizer.pad_token_id
    assert tokens.token_type_ids is None  # of single texts they are all zero
    for row in sentences(tokens):
        assert row[0] == tokenizer.cls_token_id and row[-1] == tokenizer.sep_token_id


@pytest.mark.parametrize("made", ["deberta"], indirect=True)
def test_a_folder_with_only_an_spm_model_gives_sentencepieces_own_ids(made):
    layout, model, data = made
    folder = layout.model(model.name)
    assert not (folder / "tokenizer.json").exists()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    table = pd.read_parquet(layout.data(data.name) / "validation.parquet")
    tokens = load_tokens(layout.tokens(model.name, data.name))["validation"]
    cls, sep = pieces.piece_to_id("[CLS]"), pieces.piece_to_id("[SEP]")
    expected = [[cls, *pieces.encode(text), sep] for text in table["sentence"]]
    assert sentences(tokens) == expected


@pytest.mark.parametrize("length", [5, 12, 10_000])
def test_truncation_is_the_tokenizers(made, length):
    from transformers import AutoTokenizer

    layout, model, data = made
    tokenizer = AutoTokenizer.from_pretrained(layout.model(model.name))
    texts = pd.read_parquet(layout.data(data.name) / "train.parquet")["sentence"].tolist()
    expected = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
    whole = load_tokens(layout.tokens(model.name, data.name))["train"]
    before = whole.input_ids.copy()
    cut = whole.truncated(length)
    assert sentences(cut) == expected
    assert cut.ids == whole.ids and cut.sha256 == whole.sha256
    assert np.array_equal(whole.input_ids, before)


PAIRS = [
    ("a film", "a story"), ("the plot", " ".join(["ending"] * 40)), ("cast " * 40, "ok"),
    ("actor " * 30, "scene " * 30), ("actor " * 30, "scene " * 29), ("", "only the second"),
    ("what a film !", "what a [SEP] film !"),
]  # fmt: skip


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("length", [6, 9, 10, 31, 512])
def test_pairs_are_those_of_the_tokenizer_also_when_cut(maker, length, tmp_path):
    from transformers import AutoTokenizer

    layout = Layout(resources=tmp_path / "resources")
    model = model_spec(maker, MAKERS[maker](tmp_path / "model"))
    rows = [f"{first}\t{second}\t{i % 2}" for i, (first, second) in enumerate(PAIRS)]
    others = ["another\tpair\t0", "and\tone more\t1"]
    for split, of_split in (("train", rows), ("validation", others)):
        text = "\n".join(["first\tsecond\tsame", *of_split])
        (tmp_path / f"{split}.tsv").write_text(text + "\n", encoding="utf-8")
    data = DataSpec(
        name="pairs", title="Pairs", source={"kind": "path", "path": str(tmp_path)},
        text=["first", "second"], label="same", labels=["no", "yes"],
    )  # fmt: skip
    fetch_model(model, layout)
    fetch_data(data, layout)
    tokens = load_tokens(tokenise(model, data, layout))["train"].truncated(length)
    tokenizer = AutoTokenizer.from_pretrained(layout.model(maker))
    expected = tokenizer(*map(list, zip(*PAIRS, strict=True)), truncation=True, max_length=length)
    assert sentences(tokens) == expected["input_ids"]
    if "token_type_ids" in expected:
        assert tokens.token_type_ids.tolist() == sum(expected["token_type_ids"], [])
    else:
        assert tokens.token_type_ids is None


def test_selection_keeps_each_sentence_whole(made):
    layout, model, data = made
    tokens = load_tokens(layout.tokens(model.name, data.name))["train"]
    rows = sentences(tokens)
    for indices in ([3, 0, 55, 3], [], [len(tokens) - 1]):
        chosen = tokens.select(np.array(indices, dtype=np.int64))
        assert sentences(chosen) == [rows[i] for i in indices]
        assert chosen.labels.tolist() == [int(tokens.labels[i]) for i in indices]
        assert chosen.ids == [tokens.ids[i] for i in indices]


def test_the_same_inputs_give_the_same_bytes(made):
    layout, model, data = made
    path = layout.tokens(model.name, data.name)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    tokenise(model, data, layout)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_reading_needs_neither_torch_nor_transformers(made):
    layout, model, data = made
    code = (
        "import sys; from pathlib import Path; from wsa.learning.tokens import load_tokens; "
        "print(len(load_tokens(Path(sys.argv[1]))['validation'])); "
        "print([name for name in ('torch', 'transformers', 'pandas') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(layout.tokens(model.name, data.name))]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "20\n[]\n"


def test_every_flipped_byte_is_noticed(made, tmp_path):
    layout, model, data = made
    content = layout.tokens(model.name, data.name).read_bytes()
    path = tmp_path / "tokens.safetensors"
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(0, header, 41), *range(header, len(content), 331), len(content) - 1]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged") as error:
            load_tokens(path)
        assert f"snakemake --cores 1 -R {path}" in str(error.value)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        load_tokens(path)
    path.unlink()
    with pytest.raises(InputError, match="there is no such file"):
        load_tokens(path)


def test_damaged_inputs_are_not_tokenised(tmp_path, data):
    layout = Layout(resources=tmp_path / "resources")
    model = model_spec("bert", tiny.make_tiny_bert(tmp_path / "model"))
    fetch_model(model, layout)
    fetch_data(data, layout)
    tokenizer = layout.model("bert") / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("film", "fiim"))
    with pytest.raises(InputError, match="its bytes have changed"):
        tokenise(model, data, layout)
    assert not os.path.exists(layout.tokens("bert", "data"))


def test_a_tokenizer_that_cannot_be_loaded(tmp_path, data):
    layout = Layout(resources=tmp_path / "resources")
    folder = tiny.make_tiny_bert(tmp_path / "model")
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    model = model_spec("bert", folder)
    fetch_model(model, layout)
    fetch_data(data, layout)
    with pytest.raises(InputError, match="cannot load the tokenizer"):
        tokenise(model, data, layout)
