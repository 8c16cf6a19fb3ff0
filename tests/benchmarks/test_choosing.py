"""The ideas of `benchmarks.choosing` compute what they say."""

import json

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.helpers.project import METHODS, edit_yaml, make_project, prepare
from torch import nn
from wsa.adapters import SpectralConfig, WSAConfig

from benchmarks import choosing


def test_norm_of_what_a_direction_has_changed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 20)).double()
    model = get_peft_model(model, SpectralConfig(r=4, target_modules=["0"]))
    layer = model.base_model.spectral_layers()["0"]
    U, S, V, A_U, A_V = (
        layer.parts("default")[f"spectral_{n}"].detach() for n in ("U", "S", "V", "A_U", "A_V")
    )
    assert not choosing.changed_norms(layer).any()
    A_U.normal_(), A_V.normal_()
    for i, norm in enumerate(choosing.changed_norms(layer)):
        before = S[i] * torch.outer(U[:, i], V[i])
        after = S[i] * torch.outer(U[:, i] + A_U[:, i], V[i] + A_V[i])
        torch.testing.assert_close(norm, torch.linalg.matrix_norm(after - before))


def test_a_riemannian_step_does_not_depend_on_how_the_product_is_written():
    torch.manual_seed(0)
    B, A, M = (torch.randn(*shape, dtype=torch.float64) for shape in ((9, 3), (3, 7), (3, 3)))
    G = torch.randn(9, 7, dtype=torch.float64)

    def change(B, A):
        of_B, of_A = choosing.precondition(B, A, G @ A.T, B.T @ G, damping=0.0)
        return of_B @ A + B @ of_A

    torch.testing.assert_close(change(B, A), change(B @ M, torch.linalg.inv(M) @ A))
    # it is the gradient, seen by the columns and the rows that the product has
    onto_B, onto_A = B @ torch.linalg.pinv(B), torch.linalg.pinv(A) @ A
    torch.testing.assert_close(change(B, A), G @ onto_A + onto_B @ G)


@pytest.mark.parametrize("kind", ["lora", "spectral"])
def test_a_riemannian_loop_changes_the_gradients_of_both_factors(kind):
    torch.manual_seed(0)
    config = {"target_modules": ["0"], "r": 3}
    config = LoraConfig(**config) if kind == "lora" else SpectralConfig(scale=1.0, **config)
    model = get_peft_model(nn.Sequential(nn.Linear(7, 9)).double(), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter)
    model(torch.randn(5, 7, dtype=torch.float64)).square().sum().backward()
    factors = {
        name: p for name, p in model.named_parameters() if p.requires_grad
    }  # lora_A (3, 7) and lora_B (9, 3), or A_U (9, 3) and A_V (3, 7)
    B, A = sorted(factors.values(), key=lambda p: -p.shape[0])
    start = (0, 0)
    if kind == "spectral":
        parts = model.base_model.spectral_layers()["0"].parts("default")
        start = parts["spectral_U"], parts["spectral_V"]
    whole_B, whole_A = ((s + p).detach() for s, p in zip(start, (B, A), strict=True))
    damped = choosing.Riemannian.damping * torch.eye(3, dtype=torch.float64)
    wanted = (
        B.grad @ torch.linalg.inv(whole_A @ whole_A.T + damped),
        torch.linalg.inv(whole_B.T @ whole_B + damped) @ A.grad,
    )
    loop = choosing.Riemannian.__new__(choosing.Riemannian)
    loop.model = model
    loop.before_step()
    torch.testing.assert_close((B.grad, A.grad), wanted)


def test_directions_by_score_a_parameter_as_many_as_the_budget_pays_for():
    rng = np.random.default_rng(0)
    costs, budget, steps = {"narrow": 10, "wide": 25}, 100, 20
    config = WSAConfig(choose="sensitivity", r=6, target_rank=3, total_steps=steps)
    allocator = choosing.ByParameters(config, costs, budget)
    gates = {name: nn.Parameter(torch.ones(6)) for name in costs}
    spent = []
    for done in range(1, steps + 1):
        before = {name: gate.detach().numpy().copy() for name, gate in gates.items()}
        for gate in gates.values():
            gate.grad = torch.from_numpy(rng.normal(size=6).astype(np.float32))
        allocator.update(gates, done)
        kept = {name: gate.detach().numpy() for name, gate in gates.items()}
        assert all((kept[name] <= before[name]).all() for name in costs)  # none comes back
        spent.append(sum(costs[name] * int(kept[name].sum()) for name in costs))
    assert spent[0] == 6 * 35 and spent == sorted(spent, reverse=True)
    assert budget - max(costs.values()) < spent[-1] <= budget


@pytest.fixture
def runs(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project", methods=["lora"])
    spread = {"r": 4, "directions": "spread", "scale": 1.0}
    adapters = {
        "spectral_spread": {"peft_type": "SPECTRAL", **spread},
        "wsa_direction": {"peft_type": "WSA", "r": 4, "gate": "direction", "l1": 5e-4},
        "wsa_budget": {"peft_type": "WSA", **spread, "choose": "sensitivity", "target_rank": 2},
    }
    methods = {"lora": METHODS["lora"]} | {
        name: {"title": name, "adapter": adapter, "learning_rate": 5e-3}
        for name, adapter in adapters.items()
    }
    methods["wsa_direction"]["gate_reach"] = 3.0
    edit_yaml(folder / "config/suites/tiny.yaml", methods=methods)
    monkeypatch.chdir(folder)
    suite, _ = prepare(folder)
    return choosing.Runs(suite, 12, 2.0, tmp_path / "runs.jsonl")


def test_without_strength_all_ways_to_shrink_are_one_training(runs):
    def made(kind, strength):
        row = choosing.gates_of(kind, "way", strength)
        return runs.make(row, row.trials[0], 0, True)

    plain = made(choosing.Way, 0.0)
    for kind in (choosing.Contribution, choosing.Refit, choosing.Adaptive):
        assert made(kind, 0.0)["as trained"] == plain["as trained"]
    assert plain["rank"] == 2 < plain["effective rank"] <= 4
    # nothing resists a step of ten times a gate's own
    assert made(choosing.Refit, 10.0)["effective rank"] == 0


def test_the_whole_table_goes_on_where_it_was(runs, tmp_path, monkeypatch):
    # the four of the product, a refit and the two of six modules
    monkeypatch.setattr(
        choosing, "ROWS", (*choosing.ROWS[:4], choosing.ROWS[6], *choosing.ROWS[-2:])
    )
    arguments = [
        "--suite=tiny", "--seeds", "0", "1", "--held-out=12", "--rank=2", "--margin=100",
        "--out", str(tmp_path),
    ]  # fmt: skip
    rows = choosing.main(arguments)
    assert {row["n"] for row in rows} == {2}
    lines = (tmp_path / "choosing_runs.jsonl").read_text()
    assert len(lines.splitlines()) == 2 * len(rows) + sum(len(row["trials"]) for row in rows)
    monkeypatch.setattr(choosing.Runs, "make", None)
    assert choosing.main(arguments) == rows
    assert (tmp_path / "choosing_runs.jsonl").read_text() == lines
    written = json.loads((tmp_path / "choosing.json").read_text())["rows"]
    assert [row["pruned"] for row in written] == [row["pruned"] for row in rows]
    assert "minus choose" in rows[0] and "minus choose" not in rows[1]
    assert "| choose, six modules " in (tmp_path / "choosing.md").read_text()
