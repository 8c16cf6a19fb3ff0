"""LoReFT against its formula in float64, and in PEFT as any other method."""

import copy

import pytest
import torch
from peft import PeftModel, get_peft_model
from tests.helpers.hidden import (
    HEAD,
    INPUTS,
    bert,
    bert_by_hand,
    deberta,
    far_from_start,
    logits,
    logits_in_a_new_process,
    normed,
    stock_and_fast,
)
from torch import nn
from wsa.tuners.loreft import LoReFTConfig, LoReFTLayer, orthonormal_rows

LAYER_ENDS = r".*\.\d+\.output\.LayerNorm"
LAYER = "bert.encoder.layer"


def config(**arguments) -> LoReFTConfig:
    parts = {"r": 4, "positions": "f3", "target_modules": LAYER_ENDS, "modules_to_save": list(HEAD)}
    return LoReFTConfig(**(parts | arguments))


def adapted(model, **arguments):
    """The model with interventions far from their start."""
    return far_from_start(get_peft_model(model, config(**arguments)), "loreft_")


def weights_of(model) -> dict[str, torch.Tensor]:
    """Those of the interventions, by their names in the pretrained model."""
    return {
        name.removeprefix("base_model.model.").replace(".default", ""): parameter
        for name, parameter in model.named_parameters()
        if "loreft_" in name
    }


def gram_schmidt(A):
    """Rows made orthonormal, one after the other."""
    rows = []
    for row in A:
        for earlier in rows:
            row = row - (row @ earlier) * earlier
        rows.append(row / (row @ row).sqrt())
    return torch.stack(rows)


def edited(weights, module, h, first):
    """h + Rᵀ(W h + b − R h) at the first tokens, state by state."""
    R = gram_schmidt(weights[f"{module}.loreft_rotation"])
    W, b = (weights[f"{module}.loreft_source.{kind}"] for kind in ("weight", "bias"))
    sentences = []
    for sentence in h:
        states = [state + R.T @ (W @ state + b - R @ state) for state in sentence[:first]]
        sentences.append(torch.stack([*states, *sentence[first:]]))
    return torch.stack(sentences)


def by_hand(plain, weights, first):
    """The logits where every layer's output is edited."""
    return bert_by_hand(
        plain, INPUTS,
        end=lambda i, s, norm: edited(
            weights, f"{LAYER}.{i}.output.LayerNorm", normed(norm, s), first
        ),
    )  # fmt: skip


@pytest.mark.parametrize("which", [0, 1], ids=["stock", "fast"])
@pytest.mark.parametrize("r, positions", [(4, "f3"), (1, "f1"), (2, "f9")])
def test_in_bert_it_is_the_paper_s_formula_after_every_layer(which, r, positions):
    """Logits and gradients; the last layer may compute its first token alone."""
    plain = bert().double().eval()
    model = stock_and_fast(copy.deepcopy(plain))[which]
    model = adapted(model, r=r, positions=positions).eval()
    direction = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = weights_of(model)
    assert len(weights) == 3 * 3
    found = model(**INPUTS).logits
    gradients = torch.autograd.grad((found * direction).sum(), weights.values())
    copies = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    expected = by_hand(plain, copies, int(positions[1:]))
    wanted = torch.autograd.grad((expected * direction).sum(), copies.values())
    assert (expected - logits(plain)).abs().max() > 1e-2
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_the_faster_deberta_gives_the_same_logits_and_gradients():
    found = []
    for model in stock_and_fast(deberta().double()):
        model = adapted(model).eval()
        model(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
        found.append((logits(model), gradients))
    (expected, wanted), (other, gradients) = found
    # the stock code's scale of attention is a number of float32
    torch.testing.assert_close(other, expected, rtol=1e-6, atol=1e-7)
    assert gradients.keys() == wanted.keys() and len(wanted) == 3 * 3 + 4
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-5, atol=1e-7)


def test_tokens_behind_the_first_and_padding_are_left_alone():
    """Of a layer's own output; and padding plays no part in the logits, edited or not."""
    model = adapted(bert().double()).eval()
    layer = model.base_model.model.bert.encoder.layer[0].output.LayerNorm
    s = torch.randn(2, 7, 32, dtype=torch.float64)
    changed = (layer(s) != layer.base_layer(s)).any(-1)
    assert changed[:, :3].all() and not changed[:, 3:].any()
    short = {name: torch.tensor([[1, 0, 0, 0]]) for name in INPUTS}
    alone = {name: tensor[:, :1] for name, tensor in short.items()}
    torch.testing.assert_close(logits(model, short), logits(model, alone), rtol=1e-11, atol=1e-11)


# --- R, and the start ----------------------------------------------------------------------------


def test_rows_stay_orthonormal_in_training_with_weight_decay():
    model = get_peft_model(bert(), config())
    before = {n: w.detach().clone() for n, w in weights_of(model).items() if "rotation" in n}
    for A in before.values():  # the draw itself is orthonormal, and R is the draw
        torch.testing.assert_close(orthonormal_rows(A), A, rtol=0, atol=1e-5)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1
    )
    model.train()
    for _ in range(5):
        model(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, A in weights_of(model).items():
        if "rotation" in name:
            R = orthonormal_rows(A).detach()
            torch.testing.assert_close(R @ R.T, torch.eye(4), rtol=0, atol=1e-5)
            assert (R - before[name]).abs().max() > 1e-2


def test_the_start_is_the_pretrained_model_only_where_that_is_asked_for():
    pretrained = logits(bert().double())
    torch.manual_seed(2)
    same = get_peft_model(bert().double(), config(identity_start=True))
    torch.testing.assert_close(logits(same), pretrained, rtol=1e-6, atol=1e-6)
    torch.manual_seed(2)
    other = get_peft_model(bert().double(), config())
    assert (logits(other) - pretrained).abs().max() > 1e-2
    for name, weight in weights_of(other).items():
        if "source" in name:  # as torch's Linear: uniform within 1/√d
            assert 0 < weight.abs().max() <= 32**-0.5


def test_dropout_is_of_the_edited_states_in_training():
    model = adapted(bert(), dropout=0.5)
    layer = model.base_model.model.bert.encoder.layer[0].output.LayerNorm
    s = torch.randn(200, 7, 32)
    whole = layer.eval()(s).detach()
    dropped = layer.train()(s).detach()
    kept = dropped[:, :3] != 0
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(dropped[:, :3][kept], 2 * whole[:, :3][kept])
    assert torch.equal(dropped[:, 3:], whole[:, 3:])


# --- in PEFT -------------------------------------------------------------------------------------


def test_a_saved_adapter_gives_the_same_bits_in_another_process(tmp_path):
    model = adapted(stock_and_fast(bert())[1], dropout=0.1)
    model.save_pretrained(tmp_path)
    assert torch.equal(logits_in_a_new_process("wsa.tuners.loreft", "bert", tmp_path),
                       logits(model))  # fmt: skip
    empty = PeftModel.from_pretrained(bert(), tmp_path, low_cpu_mem_usage=True)
    torch.testing.assert_close(logits(empty), logits(model), rtol=1e-5, atol=1e-5)


def test_what_trains_is_as_many_as_the_paper_counts():
    """Of one Φ a layer: 2 r d + r; RoBERTa-base at r = 1 has 18,444, 0.015 % of 125 M."""
    model = get_peft_model(bert(), config(r=2))
    trains = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert sum(n for name, n in trains.items() if "loreft_" in name) == 3 * (2 * 2 * 32 + 2)
    assert len([name for name in trains if "modules_to_save" in name]) == 4
    assert len(trains) == 3 * 3 + 4
    assert round(100 * 12 * (2 * 768 + 1) / 125e6, 3) == 0.015


def test_it_can_be_switched_off_and_taken_out_but_not_merged():
    pretrained = logits(bert())
    model = adapted(bert())
    before = logits(model)
    with model.disable_adapter():
        assert torch.equal(logits(model), pretrained)
    for merge in (model.merge_adapter, model.merge_and_unload):
        with pytest.raises(ValueError, match="which no weight does"):
            merge()
    assert torch.equal(logits(model), before)
    plain = model.unload()
    assert not any(isinstance(m, LoReFTLayer) for m in plain.modules())
    assert torch.equal(logits(plain), pretrained)


def test_several_adapters_follow_one_another():
    norm = nn.Sequential(nn.LayerNorm(9)).double()
    x = torch.randn(2, 5, 9, dtype=torch.float64)
    h = norm(x).detach()
    parts = {"target_modules": ["0"], "modules_to_save": None}
    model = get_peft_model(norm, config(**parts), adapter_name="one")
    model.add_adapter("two", config(**parts, r=2, positions="f1"))
    far_from_start(model, "loreft_")
    weights = {
        name: {n.replace(f".{name}", ""): w for n, w in weights_of(model).items() if name in n}
        for name in ("one", "two")
    }
    one = edited(weights["one"], "0", h, 3)
    torch.testing.assert_close(model(x), one, rtol=1e-12, atol=1e-12)
    model.base_model.set_adapter(["one", "two"])
    both = edited(weights["two"], "0", one, 1)
    torch.testing.assert_close(model(x), both, rtol=1e-12, atol=1e-12)
    model.set_adapter("two")
    model.delete_adapter("one")
    torch.testing.assert_close(model(x), edited(weights["two"], "0", h, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cast", [True, False])
def test_in_half_precision(cast):
    model = get_peft_model(
        bert().to(torch.bfloat16), config(identity_start=True), autocast_adapter_dtype=cast
    )
    kinds = {weight.dtype for weight in weights_of(model).values()}
    assert kinds == {torch.float32 if cast else torch.bfloat16}
    found = logits(model)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), logits(bert()), rtol=0.2, atol=0.2)


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ({"r": 0}, "r should be a whole number"),
        ({"r": 33}, "r should be at most the width 32, not 33"),
        ({"positions": "l1"}, "a module does not see where a sentence ends; not 'l1'"),
        ({"positions": "f7+l7"}, "should be the first ones, such as f1 or f3"),
        ({"positions": "f0"}, "should be the first ones, such as f1 or f3"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1"),
        ({"target_modules": ["query"]}, "is a Linear, and LoReFT edits the hidden states"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_has_no_meaning_is_refused_in_words(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        get_peft_model(bert(), config(**arguments))
