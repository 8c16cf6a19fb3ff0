"""SoRA: its formula in float64, and its proximal step in numpy, in the loop and in Trainer."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import wsa
from peft import PeftModel, get_peft_model
from tests.helpers.project import make_project, prepare
from tests.helpers.tiny import make_tiny_bert
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.stages.session import Session
from wsa.suite.schema import Method
from wsa.tuners.sora import SoraConfig

OUT, IN, R, ALPHA = 11, 7, 4, 6.0
NAMES = ("sora_A", "sora_B", "sora_gate")


class OneLayer(nn.Module):
    def __init__(self, bias: bool = True):
        super().__init__()
        self.linear = nn.Linear(IN, OUT, bias=bias)

    def forward(self, x):
        return self.linear(x)


def adapted(bias: bool = True):
    """A one-layer model in float64, its adapter far from its start and one gate at 0."""
    torch.manual_seed(0)
    config = SoraConfig(r=R, lora_alpha=ALPHA, soft_threshold=0.01, target_modules=["linear"])
    model = get_peft_model(OneLayer(bias).double(), config)
    layer = model.base_model.model.linear
    with torch.no_grad():
        for name in NAMES:
            getattr(layer, name)["default"].normal_()
        layer.sora_gate["default"][1] = 0.0
    return model, layer


def dense_weight(W, A, B, gate):
    """W + (α/r) Σᵢ gᵢ bᵢ aᵢᵀ, one direction after the other."""
    weight = W
    for i in range(R):
        weight = weight + ALPHA / R * gate[i] * torch.outer(B[:, i], A[i])
    return weight


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_dense_formula(bias):
    model, layer = adapted(bias)
    x = torch.randn(5, 3, IN, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(5, 3, OUT, dtype=torch.float64)
    parameters = [getattr(layer, name)["default"] for name in NAMES]
    y = model(x)
    found = torch.autograd.grad((y * direction).sum(), [x, *parameters])
    x2, *copies = (t.detach().clone().requires_grad_() for t in (x, *parameters))
    weight = dense_weight(layer.base_layer.weight.detach(), *copies)
    expected = F.linear(x2, weight, layer.base_layer.bias)
    wanted = torch.autograd.grad((expected * direction).sum(), [x2, *copies])
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_merging_gives_the_dense_weight_and_unmerging_the_old_one():
    model, layer = adapted()
    before = layer.base_layer.weight.detach().clone()
    expected = dense_weight(before, *(getattr(layer, name)["default"] for name in NAMES))
    model.merge_adapter(safe_merge=True)
    torch.testing.assert_close(layer.base_layer.weight.data, expected, rtol=1e-12, atol=1e-12)
    model.unmerge_adapter()
    torch.testing.assert_close(layer.base_layer.weight.data, before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_untrained_adapter_changes_no_bit(dtype):
    base = OneLayer().to(dtype)
    x = torch.randn(64, IN, dtype=dtype)
    expected = base(x)
    model = get_peft_model(base, SoraConfig(target_modules=["linear"]))
    assert torch.equal(model(x), expected)


def test_a_direction_at_zero_counts_for_nothing():
    model, layer = adapted()
    assert model.base_model.effective_rank() == {"linear": R - 1}
    x = torch.randn(9, IN, dtype=torch.float64)
    before = model(x)
    with torch.no_grad():
        layer.sora_A["default"][1] = 1e6
        layer.sora_B["default"][:, 1] = 1e6
    torch.testing.assert_close(model(x), before, rtol=1e-12, atol=1e-12)


def test_a_second_adapter_is_thresholded_once_it_is_active():
    model, layer = adapted()
    second = SoraConfig(r=2, soft_threshold=0.5, target_modules=["linear"])
    model.add_adapter("second", second)
    gates = layer.sora_gate
    first, other = gates["default"].detach().clone(), gates["second"].detach().clone()
    model.base_model.update_and_allocate(0)
    torch.testing.assert_close(gates["default"].data, F.softshrink(first, 0.01))
    assert torch.equal(gates["second"].data, other)
    model.set_adapter("second")
    model.base_model.update_and_allocate(1)
    torch.testing.assert_close(gates["second"].data, F.softshrink(other, 0.5).to(other.dtype))
    assert model.base_model.effective_rank() == {"linear": int((other.abs() > 0.5).sum())}


# --- the proximal step ---


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(make_project(tmp_path_factory.mktemp("sora"), methods=["lora"]))


def loop_of(prepared, threshold: float, gate_rate: float | None = None, **protocol):
    suite, layout = prepared
    protocol = suite.protocol.model_copy(update=protocol)
    adapter = {"peft_type": "SORA", "r": R, "lora_alpha": ALPHA, "soft_threshold": threshold}
    adapter["gate_learning_rate"] = gate_rate
    method = Method(title="SoRA", adapter=adapter, learning_rate=2e-2)
    suite = suite.model_copy(update={"methods": {"sora": method}, "protocol": protocol})
    session = Session(suite, layout)
    model = session.attached(method, seed=0)
    table = TokenTable(session.training, session.device)
    return model, Loop(model, method, suite, 0, table, session.device)


def gates_of(model) -> dict[str, torch.Tensor]:
    return {n: p for n, p in model.named_parameters() if "sora_gate" in n}


@pytest.mark.parametrize("gate_rate", [None, 0.1])
def test_every_step_of_the_loop_is_adamw_without_decay_and_a_soft_threshold(
    prepared, tmp_path, monkeypatch, gate_rate
):
    """Against both in numpy, from the gradients as they came, with a rate that falls linearly."""
    threshold, (b1, b2), eps = 0.03, (0.9, 0.999), 1e-8
    model, loop = loop_of(prepared, threshold, gate_rate, weight_decay=0.5)
    gates, gradients = gates_of(model), []
    step = loop.optimizer.step

    def noted():
        gradients.append({n: p.grad.double().numpy().copy() for n, p in gates.items()})
        step()

    monkeypatch.setattr(loop.optimizer, "step", noted)
    g = {n: p.detach().double().numpy().copy() for n, p in gates.items()}
    m, v = ({n: np.zeros(R) for n in g} for _ in range(2))
    left = []
    steps = len(loop.batches)
    for t in range(1, steps + 1):
        loop.train_step(Checkpoints(tmp_path, {}, 1e9))
        rate = (gate_rate or 2e-2) * (steps - t + 1) / steps
        for n in g:
            m[n] = b1 * m[n] + (1 - b1) * gradients[-1][n]
            v[n] = b2 * v[n] + (1 - b2) * gradients[-1][n] ** 2
            moved = rate * (m[n] / (1 - b1**t)) / (np.sqrt(v[n] / (1 - b2**t)) + eps)
            g[n] = g[n] - moved
            g[n] = np.sign(g[n]) * np.maximum(np.abs(g[n]) - threshold, 0)
            np.testing.assert_allclose(gates[n].detach().numpy(), g[n], atol=2e-6)
            g[n] = gates[n].detach().double().numpy().copy()  # float32's, so that zeros are equal
        left.append(sum(int(np.count_nonzero(gate)) for gate in g.values()))
    assert 0 < left[-1] < 0.9 * R * len(g)
    assert sum(model.base_model.effective_rank().values()) == left[-1]


def test_without_a_threshold_every_direction_stays(prepared, tmp_path):
    model, loop = loop_of(prepared, 0.0)
    loop.run("sora", Checkpoints(tmp_path, {}, 1e9))
    assert set(model.base_model.effective_rank().values()) == {R}


def classifier(folder):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(
        make_tiny_bert(folder / "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )


def trained_by_trainer(folder, steps: int, callbacks: list, **arguments):
    """(model, gates before, their gradients then, gates after) of gradient descent of rate 1."""
    arguments = {"r": R, "soft_threshold": 0.5, "target_modules": ["query"]} | arguments
    config = SoraConfig(task_type="SEQ_CLS", **arguments)
    model = get_peft_model(classifier(folder), config)
    for name, parameter in model.named_parameters():
        if "sora_B" in name:
            parameter.data.normal_(std=0.1)
    gates = gates_of(model)
    ids = torch.randint(5, 60, (4, 9))
    data = [{"input_ids": row, "labels": torch.tensor(i % 2)} for i, row in enumerate(ids)]
    labels = torch.tensor([0, 1, 0, 1])
    loss = F.cross_entropy(model.eval()(input_ids=ids).logits, labels)
    slopes = torch.autograd.grad(loss, list(gates.values()))
    before = [gate.detach().clone() for gate in gates.values()]
    Trainer(
        model,
        TrainingArguments(
            str(folder), max_steps=steps, per_device_train_batch_size=4, max_grad_norm=0,
            lr_scheduler_type="constant", save_strategy="no", report_to="none", use_cpu=True,
        ),
        train_dataset=data,
        optimizers=(torch.optim.SGD(list(gates.values()), 1.0), None),
        callbacks=callbacks,
    ).train()  # fmt: skip
    return model, before, slopes, [gate.detach() for gate in gates.values()]


@pytest.mark.parametrize("gate_rate", [None, 0.3])
def test_trainer_takes_one_proximal_step_a_step_by_the_callback(gate_rate, tmp_path):
    """After a step of gradient descent, or of the gates' own AdamW, whose first is rate · sign."""
    own = {"gate_learning_rate": gate_rate, "total_steps": 2} if gate_rate else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="no gate is thresholded")
        _, *found = trained_by_trainer(tmp_path, 1, [wsa.ChooseDirections()], **own)
    zeros = 0
    for before, slope, after in zip(*found, strict=True):
        step = slope.numpy()
        if gate_rate:
            step = gate_rate * step / (np.abs(step) + 1e-8)
        moved = before.numpy() - step
        gate = np.sign(moved) * np.maximum(np.abs(moved) - 0.5, 0)
        np.testing.assert_allclose(after.numpy(), gate, atol=1e-5)
        zeros += int((after == 0).sum())
    assert zeros > 0


def test_who_forgets_the_hook_is_told(tmp_path):
    with pytest.warns(UserWarning, match="update_and_allocate"):
        model, *_ = trained_by_trainer(tmp_path, 2, [])
    with warnings.catch_warnings():  # once is enough, and evaluation has nothing to say
        warnings.simplefilter("error")
        model.train()(input_ids=torch.ones(1, 4, dtype=torch.int64))


def test_zeros_stay_zeros_in_the_file_and_after_loading(tmp_path):
    model, layer = adapted()
    model.save_pretrained(str(tmp_path))
    again = PeftModel.from_pretrained(OneLayer().double(), str(tmp_path))
    assert again.base_model.effective_rank() == {"linear": R - 1}
    for name in NAMES:
        found = getattr(again.base_model.model.linear, name)["default"]
        torch.testing.assert_close(found, getattr(layer, name)["default"], check_dtype=False)


def test_gates_with_a_rate_of_their_own_want_gradients_and_the_number_of_steps():
    config = SoraConfig(r=R, target_modules=["linear"], gate_learning_rate=0.1)
    model = get_peft_model(OneLayer(), config)
    with pytest.raises(ValueError, match="total_steps"):
        model.base_model.update_and_allocate(0)
    config.total_steps = 3
    model(torch.ones(1, IN))
    with pytest.raises(ValueError, match="has no gradient"):
        model.base_model.update_and_allocate(0)


def test_training_goes_on_from_a_saved_adapter_as_if_it_had_never_stopped(tmp_path):
    config = SoraConfig(
        r=R, target_modules=["linear"], gate_learning_rate=0.1, total_steps=6, soft_threshold=0.05
    )
    torch.manual_seed(0)
    model = get_peft_model(OneLayer(), config)
    base = {k: v.clone() for k, v in model.base_model.model.linear.base_layer.state_dict().items()}
    batches = torch.randn(6, 5, IN)

    def train(model, steps):
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
        for step in steps:
            model.train()(batches[step]).square().mean().backward()
            optimizer.step()
            model.base_model.update_and_allocate(step)
            optimizer.zero_grad()

    train(model, range(3))
    model.save_pretrained(str(tmp_path))
    train(model, range(3, 6))
    fresh = OneLayer()
    fresh.linear.load_state_dict(base)
    again = PeftModel.from_pretrained(fresh, str(tmp_path), is_trainable=True)
    train(again, range(3, 6))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name]), name


@pytest.mark.parametrize("threshold", [-1.0, float("nan"), float("inf")])
def test_what_has_no_meaning_is_refused(threshold):
    with pytest.raises(ValueError, match="soft_threshold should be"):
        SoraConfig(soft_threshold=threshold)
    with pytest.raises(ValueError, match="gate_learning_rate should be"):
        SoraConfig(gate_learning_rate=threshold)


def test_other_modules_than_linear_ones_are_refused():
    model = nn.Sequential(nn.Embedding(3, 4))
    with pytest.raises(ValueError, match="'0' is a Embedding; SoRA takes"):
        get_peft_model(model, SoraConfig(target_modules=["0"]))
