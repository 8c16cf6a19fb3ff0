"""A', B' of all layers of one shape at once: the numbers of layer by layer in fewer operators."""

import pytest
import torch
from benchmarks.attention import CountOperators
from peft import get_peft_model
from torch import nn
from wsa.adapters import SpectralConfig, WSAConfig

TARGETS = {"r": 3, "target_modules": ["a", "b", "c", "other"]}
ROWS = {
    "spectral_a": SpectralConfig(**TARGETS),
    "wsa": WSAConfig(**TARGETS, gate="singular_value"),
    "wsa_product": WSAConfig(**TARGETS, gate="product"),
    "wsa_direction": WSAConfig(**TARGETS, gate="direction"),
}


class FourLayers(nn.Module):
    """Three layers of one shape and one of another."""

    gradient_checkpointing = False

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(8, 8) for _ in range(3))
        self.other = nn.Linear(8, 5)

    def forward(self, x):
        if x is None:
            raise ValueError("no input")
        return self.other(self.c(self.b(self.a(x))))


def adapted(config):
    """The tuned model in float64, far from its start."""
    torch.manual_seed(0)
    model = get_peft_model(FourLayers().double(), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter))
    return model


def outcome(run, model, x):
    model.zero_grad()
    output = run(x)
    output.square().sum().backward()
    return output.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("pruned", [False, True])
def test_values_and_gradients_are_those_of_every_layer_alone(row, pruned):
    model = adapted(ROWS[row])
    inside, x = model.base_model.model, torch.randn(6, 8, dtype=torch.float64)
    if pruned:  # two layers at another rank, one without a direction
        inside.a.keep("default", torch.tensor([True, False, True]))
        inside.c.keep("default", torch.tensor([False, True, True]))
        inside.b.keep("default", torch.zeros(3, dtype=torch.bool))
    values, gradients = outcome(model, model, x)
    # not through the model's hooks
    expected, others = outcome(inside.forward, model, x)
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_it_takes_fewer_operators():
    model = adapted(ROWS["wsa"])
    x, counts = torch.randn(6, 8, dtype=torch.float64), []
    for run in (model, model.base_model.model.forward):
        with CountOperators() as counter:
            outcome(run, model, x)
        counts.append(counter.count)
    assert counts[0] < 0.75 * counts[1]


def test_nothing_is_kept_after_a_forward():
    model = adapted(ROWS["wsa"])
    inside = model.base_model.model
    seen = []
    inside.b.register_forward_hook(lambda layer, *_: seen.append(list(layer.prepared)))
    model(torch.randn(2, 8, dtype=torch.float64))
    assert seen == [["default"]]
    assert not any(layer.prepared for layer in (inside.a, inside.b, inside.c, inside.other))
    with pytest.raises(ValueError, match="no input"):
        model(None)
    assert not inside.a.prepared
    with model.disable_adapter():
        model(torch.randn(2, 8, dtype=torch.float64))
    # what runs again on the way back makes its own
    inside.gradient_checkpointing = True
    model(torch.randn(2, 8, dtype=torch.float64))
    assert seen == [["default"], [], []]


def test_what_is_unloaded_has_no_hooks_left():
    model = adapted(ROWS["wsa"]).merge_and_unload()
    assert not model._forward_hooks and not model._forward_pre_hooks
