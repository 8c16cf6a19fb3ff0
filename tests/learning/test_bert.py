"""BERT's last layer for the first token alone against the stock transformers code."""

import copy
import warnings

import peft
import pytest
import torch
from tests.learning.test_deberta import batch, step
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification
from transformers.models.bert import modeling_bert as stock
from wsa.learning.bert import LastLayer, first_token_last
from wsa.learning.optimise import optimise


def models(**changes):
    """The stock model and a fast copy."""
    settings = {
        **{"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4},
        **{"intermediate_size": 48, "max_position_embeddings": 64, "num_labels": 2},
        "attn_implementation": "sdpa",
    }
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**(settings | changes)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" not in name:
                parameter.mul_(8)
    return model, optimise(copy.deepcopy(model))


def assert_same(slow, fast) -> None:
    torch.testing.assert_close(fast[0], slow[0], rtol=1e-5, atol=1e-5)
    assert slow[1].keys() == fast[1].keys() and slow[1]
    for name, expected in slow[1].items():
        # a key's bias moves no probability: its gradient is round-off
        torch.testing.assert_close(fast[1][name], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(slow[2], fast[2])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("length", [1, 2, 7, 20])
@pytest.mark.parametrize("train", [False, True])
def test_logits_gradients_and_dropout_are_the_stock_ones(attention, length, train):
    slow, fast = models(attn_implementation=attention)
    assert type(fast.bert.encoder.layer[-1]) is LastLayer
    assert_same(step(slow, batch(length), train=train), step(fast, batch(length), train=train))


@pytest.mark.parametrize("changes", [{"num_hidden_layers": 1}, {"hidden_act": "relu"}], ids=str)
def test_other_settings_of_the_architecture(changes):
    slow, fast = models(**changes)
    assert_same(step(slow, batch(9), train=True), step(fast, batch(9), train=True))


def test_without_a_mask():
    slow, fast = models()
    inputs = {key: value for key, value in batch(6).items() if key != "attention_mask"}
    assert_same(step(slow, inputs), step(fast, inputs))


def test_adapters_and_prefixes_give_the_stock_numbers():
    for config in (
        peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value", "dense"]),
        peft.PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
    ):
        found = []
        for model in models():
            torch.manual_seed(2)
            found.append(step(peft.get_peft_model(model, config), batch(8)))
        torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=1e-5)
        assert found[0][1].keys() == found[1][1].keys()


def test_who_asks_for_more_gets_all_tokens():
    slow, fast = models()
    inputs = batch(7)
    slow, fast = slow.eval(), fast.eval()
    with torch.no_grad():
        expected = slow(**inputs, output_hidden_states=True).hidden_states
        found = fast(**inputs, output_hidden_states=True).hidden_states
        assert [state.shape for state in found] == [state.shape for state in expected]
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other)
        inputs.pop("labels")
        whole = fast.bert(**inputs).last_hidden_state
        torch.testing.assert_close(whole, slow.bert(**inputs).last_hidden_state)


def test_what_is_no_classifier_or_no_bert_stays():
    model = BertForTokenClassification(BertConfig(hidden_size=32, num_attention_heads=4,
                                                  num_hidden_layers=1, vocab_size=60))  # fmt: skip
    assert type(optimise(model).bert.encoder.layer[-1]) is stock.BertLayer
    assert type(optimise(torch.nn.Linear(2, 2))) is torch.nn.Linear


def test_another_transformers_runs_the_stock_code_with_a_warning(monkeypatch):
    slow, _ = models()
    forward = stock.BertLayer.forward

    def changed(self, hidden_states, *args, **kwargs):
        return 1.1 * forward(self, hidden_states, *args, **kwargs)

    monkeypatch.setattr(stock.BertLayer, "forward", changed)
    with pytest.warns(UserWarning, match="the stock code runs instead"):
        model = first_token_last(slow)
    assert type(model.bert.encoder.layer[-1]) is stock.BertLayer


def test_no_warning_as_installed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models()
