"""Directions of the whole spectrum and random ones, against torch's own decomposition."""

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.errors import InputError

OUT, IN, R = 11, 7, 4


class OneLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(IN, OUT)

    def forward(self, x):
        return self.linear(x)


def adapted(config):
    torch.manual_seed(0)
    model = get_peft_model(OneLayer().double(), config)
    return model, model.base_model.model.linear


def spectral(**changes) -> SpectralConfig:
    return SpectralConfig(target_modules=["linear"], **({"r": R} | changes))


@pytest.mark.parametrize("r, places", [(4, [0, 2, 4, 6]), (3, [0, 3, 6]), (1, [0]), (7, range(7))])
@pytest.mark.parametrize("scale", ["singular_value", 1.0, 0.5])
@pytest.mark.parametrize("cached", [False, True])
def test_spread_directions_are_those_of_the_whole_decomposition(r, places, scale, cached, tmp_path):
    folder = str(tmp_path) if cached else None
    config = spectral(r=r, directions="spread", scale=scale, factor_cache=folder, factor_rank=2)
    model, layer = adapted(config)
    W = layer.base_layer.weight.detach()
    left, sigma, right = torch.linalg.svd(W, full_matrices=False)
    with torch.no_grad():
        for parameter in (layer.spectral_A_U["default"], layer.spectral_A_V["default"]):
            parameter.copy_(torch.randn_like(parameter))
    expected = W.clone()
    for i, place in enumerate(places):
        u, v = left[:, place], right[place]
        if u[u.abs().argmax()] < 0:
            u, v = -u, -v
        s = sigma[place] if scale == "singular_value" else scale
        a, b = layer.spectral_A_U["default"][:, i], layer.spectral_A_V["default"][i]
        expected += s * (torch.outer(u + a, v + b) - torch.outer(u, v))
    found = W + layer.get_delta_weight("default")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert bool(list(tmp_path.glob("*.safetensors"))) == cached


@pytest.mark.parametrize("directions", ["leading", "spread", "random"])
def test_the_start_is_the_pretrained_model_to_the_last_bit(directions):
    model, layer = adapted(spectral(directions=directions, scale=1.0))
    x = torch.randn(5, IN, dtype=torch.float64)
    assert torch.equal(model(x), layer.base_layer(x))


def test_leading_directions_do_not_depend_on_who_else_wants_the_spectrum(tmp_path):
    leading = spectral(factor_cache=str(tmp_path), factor_rank=5)
    _, alone = adapted(leading)
    adapted(spectral(directions="spread", scale=1.0, factor_cache=str(tmp_path)))
    _, beside = adapted(leading)
    assert alone.factor_keys == beside.factor_keys
    assert torch.equal(alone.spectral_U["default"], beside.spectral_U["default"])


def test_random_directions_are_orthonormal_and_of_their_seed_alone():
    layers = [
        adapted(spectral(directions="random", scale=1.0, basis_seed=seed))[1] for seed in (1, 1, 2)
    ]
    U, V = (getattr(layers[0], f"spectral_{side}")["default"] for side in "UV")
    np.testing.assert_allclose(U.T @ U, np.eye(R), atol=1e-12)
    np.testing.assert_allclose(V @ V.T, np.eye(R), atol=1e-12)
    again, other = (layer.spectral_U["default"] for layer in layers[1:])
    assert torch.equal(U, again) and not torch.allclose(U, other)


def test_a_saved_adapter_brings_its_directions(tmp_path):
    model, layer = adapted(spectral(directions="random", scale=2.0, basis_seed=5))
    with torch.no_grad():
        layer.spectral_A_U["default"].normal_()
    model.save_pretrained(str(tmp_path))
    torch.manual_seed(0)
    loaded = PeftModel.from_pretrained(OneLayer().double(), str(tmp_path))
    x = torch.randn(5, IN, dtype=torch.float64)
    torch.testing.assert_close(loaded(x), model(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"directions": "trailing"}, "directions should be one of"),
        ({"scale": 0}, "scale should be 'singular_value' or a number above 0"),
        ({"scale": "sigma"}, "scale should be"),
        ({"directions": "random"}, "random directions have no singular values"),
    ],
)
def test_what_has_no_meaning_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        spectral(**changes)


@pytest.mark.parametrize("directions", ["leading", "spread", "random"])
def test_more_directions_than_there_are_is_refused(directions):
    with pytest.raises(InputError, match="rank 8 does not fit"):
        adapted(spectral(r=8, directions=directions, scale=1.0))


def test_gates_go_with_any_directions():
    config = WSAConfig(r=R, target_modules=["linear"], directions="spread", scale=1.0)
    _, layer = adapted(config)
    assert layer.gates("default").tolist() == [1.0] * R
