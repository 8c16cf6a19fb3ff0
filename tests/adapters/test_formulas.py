"""Every member of the family against its dense formula, direction by direction, in float64."""

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.nn import functional as F
from wsa.adapters import SpectralConfig, WSAConfig

OUT, IN, R = 11, 7, 4
ROWS = {
    "spectral_a": SpectralConfig(r=R, target_modules=["linear"]),
    "wsa": WSAConfig(r=R, target_modules=["linear"], gate="singular_value"),
    "wsa_printed": WSAConfig(
        r=R, target_modules=["linear"], gate="singular_value", subtract_base=False
    ),
    "wsa_product": WSAConfig(r=R, target_modules=["linear"], gate="product"),
    "wsa_direction": WSAConfig(r=R, target_modules=["linear"], gate="direction"),
}


class OneLayer(nn.Module):
    def __init__(self, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(IN, OUT, bias=bias)

    def forward(self, x):
        return self.linear(x)


def adapted(row: str, bias: bool = True):
    """A one-layer model in float64 with adapter and gates far from their start."""
    torch.manual_seed(0)
    model = get_peft_model(OneLayer(bias).double(), ROWS[row])
    layer = model.base_model.model.linear
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter))
    return model, layer


def dense_weight(row: str, W, A_U, A_V, gate, scale):
    """The effective weight as the method's definition writes it, one direction after the other."""
    left, sigma, right = torch.linalg.svd(W.detach(), full_matrices=False)
    weight = W.detach().clone()
    for i in range(R):
        u, s, v = left[:, i], sigma[i], right[i]
        if u[u.abs().argmax()] < 0:
            u, v = -u, -v
        before = s * torch.outer(u, v)
        moved = torch.outer(u + A_U[:, i], v + A_V[i])
        if row == "spectral_a":
            weight = weight - before + s * moved
        elif row == "wsa":
            weight = weight - before + s * (1 + torch.tanh(gate[i])) * moved
        elif row == "wsa_printed":
            weight = weight + s * (1 + torch.tanh(gate[i])) * moved
        elif row == "wsa_product":
            softsign = scale[i] / (1 + scale[i].abs())
            weight = weight - before + s * (1 + gate[i] * softsign) * moved
        elif row == "wsa_direction":
            weight = weight + gate[i] * (s * moved - before)
    return weight


def trained(layer) -> dict[str, torch.Tensor]:
    names = ("spectral_A_U", "spectral_A_V", "spectral_gate", "spectral_scale")
    found = {name: getattr(layer, name) for name in names}
    return {name: held["default"] for name, held in found.items() if "default" in held}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("row", ROWS)
def test_values_and_gradients_are_those_of_the_dense_formula(row, bias):
    model, layer = adapted(row, bias)
    x = torch.randn(5, 3, IN, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(5, 3, OUT, dtype=torch.float64)
    y = model(x)
    parameters = trained(layer)
    gradients = torch.autograd.grad((y * direction).sum(), [x, *parameters.values()])

    copies = {name: value.detach().clone().requires_grad_() for name, value in parameters.items()}
    x2 = x.detach().clone().requires_grad_()
    weight = dense_weight(
        row,
        layer.base_layer.weight,
        copies["spectral_A_U"],
        copies["spectral_A_V"],
        copies.get("spectral_gate"),
        copies.get("spectral_scale"),
    )
    expected = F.linear(x2, weight, layer.base_layer.bias)
    expected_gradients = torch.autograd.grad((expected * direction).sum(), [x2, *copies.values()])
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("row", ROWS)
def test_merging_gives_the_dense_weight_and_unmerging_the_old_one(row):
    model, layer = adapted(row)
    before = layer.base_layer.weight.detach().clone()
    parameters = trained(layer)
    expected = dense_weight(
        row,
        before,
        parameters["spectral_A_U"],
        parameters["spectral_A_V"],
        parameters.get("spectral_gate"),
        parameters.get("spectral_scale"),
    )
    model.merge_adapter()
    torch.testing.assert_close(layer.base_layer.weight, expected, rtol=1e-12, atol=1e-12)
    model.unmerge_adapter()
    torch.testing.assert_close(layer.base_layer.weight, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("row", [row for row in ROWS if row != "wsa_printed"])
def test_an_untrained_adapter_changes_no_bit(row, dtype):
    torch.manual_seed(0)
    base = OneLayer().to(dtype)
    x = torch.randn(64, IN, dtype=dtype)
    expected = base(x)
    assert torch.equal(get_peft_model(base, ROWS[row])(x), expected)


def test_the_printed_code_counts_the_leading_directions_twice():
    torch.manual_seed(0)
    base = OneLayer().double()
    W = base.linear.weight.detach().clone()
    model = get_peft_model(base, ROWS["wsa_printed"])
    left, sigma, right = torch.linalg.svd(W)
    twice = W + left[:, :R] * sigma[:R] @ right[:R]
    model.merge_adapter()
    torch.testing.assert_close(model.base_model.model.linear.base_layer.weight, twice)


@pytest.mark.parametrize("row", ROWS)
def test_only_the_adapter_gets_gradients(row):
    model, layer = adapted(row)
    model(torch.randn(2, IN, dtype=torch.float64)).sum().backward()
    moving = {name for name, p in model.named_parameters() if p.grad is not None}
    assert moving == {f"base_model.model.linear.{name}.default" for name in trained(layer)}


def test_the_penalty_is_the_weighted_sum_of_all_gates():
    gates = torch.tensor([0.5, -0.25, 0.0, 2.0], dtype=torch.float64)
    for row, value in (
        ("wsa", gates.tanh().abs().sum()),
        ("wsa_product", gates.abs().sum()),
        ("wsa_direction", gates.abs().sum()),
    ):
        model, layer = adapted(row)
        layer.spectral_gate["default"].data.copy_(gates)
        assert model.base_model.penalty().item() == pytest.approx(
            ROWS[row].l1 * value.item(), rel=1e-14
        )
    assert adapted("spectral_a")[0].base_model.penalty() is None
