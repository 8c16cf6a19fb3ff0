"""The tiny models are laid out as the real ones: the traps of loading them are in the tests."""

import pytest
import torch
from tests.helpers import tiny
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.pytorch_utils import Conv1D


def test_tiny_deberta_has_the_traps_of_deberta_v3_base(tmp_path):
    folder = tiny.make_tiny_deberta(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "pytorch_model.bin", "spm.model", "tokenizer_config.json",
    ]  # fmt: skip
    assert (folder / "tokenizer_config.json").stat().st_size == 52
    stored = torch.load(folder / "pytorch_model.bin", weights_only=True)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, dtype=torch.float32, output_loading_info=True
    )
    # the head is new, and so is the pooler; the heads of pretraining are left out
    assert loading["missing_keys"] == {
        "pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias",
    }  # fmt: skip
    assert {name.split(".")[0] for name in loading["unexpected_keys"]} == {
        "lm_predictions", "mask_predictions",
    }  # fmt: skip
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    name = "deberta.encoder.layer.0.attention.self.query_proj.weight"
    assert torch.equal(model.get_parameter(name), stored[name].float())


@pytest.mark.parametrize("make", [tiny.make_tiny_deberta, tiny.make_tiny_bert, tiny.make_tiny_gpt2])
def test_a_seed_decides_every_byte(tmp_path, make):
    def content(name: str, seed: int) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in make(tmp_path / name, seed).iterdir()}

    assert content("a", 0) == content("b", 0)
    assert content("a", 0) != content("c", 1)


def test_tiny_gpt2_has_conv1d(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny.make_tiny_gpt2(tmp_path))
    assert isinstance(model.transformer.h[0].attn.c_attn, Conv1D)


def test_sentences_are_distinct_and_of_both_classes():
    rows = tiny.make_sentences(5000)
    assert len({sentence for sentence, _ in rows}) == 5000
    assert sum(label for _, label in rows) == 2500
    assert rows[:100] == tiny.make_sentences(100)
    assert rows[:100] != tiny.make_sentences(100, seed=1)
