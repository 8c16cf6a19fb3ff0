"""Directions chosen by sensitivity: the schedule, the scores and what is left, step by step."""

import warnings

import numpy as np
import pytest
import torch
import wsa
from peft import PeftModel, get_peft_model
from torch import nn
from wsa.adapters import WSAConfig

SIZES, R, STEPS = ((9, 6), (6, 8)), 5, 20  # (in, out) of two layers in a row


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(*SIZES[0]), nn.Linear(*SIZES[1])

    def forward(self, x, y=None):
        out = self.second(torch.tanh(self.first(x)))
        return Output(((out - y) ** 2).mean())


class Output:
    def __init__(self, loss):
        self.loss = loss


def config(**changes) -> WSAConfig:
    settings = {
        "r": R, "target_modules": ["first", "second"], "choose": "sensitivity", "target_rank": 2,
        "directions": "spread", "scale": 1.0, "total_steps": STEPS, "smoothing": 0.7,
    }  # fmt: skip
    return WSAConfig(**(settings | changes))


def batches(n: int = STEPS):
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        yield (torch.randn(16, 9, generator=generator, dtype=torch.float64),
               torch.randn(16, 8, generator=generator, dtype=torch.float64))  # fmt: skip


def train(model, told=True, optimizer=None):
    """Trains; yields after each step the gates' gradients and what the gates are then."""
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step, (x, y) in enumerate(batches()):
        model.train()(x, y).loss.backward()
        layers = model.base_model.spectral_layers().values()
        gradients = [layer.spectral_gate["default"].grad.clone() for layer in layers]
        optimizer.step()
        if told:
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        yield gradients, [layer.gates("default").detach().clone() for layer in layers]


def test_scores_and_budget_are_those_of_the_formulas():
    """Against the formulas in numpy, direction by direction, from the gradients as they came."""
    model = get_peft_model(TwoLayers().double(), config())
    gates = np.ones((2, R))
    mean, unsure = np.zeros((2, R)), np.zeros((2, R))
    ranks = []
    for t, (gradients, found) in enumerate(train(model), start=1):
        sensitivity = np.abs(gates * np.stack(gradients))
        mean = 0.7 * mean + 0.3 * sensitivity
        unsure = 0.7 * unsure + 0.3 * np.abs(sensitivity - mean)
        z = min(max((t / STEPS - 0.1) / 0.4, 0), 1)
        budget = round(2 * 2 + (2 * R - 2 * 2) * (1 - z) ** 3)
        score = (mean * unsure).ravel()
        alive = [i for i in range(2 * R) if gates.flat[i]]
        keep = sorted(alive, key=lambda i: (-score[i], i))[:budget]
        gates = np.array([float(i in keep) for i in range(2 * R)]).reshape(2, R)
        np.testing.assert_array_equal(np.stack(found), gates)
        ranks.append(int(gates.sum()))
    assert ranks[1] == 2 * R and ranks[9:] == [4] * 11 and ranks == sorted(ranks, reverse=True)


def test_the_gradient_of_a_gate_is_that_of_the_dense_formula():
    model = get_peft_model(TwoLayers().double(), config())
    layers = list(model.base_model.spectral_layers().values())
    with torch.no_grad():
        for layer in layers:
            layer.spectral_A_U["default"].normal_()
            layer.spectral_A_V["default"].normal_()
    x, y = next(batches(1))
    gates = [torch.ones(R, dtype=torch.float64, requires_grad=True) for _ in layers]
    hidden = x
    for layer, gate, squash in zip(layers, gates, (torch.tanh, lambda h: h), strict=True):
        U, V = (layer.parts("default")[f"spectral_{side}"] for side in "UV")
        A, B = (layer.parts("default")[f"spectral_A_{side}"].detach() for side in "UV")
        weight = layer.base_layer.weight.detach().clone()
        for i in range(R):
            moved = torch.outer(U[:, i] + A[:, i], V[i] + B[i])
            weight = weight + gate[i] * (moved - torch.outer(U[:, i], V[i]))
        hidden = squash(hidden @ weight.T + layer.base_layer.bias)
    ((hidden - y) ** 2).mean().backward()
    model.train()(x, y).loss.backward()
    for layer, gate in zip(layers, gates, strict=True):
        found = layer.spectral_gate["default"].grad
        torch.testing.assert_close(found, gate.grad, rtol=1e-10, atol=1e-10)


def test_nothing_is_shrunk_and_pruning_takes_nothing_away(tmp_path):
    model = get_peft_model(TwoLayers().double(), config(l1=100.0))
    for _ in train(model):
        pass
    assert model.base_model.penalty() is None
    x, y = next(batches(1))
    before = model.eval()(x, y).loss.item()
    pruned = wsa.prune(model)
    assert sum(pruned.effective.values()) == 4 and pruned.initial == {"first": R, "second": R}
    assert model(x, y).loss.item() == pytest.approx(before, rel=1e-12)
    model.save_pretrained(str(tmp_path))
    again = PeftModel.from_pretrained(TwoLayers().double(), str(tmp_path)).eval()
    assert again(x, y).loss.item() == pytest.approx(before, rel=1e-5)
    assert wsa.effective_rank(again) == pruned.effective


def test_a_gate_stays_what_it_is_whatever_the_optimizer_does():
    model = get_peft_model(TwoLayers().double(), config())
    for _, gates in train(model, optimizer=torch.optim.SGD(model.parameters(), 0.3, 0.9)):
        assert set(torch.cat(gates).tolist()) <= {0.0, 1.0}


def test_who_forgets_the_hook_is_told():
    model = get_peft_model(TwoLayers().double(), config())
    with pytest.warns(UserWarning, match="update_and_allocate"):
        list(train(model, told=False))
    with pytest.warns(UserWarning, match="5.00 directions a module are left, not 2"):
        wsa.prune(model, 0.0)
    told = get_peft_model(TwoLayers().double(), config())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(train(told))
        wsa.prune(told)


def test_the_hook_wants_gradients_and_the_number_of_steps():
    model = get_peft_model(TwoLayers().double(), config(total_steps=None))
    with pytest.raises(ValueError, match="total_steps"):
        model.base_model.update_and_allocate(0)
    model = get_peft_model(TwoLayers().double(), config())
    with pytest.raises(ValueError, match="have no gradient"):
        model.base_model.update_and_allocate(0)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"target_rank": None}, "target_rank should be above 0"),
        ({"target_rank": 6}, "at most r = 5"),
        ({"gate": "product"}, "chosen by gate 'direction'"),
        ({"start": 0.5}, "start < end"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"choose": "magnitude"}, "choose should be"),
        ({"choose": None}, "target_rank is for choose"),
    ],
)
def test_what_has_no_meaning_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        config(**changes)
