"""Tiny projects whose methods are packed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.project import METHODS, edit_yaml, make_project, prepare
from torch import nn
from wsa.layout import Layout
from wsa.learning.batches import TokenTable, training_sentences
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import attach, load_pretrained
from wsa.learning.tokens import load_tokens
from wsa.packed.loop import Member, Pack
from wsa.suite.schema import Method, Suite

CPU = torch.device("cpu")
WSA_DIRECTION = {
    "title": "WSA, whole directions",
    "adapter": {"peft_type": "WSA", "r": 4, "gate": "direction", "l1": 1.0e-3},
    "learning_rate": 5.0e-3,
    "gate_reach": 0.5,
}
PACKED = ("lora", "spectral_a", "wsa", "wsa_direction")
# 96 sentences: batches of 20, and one of 16 that comes at another step in each run
BATCH_SIZE, STEPS = 20, 10


def make_packed_project(folder: Path, *, deberta: bool = False, **changes: object) -> Path:
    """A project with the methods of `PACKED`, two that cannot be, and clipping that bites."""
    project = make_project(folder, deberta=deberta)
    methods = {name: METHODS[name] for name in ("majority", "full", "lora", "spectral_a", "wsa")}
    protocol = {
        "epochs": 2, "batch_size": BATCH_SIZE, "batching": "sorted_windows", "window_batches": 5,
        "max_length": 32, "schedule": "linear", "weight_decay": 0.01, "max_gradient_norm": 0.1,
        "head_learning_rate": 5.0e-3,
    }  # fmt: skip
    edit_yaml(
        project / "config/suites/tiny.yaml", methods=methods | {"wsa_direction": WSA_DIRECTION},
        protocol=protocol, **changes,
    )  # fmt: skip
    return project


@dataclass
class Bench:
    """What runs are made of, by themselves and packed."""

    suite: Suite
    layout: Layout
    table: TokenTable
    folder: Path  # for what is passed to no other test
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(
        cls, suite: Suite, layout: Layout, folder: Path, labels: np.ndarray | None = None
    ) -> Bench:
        """`labels`, one a training sentence, in place of the data set's."""
        path = layout.tokens(suite.model.name, suite.data.name)
        tokens = training_sentences(load_tokens(path)["train"], suite.protocol)
        if labels is not None:
            tokens = dataclasses.replace(tokens, labels=labels[: len(tokens)])
        return cls(suite, layout, TokenTable(tokens, CPU), folder)

    def model(self, method: Method, seed: int) -> nn.Module:
        folder = self.layout.model(self.suite.model.name)
        model = load_pretrained(folder, seed, self.suite.data.task)
        largest = self.suite.largest_rank
        model = attach(model, method, self.suite.model, self.layout.factors, largest)
        return model.to(self.dtype)

    def parts(self, method: Method, seed: int) -> tuple:
        return self.model(method, seed), method, self.suite, seed, self.table, CPU

    def single(self, method: Method, seed: int) -> Loop:
        """A run that was trained by itself."""
        loop = Loop(*self.parts(method, seed))
        loop.run(f"single {seed}", self.checkpoints("single"))
        return loop

    def pack(self, *runs: tuple[Method, int]) -> Pack:
        return Pack([Member(f"run of seed {run[1]}", *self.parts(*run)) for run in runs])

    def packed(self, *runs: tuple[Method, int]) -> Pack:
        """Runs that were trained together."""
        pack = self.pack(*runs)
        pack.run("pack", self.checkpoints("pack"))
        return pack

    def checkpoints(self, name: str) -> Checkpoints:
        """That never save: a state of one test would be another's start."""
        return Checkpoints(self.folder / name, {}, math.inf)


@pytest.fixture(scope="module", params=["bert", "deberta"])
def bench(request, tmp_path_factory) -> Bench:
    torch.set_num_threads(1)  # as the stages do: more of them wait for each other
    folder = tmp_path_factory.mktemp(request.param)
    project = make_packed_project(folder / "project", deberta=request.param == "deberta")
    return Bench.of(*prepare(project), folder)


def trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """What trains in a model."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
