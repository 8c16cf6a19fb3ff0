"""The training of several runs at once: one forward and backward pass a step, and each its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from wsa.errors import InputError, is_out_of_memory
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.machine.processes import SignalNoted
from wsa.machine.progress import Progress
from wsa.packed.model import PackedModel
from wsa.suite.schema import Method, Suite

T = TypeVar("T")


class Member(Loop):
    """One run of a pack: all that `Loop` is but the forward and backward pass, which a pack does.

    Args:
        title: what messages call the run; the rest is `Loop`'s.

    Attributes:
        random: what its dropout is drawn from: begins where `Loop.run` puts torch's own stream.
    """

    def __init__(
        self,
        title: str,
        model: nn.Module,
        method: Method,
        suite: Suite,
        seed: int,
        table: TokenTable,
        device: torch.device,
    ) -> None:
        super().__init__(model, method, suite, seed, table, device)
        self.title = title
        self.random = torch.Generator(device).manual_seed(2**32 + seed)

    def batch(self) -> dict[str, Tensor]:
        """The sentences of the next step."""
        return self.table.batch(self.batches[self.step])

    def update(self, loss: Tensor) -> None:
        """The rest of a step, from the gradients that are there; `loss`, without a graph, is ()."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * float(self.rate[self.step])
        if self.protocol.max_gradient_norm is not None:
            for group in self.groups:
                nn.utils.clip_grad_norm_(group["params"], self.protocol.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses[self.step] = loss
        self.sentences += len(self.batches[self.step])
        self.step += 1

    def log(self, checkpoints: Checkpoints) -> float:
        """The mean loss since the last row of the curve, entered there if it is time.

        Raises:
            InputError: a loss was not finite.
        """
        loss = self._recent_loss(checkpoints)
        if self.curves.wants(self.step):
            self.curves.log(self.step, loss, self._gates())
        return loss

    def check(self) -> None:
        """Raise InputError unless all that trained is finite."""
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and not torch.isfinite(parameter).all():
                raise InputError(
                    f"{self.title}: training ended with NaN or Inf in {name}", **self._too_far()
                )

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"dropout": self.random.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.random.set_state(state["dropout"])


class Pack:
    """Several runs that train together.

    Args:
        members: of one model, one kind of adapter, one table of sentences and one protocol; seeds
            and rates may differ.

    Attributes:
        failed: place of a run among the members → why it trains no more: its loss or a weight was
            not finite. The others do not notice, but for other round-off.
        seconds: how long the steps took, over all interruptions.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.failed: dict[int, str] = {}
        self.seconds = 0.0
        self._model = PackedModel(
            [member.model for member in members], [member.random for member in members]
        )

    @property
    def active(self) -> dict[int, Member]:
        """The runs that train, by their places."""
        return {i: m for i, m in enumerate(self.members) if i not in self.failed}

    @property
    def step(self) -> int:
        """How many steps are done."""
        return max(member.step for member in self.members)

    def run(self, title: str, checkpoints: Checkpoints) -> None:
        """All steps that are left; the state is saved now and then, and when a signal says stop.

        Raises:
            InputError: too little memory.
        """
        steps = len(self.members[0].batches)
        if (state := checkpoints.latest()) is not None:
            self.load_state_dict(state)
            print(f"{title}: goes on after step {self.step} of {steps}", flush=True)
        for member in self.members:
            member.model.train()
        progress = Progress(title, steps, unit="sentences", seconds=self.seconds)
        begin = time.perf_counter() - self.seconds
        with SignalNoted() as stop:
            while self.active and self.step < steps:
                with self._full_memory_told(title, checkpoints):
                    self.train_step()
                logs = self.members[0].curves.wants(self.step)
                stops = stop.number is not None
                saves = stops or checkpoints.due()
                if logs or saves:
                    self._log(checkpoints, progress)
                if saves:
                    self.seconds = time.perf_counter() - begin
                    checkpoints.save(self.state_dict())
                if stops:
                    print(f"{title}: stopped; the state after step {self.step} is kept", flush=True)
                    stop.obey()
        if self.members[0].device.type == "cuda":
            torch.cuda.synchronize()
        self._try(Member.check)
        self.seconds = time.perf_counter() - begin
        for member in self.members:  # each did its share
            member.seconds = self.seconds / len(self.members)
        progress.close()

    def train_step(self) -> None:
        """One step of every run on its own next batch."""
        active = self.active
        losses = self._model.losses([member.batch() for member in active.values()], [*active])
        losses.sum().backward()  # no loss has a part in another's gradient
        for member, loss in zip(active.values(), losses.detach(), strict=True):
            member.update(loss)

    def _log(self, checkpoints: Checkpoints, progress: Progress) -> None:
        losses = self._try(lambda member: member.log(checkpoints))
        sentences = sum(member.sentences for member in self.members)
        said = ", ".join(f"{loss:.4f}" for loss in losses)
        progress.update(self.step, sentences, f"losses {said}")

    def _try(self, act: Callable[[Member], T]) -> list[T]:
        """What `act` gives of each run; one that fails is told and trains no more."""
        found = []
        for place, member in self.active.items():
            try:
                found.append(act(member))
            except InputError as error:
                self.failed[place] = str(error)
                print(f"{error}\n  the other runs go on", flush=True)
        return found

    @contextlib.contextmanager
    def _full_memory_told(self, title: str, checkpoints: Checkpoints) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"{title}: out of memory in step {self.step + 1}{checkpoints.kept()}",
                key="execution.pack", value=len(self.members),
                remedy="fewer runs in a pack, a smaller batch_size or max_length, or a device with "
                "more memory",
            ) from error  # fmt: skip

    # --- the state ---

    def state_dict(self) -> dict[str, Any]:
        """All that the steps to come depend on, of every run."""
        return {
            "step": self.step,
            "runs": {str(place): member.state_dict() for place, member in self.active.items()},
            "failed": {str(place): why for place, why in self.failed.items()},
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.failed = {int(place): why for place, why in state["failed"].items()}
        for place, own in state["runs"].items():
            self.members[int(place)].load_state_dict(own)
        self.seconds = state["seconds"]
