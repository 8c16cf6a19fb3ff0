"""The loop never makes the host wait for the device within a step."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.project import METHODS, make_project, prepare
from torch.utils._python_dispatch import TorchDispatchMode
from wsa.learning.batches import TokenTable, training_sentences
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import attach, load_pretrained
from wsa.learning.tokens import load_tokens


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
