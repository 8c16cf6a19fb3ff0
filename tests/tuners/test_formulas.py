"""Every tuner that starts from singular triplets, against its dense formula in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.nn import functional as F
from wsa.errors import InputError
from wsa.tuners.lora_xs import LoRAXSConfig
from wsa.tuners.milora import MiLoRAConfig
from wsa.tuners.spectral_r import SpectralRConfig
from wsa.tuners.svdiff import SVDiffConfig
from wsa.tuners.svft import SVFTConfig
from wsa.tuners.vectorfit import VectorFitConfig

TARGET = {"target_modules": ["linear"]}
SHAPES = [(11, 7), (7, 11), (8, 8)]  # out, in


class OneLayer(nn.Module):
    def __init__(self, out: int, inner: int, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(inner, out, bias=bias)

    def forward(self, x):
        return self.linear(x)


# --- the formulas as they are written down ---


def triplets(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U, σ, Vᵀ by numpy; the largest entry of every column of U is positive."""
    U, sigma, V = np.linalg.svd(W.detach().numpy(), full_matrices=False)
    signs = np.sign([column[np.abs(column).argmax()] for column in U.T])
    return tuple(map(torch.from_numpy, (U * signs, sigma, V * signs[:, None])))


def svft(W, b, t, config):
    """W + U M Vᵀ, Mᵢⱼ for |i − j| ≤ d; the diagonals from the lowest, each from the top."""
    U, sigma, V = triplets(W)
    n, d = len(sigma), config.off_diagonals
    places = [(j - o, j) for o in range(-d, d + 1) for j in range(n) if 0 <= j - o < n]
    rows, columns = map(torch.tensor, zip(*places, strict=True))
    M = torch.zeros(n, n, dtype=W.dtype).index_put((rows, columns), t["svft_M"])
    return W + U @ M @ V, b


def lora_xs(W, b, t, config):
    """For row vectors, x W + s x A R B with A = U_r Σ_r, B = V_rᵀ of that W, which is (in, out)."""
    r, scaling = config.r, config.lora_alpha / config.r
    left, sigma, right = triplets(W)  # of (out, in): turned round, the sides change places
    A, B = right[:r].T * sigma[:r], left[:, :r].T
    return W + scaling * (A @ t["lora_xs_R"].T @ B).T, b


def svdiff(W, b, t, config):
    """U diag(ReLU(σ + δ)) Vᵀ."""
    U, sigma, V = triplets(W)
    return U @ torch.diag(torch.relu(sigma + t["svdiff_delta"])) @ V, b


def spectral_r(W, b, t, config):
    """[U₁ R_U, U₂] S [V₁ R_V, V₂]ᵀ with R = (I − Q)(I + Q)⁻¹, Q = (A − Aᵀ) / 2."""
    U, sigma, V = triplets(W)
    r, eye = config.r, torch.eye(config.r, dtype=W.dtype)
    skew = [(A - A.T) / 2 for A in (t["spectral_r_A_U"], t["spectral_r_A_V"])]
    R_U, R_V = ((eye - Q) @ torch.linalg.inv(eye + Q) for Q in skew)
    left = torch.cat([U[:, :r] @ R_U, U[:, r:]], 1)
    right = torch.cat([V[:r].T @ R_V, V[r:].T], 1)
    return left @ torch.diag(sigma) @ right.T, b


SCALINGS = {None: 1, 6: 2}  # of rank 3, by α


def milora(W, b, t, config):
    """The principal part of the weight, and s B A in place of the minor part."""
    U, sigma, V = triplets(W)
    k = len(sigma) - config.r
    principal = U[:, :k] @ torch.diag(sigma[:k]) @ V[:k]
    return principal + SCALINGS[config.lora_alpha] * t["milora_B"] @ t["milora_A"], b


def vectorfit(W, b, t, config):
    """U (Σ + ΔΣ) Vᵀ and b + Δb."""
    U, sigma, V = triplets(W)
    weight = U @ torch.diag(sigma + t["vectorfit_sigma"]) @ V
    return weight, None if b is None else b + t["vectorfit_bias"]


CASES = {
    "svft": (SVFTConfig(**TARGET), svft),
    "svft_banded": (SVFTConfig(**TARGET, off_diagonals=2), svft),
    "lora_xs": (LoRAXSConfig(**TARGET, r=3, lora_alpha=6), lora_xs),
    "svdiff": (SVDiffConfig(**TARGET), svdiff),
    "spectral_r": (SpectralRConfig(**TARGET, r=3), spectral_r),
    "milora": (MiLoRAConfig(**TARGET, r=3), milora),
    "milora_scaled": (MiLoRAConfig(**TARGET, r=3, lora_alpha=6), milora),
    "vectorfit": (VectorFitConfig(**TARGET), vectorfit),
}

# numbers that train in a module, by the papers' formulas; n = min(out, in)
COUNTS = {
    "svft": lambda out, inner: min(out, inner),
    "svft_banded": lambda out, inner: 5 * min(out, inner) - 6,
    "lora_xs": lambda out, inner: 3 * 3,
    "svdiff": lambda out, inner: min(out, inner),
    "spectral_r": lambda out, inner: 2 * 3 * 3,
    "milora": lambda out, inner: 3 * (out + inner),
    "milora_scaled": lambda out, inner: 3 * (out + inner),
    "vectorfit": lambda out, inner: min(out, inner) + out,
}

# how far from the pretrained model a method begins; the others do so to the bit
NEARLY = {"lora_xs": 1e-4}


def trained(layer) -> dict[str, nn.Parameter]:
    held = {name: getattr(layer, name) for name in layer.adapter_layer_names}
    return {name: tensors["default"] for name, tensors in held.items() if "default" in tensors}


def adapted(case: str, shape, bias: bool = True, spread: float = 1.0):
    """A one-layer model in float64 with what trains far from its start."""
    torch.manual_seed(0)
    model = get_peft_model(OneLayer(*shape, bias).double(), CASES[case][0])
    layer = model.base_model.model.linear
    with torch.no_grad():
        for parameter in trained(layer).values():
            parameter.add_(spread * torch.randn_like(parameter))
    return model, layer


def dense(case: str, layer, values):
    config, formula = CASES[case]
    W, b = layer.base_layer.weight.detach().clone(), layer.base_layer.bias
    return formula(W, None if b is None else b.detach().clone(), values, config)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_dense_formula(case, shape, bias):
    model, layer = adapted(case, shape, bias)
    x = torch.randn(5, 3, shape[1], dtype=torch.float64, requires_grad=True)
    direction = torch.randn(5, 3, shape[0], dtype=torch.float64)
    y, parameters = model(x), trained(layer)
    gradients = torch.autograd.grad((y * direction).sum(), [x, *parameters.values()])

    copies = {name: value.detach().clone().requires_grad_() for name, value in parameters.items()}
    x2 = x.detach().clone().requires_grad_()
    expected = F.linear(x2, *dense(case, layer, copies))
    wanted = torch.autograd.grad((expected * direction).sum(), [x2, *copies.values()])
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    for found, right in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_merging_gives_the_dense_weight_and_unmerging_the_old_one(case, shape):
    model, layer = adapted(case, shape)
    base = layer.base_layer
    before = base.weight.detach().clone(), base.bias.detach().clone()
    weight, bias = dense(case, layer, trained(layer))
    x = torch.randn(5, shape[1], dtype=torch.float64)
    y = model(x)
    model.merge_adapter()
    torch.testing.assert_close(base.weight.data, weight.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(base.bias.data, bias.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model(x), y, rtol=1e-10, atol=1e-10)
    model.unmerge_adapter()
    torch.testing.assert_close(base.weight.data, before[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(base.bias.data, before[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_an_untrained_adapter_is_the_pretrained_model(case, dtype):
    torch.manual_seed(0)
    base = OneLayer(11, 7).to(dtype)
    x = torch.randn(64, 7, dtype=dtype)
    expected = base(x)
    found = get_peft_model(base, CASES[case][0])(x)
    if case in NEARLY and dtype == torch.float32:
        assert 0 < (found - expected).abs().max() < NEARLY[case]
    elif case not in NEARLY:
        assert torch.equal(found, expected)


def test_a_singular_value_that_svdiff_takes_below_zero_is_zero_and_gets_no_gradient():
    model, layer = adapted("svdiff", (11, 7), spread=0.0)
    sigma, delta = layer.svdiff_S["default"], layer.svdiff_delta["default"]
    delta.data[2:4] = torch.tensor([-1.5 * sigma[2], -0.5 * sigma[3]])
    weight = layer.base_layer.weight + layer.get_delta_weight("default")
    found = np.linalg.svd(weight.detach().numpy(), compute_uv=False)
    wanted = sigma.clone()
    wanted[2], wanted[3] = 0, 0.5 * sigma[3]
    np.testing.assert_allclose(found, np.sort(wanted)[::-1], atol=1e-12)
    model(torch.randn(5, 7, dtype=torch.float64)).square().sum().backward()
    assert delta.grad[2] == 0 and (delta.grad[[0, 1, 3, 4, 5, 6]] != 0).all()


def test_spectral_r_keeps_every_singular_value_whatever_it_learned():
    model, layer = adapted("spectral_r", (11, 7), spread=3.0)
    before = np.linalg.svd(layer.base_layer.weight.detach().numpy())
    model.merge_adapter()
    after = np.linalg.svd(layer.base_layer.weight.detach().numpy())
    np.testing.assert_allclose(after.S, before.S, atol=1e-12)
    assert np.abs(np.abs(after.U[:, :3].T @ before.U[:, :3]) - np.eye(3)).max() > 0.1


@pytest.mark.parametrize("case", ["milora", "milora_scaled"])
def test_milora_begins_at_balanced_factors_of_the_minor_part(case):
    model, layer = adapted(case, (11, 7), spread=0.0)
    U, sigma, V = triplets(layer.base_layer.weight)
    A, B = layer.milora_A["default"], layer.milora_B["default"]
    scaling = SCALINGS[CASES[case][0].lora_alpha]
    minor = U[:, -3:] @ torch.diag(sigma[-3:]) @ V[-3:]
    torch.testing.assert_close(scaling * B @ A, minor, rtol=1e-10, atol=1e-10)
    spread = torch.diag(sigma[-3:] / scaling)
    torch.testing.assert_close(A @ A.T, spread, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(B.T @ B, spread, rtol=1e-10, atol=1e-10)


def test_lora_xs_starts_with_normal_entries_of_deviation_1e_5():
    model = get_peft_model(OneLayer(300, 200), LoRAXSConfig(**TARGET, r=200))
    R = model.base_model.model.linear.lora_xs_R["default"].detach()
    assert abs(R.mean()) < 2e-7 and R.std() == pytest.approx(1e-5, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_as_many_numbers_train_as_the_paper_says_and_no_others(case, shape):
    model, layer = adapted(case, shape)
    model(torch.randn(2, shape[1], dtype=torch.float64)).sum().backward()
    moving = {name: p.numel() for name, p in model.named_parameters() if p.grad is not None}
    assert set(moving) == {f"base_model.model.linear.{name}.default" for name in trained(layer)}
    assert sum(moving.values()) == COUNTS[case](*shape)


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (SVFTConfig, {"off_diagonals": -1}, "0 or more, not -1"),
        (SVFTConfig, {"off_diagonals": 1.5}, "0 or more, not 1.5"),
        (SVFTConfig, {"off_diagonals": 8}, "below 7, the singular values"),
        (MiLoRAConfig, {"lora_alpha": 0}, "above 0, not 0"),
        (LoRAXSConfig, {"r": 0}, "at least 1, not 0"),
        (LoRAXSConfig, {"r": 8}, "rank 8 does not fit linear"),
    ],
)
def test_an_impossible_argument_is_told(config, arguments, message):
    with pytest.raises((ValueError, InputError), match=message):
        get_peft_model(OneLayer(11, 7), config(**TARGET, **arguments))
