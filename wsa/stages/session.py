"""What the stages of a suite share: sentences, model and device, each read and checked once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from torch import nn

from wsa.files import check_files
from wsa.layout import Layout, RunFiles
from wsa.learning.batches import (
    evaluation_sentences,
    training_batches,
    training_sentences,
)
from wsa.learning.models import attach, load_pretrained, load_trained
from wsa.learning.reproducible import reproducible
from wsa.learning.tokens import Tokens, load_tokens
from wsa.machine.devices import accelerator_name, device_for_stage
from wsa.machine.environment import environment, now
from wsa.records.record import read_record
from wsa.records.run import Environment, Pruning, Training, check_origin
from wsa.records.source import verify
from wsa.suite.schema import Method, Suite


class Session:
    """One stage at work on a suite; it fixes what would change bits when it begins.

    Attributes:
        suite: what is computed.
        layout: where its files lie.
        device: where it computes.
    """

    def __init__(self, suite: Suite, layout: Layout) -> None:
        self._started = now()
        self.suite, self.layout = suite, layout
        self.task, self.protocol = suite.data.task, suite.protocol
        reproducible(suite.protocol.threads)
        self.device = device_for_stage()

    # --- what is read ---

    @cached_property
    def splits(self) -> dict[str, Tokens]:
        """Every tokenised split of the data set, by name; raises InputError if damaged."""
        path = self.layout.tokens(self.suite.model.name, self.suite.data.name)
        return load_tokens(path)

    @cached_property
    def training(self) -> Tokens:
        """The sentences that are trained on."""
        return training_sentences(self.splits["train"], self.protocol)

    @cached_property
    def evaluation(self) -> dict[str, Tokens]:
        """The sentences that are reported, by split; the first one is the one that counts."""
        return evaluation_sentences(self.splits, self.suite.data, self.protocol)

    @property
    def judged(self) -> Tokens:
        """The split that counts."""
        return next(iter(self.evaluation.values()))

    @property
    def steps(self) -> int:
        """How many steps a training takes."""
        return len(training_batches(self.training.lengths, self.protocol, seed=0))

    @cached_property
    def model_hash(self) -> str:
        """Of the model's folder; raises InputError if a file of it is damaged."""
        return verify(self._model_folder)

    @property
    def _model_folder(self) -> Path:
        return self.layout.model(self.suite.model.name)

    # --- models ---

    def pretrained(self, seed: int) -> nn.Module:
        """The pretrained model with the head that `seed` starts, on the CPU."""
        self.model_hash  # noqa: B018 - it is checked once
        return load_pretrained(self._model_folder, seed, self.task)

    def attached(self, method: Method, seed: int) -> nn.Module:
        """The model that `method` is about to train, on the device."""
        model = attach(
            self.pretrained(seed), method, self.suite.model, self.layout.factors,
            self.suite.largest_rank, self.steps,
        )  # fmt: skip
        return model.to(self.device)

    def trained(self, method: Method, seed: int, folder: Path) -> nn.Module:
        """The model that a run has trained, or pruned, from the files in `folder`; on the CPU."""
        return load_trained(self.pretrained(seed), method, folder)

    # --- runs ---

    def run(self, method: str, seed: int) -> RunFiles:
        """The files of one run."""
        return self.layout.run(self.suite.name, method, seed)

    def read_training(self, method: str, seed: int) -> Training:
        """The record of a training whose files are what it says, made from what is here.

        Raises:
            InputError: a file is missing or damaged, or configuration, data or model are others.
        """
        files = self.run(method, seed)
        training = read_record(files.training, Training)
        check_files(files.folder, training.files, remake=files.training)
        here = {
            "configuration": self.suite.run_digest(method), "data": self.judged.sha256,
            "model": self.model_hash,
        }  # fmt: skip
        check_origin(training, files.training, **here)
        return training

    def read_pruning(self, method: str, seed: int) -> Pruning:
        """The record of a pruning whose files are what it says, at the suite's threshold.

        Raises:
            InputError: a file is missing or damaged, or the threshold is another.
        """
        files = self.run(method, seed)
        pruning = read_record(files.pruning, Pruning)
        check_files(files.folder, pruning.files, remake=files.pruning)
        pruning.check_threshold(self.suite.method(method).threshold, files.pruning)
        return pruning

    def environment(
        self, *, trains: bool = False, nondeterministic: Iterable[str] = ()
    ) -> Environment:
        """Where this stage ran; call it when the stage ends."""
        return environment(
            self._started, accelerator=accelerator_name(), trains=trains,
            nondeterministic=nondeterministic,
        )  # fmt: skip
