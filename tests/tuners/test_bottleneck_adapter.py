"""Bottleneck adapters against their formulas in float64, and in PEFT as any other method."""

import copy
import math

import pytest
import torch
from peft import get_peft_model
from scipy.stats import truncnorm
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
from wsa.tuners.bottleneck_adapter import BottleneckAdapterConfig, BottleneckAdapterLayer

FEED_FORWARD_NORM = r".*\.\d+\.output\.LayerNorm"
HOULSBY = {"target_modules": ["output.dense"], "train_norms": True}
PFEIFFER = {"target_modules": FEED_FORWARD_NORM, "activation": "relu"}
PLACES = {"houlsby": HOULSBY, "pfeiffer": PFEIFFER}


def config(**arguments) -> BottleneckAdapterConfig:
    return BottleneckAdapterConfig(**({"r": 4, "modules_to_save": list(HEAD)} | arguments))


def adapted(model, **arguments):
    """The model with adapters far from their start."""
    return far_from_start(get_peft_model(model, config(**arguments)), "bottleneck_")


def adapter_weights(model) -> dict[str, torch.Tensor]:
    """Those of the adapters, by their names in the pretrained model."""
    return {
        name.removeprefix("base_model.model.").replace(".default", ""): parameter
        for name, parameter in model.named_parameters()
        if "bottleneck_" in name
    }


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


DENSE_ACTIVATIONS = {
    "gelu": gelu,
    "relu": lambda x: x.clamp(min=0),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
}


def change(weights, module, h, activation):
    """W_up f(W_down h + b_down) + b_up."""
    W, b, V, c = (
        weights[f"{module}.bottleneck_{side}.{kind}"]
        for side in ("down", "up")
        for kind in ("weight", "bias")
    )
    return DENSE_ACTIVATIONS[activation](h @ W.T + b) @ V.T + c


def by_hand(plain, weights, place):
    """The logits where Houlsby's or Pfeiffer's adapters stand where their papers put them."""
    layer = "bert.encoder.layer"
    if place == "houlsby":
        return bert_by_hand(
            plain, INPUTS,
            lambda i, h: h + change(weights, f"{layer}.{i}.attention.output.dense", h, "gelu"),
            lambda i, h: h + change(weights, f"{layer}.{i}.output.dense", h, "gelu"),
        )  # fmt: skip
    return bert_by_hand(
        plain, INPUTS,
        end=lambda i, s, norm: normed(
            norm, s + change(weights, f"{layer}.{i}.output.LayerNorm", normed(norm, s), "relu")
        ),
    )  # fmt: skip


@pytest.mark.parametrize("which", ["stock", "fast"])
@pytest.mark.parametrize("place", PLACES)
def test_in_bert_they_stand_where_the_papers_put_them(place, which):
    """Logits and gradients; also where the last layer computes its first token alone."""
    plain = bert().double().eval()
    model = adapted(dict(zip(("stock", "fast"), stock_and_fast(copy.deepcopy(plain)),
                             strict=True))[which], **PLACES[place])  # fmt: skip
    model.eval()
    direction = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = adapter_weights(model)
    assert len(weights) == 4 * 3 * (2 if place == "houlsby" else 1)
    found = model(**INPUTS).logits
    gradients = torch.autograd.grad((found * direction).sum(), weights.values())
    copies = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    expected = by_hand(plain, copies, place)
    wanted = torch.autograd.grad((expected * direction).sum(), copies.values())
    assert (expected - logits(plain)).abs().max() > 1e-2
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("place", PLACES)
def test_the_faster_deberta_gives_the_same_logits_and_gradients(place):
    found = []
    for model in stock_and_fast(deberta().double()):
        model = adapted(model, **PLACES[place]).eval()
        model(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
        found.append((logits(model), gradients))
    (expected, wanted), (other, gradients) = found
    # the stock code's scale of attention is a number of float32
    torch.testing.assert_close(other, expected, rtol=1e-6, atol=1e-7)
    assert gradients.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", DENSE_ACTIVATIONS)
@pytest.mark.parametrize("base", [nn.Linear(7, 9), nn.LayerNorm(9)], ids=["linear", "norm"])
def test_every_activation_is_its_formula(base, activation):
    class OneLayer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = copy.deepcopy(base)

        def forward(self, x):
            return self.layer(x)

    plain = OneLayer().double()
    model = adapted(
        copy.deepcopy(plain), target_modules=["layer"], activation=activation, modules_to_save=None
    )
    x = torch.randn(5, 3, 7 if isinstance(base, nn.Linear) else 9, dtype=torch.float64)
    weights = adapter_weights(model)
    if isinstance(base, nn.Linear):
        h = plain(x)
        expected = h + change(weights, "layer", h, activation)
    else:
        expected = plain(x + change(weights, "layer", plain(x), activation))
    torch.testing.assert_close(model(x), expected, rtol=1e-12, atol=1e-12)


# --- the start, and what trains ------------------------------------------------------------------


def test_the_start_is_near_the_pretrained_model_as_the_paper_draws_it():
    """Normal, standard deviation 0.01, cut off at two of them; biases zero."""
    torch.manual_seed(5)
    model = get_peft_model(bert(), config(r=200, **HOULSBY))
    weights = adapter_weights(model)
    drawn = torch.cat([w.detach().flatten() for n, w in weights.items() if n.endswith("weight")])
    assert drawn.abs().max() <= 0.02
    assert drawn.std().item() == pytest.approx(truncnorm(-2, 2, scale=0.01).std(), rel=0.02)
    assert abs(drawn.mean().item()) < 4e-5
    assert all(not w.any() for name, w in weights.items() if name.endswith("bias"))
    for place in PLACES.values():
        pretrained = logits(bert())
        near = logits(get_peft_model(bert(), config(**place)))
        assert 0 < (near - pretrained).abs().max() < 0.02 * pretrained.abs().max()


def test_the_norms_train_where_that_is_asked_for():
    for place, norms in (("houlsby", 7), ("pfeiffer", 0)):
        model = get_peft_model(bert(), config(**PLACES[place]))
        trains = {name for name, p in model.named_parameters() if p.requires_grad}
        modules = {name.removesuffix(".weight").removesuffix(".bias") for name in trains}
        # embeddings' norm, and two a layer
        assert sum(name.endswith("LayerNorm.modules_to_save.default") for name in modules) == norms
        rest = {name for name in modules if "LayerNorm.modules_to_save" not in name}
        assert {name.split(".")[-2] for name in rest} == {
            "bottleneck_down", "bottleneck_up", "modules_to_save",
        }  # fmt: skip
        assert len(rest) == (12 if place == "houlsby" else 6) + 2


def test_dropout_comes_after_an_adapter_at_a_linear_layer():
    """As the module's notes say: with everything dropped, neither it nor its adapter is left."""
    model = adapted(bert(), **HOULSBY)
    layer = model.base_model.model.bert.encoder.layer[0].output
    layer.train()
    layer.dropout.p = 1.0
    h, x = torch.randn(2, 3, 48), torch.randn(2, 3, 32)
    torch.testing.assert_close(layer(h, x), layer.LayerNorm(x))


# --- in PEFT -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_saved_adapter_gives_the_same_bits_in_another_process(place, tmp_path):
    model = adapted(stock_and_fast(bert())[1], **PLACES[place])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "modules_to_save" in name:  # head and norms: a file without them would show
                parameter += 0.1
    model.save_pretrained(tmp_path)
    found = logits_in_a_new_process("wsa.tuners.bottleneck_adapter", "bert", tmp_path)
    assert torch.equal(found, logits(model))


def test_it_can_be_switched_off_and_taken_out_but_not_merged():
    pretrained = logits(bert())
    model = adapted(bert(), **PFEIFFER)
    before = logits(model)
    with model.disable_adapter():
        assert torch.equal(logits(model), pretrained)
    for merge in (model.merge_adapter, model.merge_and_unload):
        with pytest.raises(ValueError, match="no change of a weight"):
            merge()
    assert torch.equal(logits(model), before)
    plain = model.unload()
    assert not any(isinstance(m, BottleneckAdapterLayer) for m in plain.modules())
    assert torch.equal(logits(plain), pretrained)


def test_several_adapters_follow_one_another():
    plain = nn.Sequential(nn.Linear(7, 9)).double()
    x = torch.randn(5, 7, dtype=torch.float64)
    h = plain(x).detach()
    parts = {"target_modules": ["0"], "modules_to_save": None}
    model = get_peft_model(plain, config(**parts), adapter_name="first")
    model.add_adapter("second", config(**parts, r=3))
    far_from_start(model, "bottleneck_")
    weights = {
        name: {n.replace(f".{name}", ""): w for n, w in adapter_weights(model).items() if name in n}
        for name in ("first", "second")
    }
    first = h + change(weights["first"], "0", h, "gelu")
    torch.testing.assert_close(model(x), first, rtol=1e-12, atol=1e-12)
    model.base_model.set_adapter(["first", "second"])
    both = first + change(weights["second"], "0", first, "gelu")
    torch.testing.assert_close(model(x), both, rtol=1e-12, atol=1e-12)
    model.set_adapter("second")
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trains) == 4 and all("second" in name for name in trains)
    model.delete_adapter("first")
    second = h + change(weights["second"], "0", h, "gelu")
    torch.testing.assert_close(model(x), second, rtol=1e-12, atol=1e-12)


def test_in_half_precision_the_adapter_stays_in_float32():
    model = get_peft_model(bert().to(torch.bfloat16), config(**PFEIFFER))
    assert {w.dtype for w in adapter_weights(model).values()} == {torch.float32}
    assert logits(model).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ({"r": 0}, "r should be a whole number"),
        ({"activation": "glu"}, "activation should be one of gelu, relu, silu, tanh, not 'glu'"),
        ({"init_std": 0.0}, "init_std should be above 0"),
        ({"target_modules": ["word_embeddings"]}, "is a Embedding; bottleneck adapters take"),
        ({"target_modules": FEED_FORWARD_NORM, "train_norms": True}, "and train_norms trains all"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_has_no_meaning_is_refused_in_words(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        get_peft_model(bert(), config(**({"target_modules": ["output.dense"]} | arguments)))


def test_norms_that_are_not_there_cannot_train():
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(ValueError, match="no module called LayerNorm"):
        get_peft_model(model, BottleneckAdapterConfig(target_modules=["0"], train_norms=True))


def test_the_number_of_parameters_is_the_paper_s():
    """Section 2.1: 2 m d + d + m an adapter of size m on width d."""
    model = get_peft_model(bert(), config(r=5, **HOULSBY))
    counted = sum(weight.numel() for weight in adapter_weights(model).values())
    assert counted == 2 * 3 * (2 * 5 * 32 + 32 + 5)
