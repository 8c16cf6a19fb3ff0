"""The loop never makes the host wait for the device within a step."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.project import METHODS, make_project, prepare
from torch.utils._python_dispatch import TorchDispatchMode
from wsa.adapters.recompress import changes_of
from wsa.errors import InputError
from wsa.learning.batches import TokenTable, training_sentences
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import attach, load_pretrained
from wsa.learning.tokens import load_tokens
from wsa.suite.schema import Method


class Waits(TorchDispatchMode):
    """Notes the operators whose result the host must see before it can go on."""

    # .item(), bool(); what makes tensors whose size depends on values
    SEEN = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "equal"}

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator._overloadpacket.__name__
        # a mask as an index is a nonzero() inside
        masks = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in self.SEEN or masks:
            self.found.append(name)
        return operator(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(make_project(tmp_path_factory.mktemp("loop"), deberta=True))


def test_what_waits_is_noticed():
    x = torch.ones(3)
    with Waits() as waits:
        x.sum().item(), x[x > 0], bool(x.sum() > 0), x.nonzero()
    assert set(waits.found) == {"_local_scalar_dense", "index", "nonzero"}


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"majority"}))
def test_no_step_waits(prepared, name, tmp_path):
    suite, layout = prepared
    method, device = suite.methods[name], torch.device("cpu")
    path = layout.tokens(suite.model.name, suite.data.name)
    tokens = training_sentences(load_tokens(path)["train"], suite.protocol)
    model = load_pretrained(layout.model(suite.model.name), 0, suite.data.task)
    model = attach(model, method, suite.model, layout.factors, suite.largest_rank)
    loop = Loop(model, method, suite, 0, TokenTable(tokens, device), device)
    model.train()
    checkpoints = Checkpoints(tmp_path / "none", {})
    loop.train_step(checkpoints)  # the first sets things up
    with Waits() as waits:
        for _ in range(3):
            loop.train_step(checkpoints)
    assert waits.found == []
    assert loop.step == 4 and torch.isfinite(loop.losses[:4]).all() and (loop.losses[:4] > 0).all()


def attached(prepared, method, **changes):
    suite, layout = prepared
    method = Method.model_validate(
        {"title": "M", "learning_rate": 1e-3, "adapter": method} | changes
    )
    model = load_pretrained(layout.model(suite.model.name), 0, suite.data.task)
    model = attach(model, method, suite.model, layout.factors, suite.largest_rank, steps=12)
    tokens = load_tokens(layout.tokens(suite.model.name, suite.data.name))
    table = TokenTable(training_sentences(tokens["train"], suite.protocol), torch.device("cpu"))
    return model, Loop(model, method, suite, 0, table, torch.device("cpu"))


def test_a_method_with_a_schedule_learns_how_many_steps_there_are(prepared):
    ada = {"peft_type": "ADALORA", "init_r": 4, "target_r": 2}
    model, _ = attached(prepared, ada)
    assert model.peft_config["default"].total_step == 12
    model, _ = attached(prepared, ada | {"total_step": 30})
    assert model.peft_config["default"].total_step == 30
    chooses = {"peft_type": "WSA", "r": 4, "choose": "sensitivity", "target_rank": 2}
    model, _ = attached(prepared, chooses)
    assert model.peft_config["default"].total_steps == 12


@pytest.mark.parametrize(
    "adapter, output", [({"peft_type": "LORA", "r": 2}, "lora_B"),
                        ({"peft_type": "SPECTRAL", "r": 2}, "spectral_A_U")],
)  # fmt: skip
def test_the_output_side_has_a_rate_of_its_own(prepared, adapter, output):
    model, loop = attached(prepared, adapter, learning_rate_ratio=16.0)
    rates = {id(p): group["lr"] for group in loop.groups for p in group["params"]}
    found = {
        (output in name): rates[id(parameter)]
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and ("lora_" in name or "spectral_" in name)
    }
    assert found == {True: 1.6e-2, False: 1e-3}


def test_a_ratio_without_two_factors_is_refused(prepared):
    with pytest.raises(InputError, match="two factors"):
        attached(prepared, {"peft_type": "IA3"}, learning_rate_ratio=16.0)


def test_a_cut_adapter_goes_on_with_its_own_rate(prepared, tmp_path):
    spread = {"peft_type": "SPECTRAL", "r": 4, "directions": "spread", "scale": 1.0}
    cut = {"target_rank": 1.5, "at": 0.5, "batches": 2, "learning_rate_factor": 3.0}
    model, loop = attached(prepared, spread, cut=cut)
    before = {group["lr"] for group in loop.groups}
    loop.run("cut", Checkpoints(tmp_path / "none", {}))
    assert loop.model is not model
    kept = [len(A) for A, _ in changes_of(loop.model).values()]
    assert sum(kept) == round(1.5 * 6)  # two modules in three layers
    assert before == {1e-3, 5e-3} and set(loop.base_rates) == {3e-3, 5e-3}
