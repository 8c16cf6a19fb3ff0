"""The training loop: AdamW over the batches of a seed, from the start or from a saved state."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wsa.adapters.recompress import changes_of, recompress, with_ranks
from wsa.adapters.saved import is_gate
from wsa.errors import InputError, is_out_of_memory
from wsa.learning.batches import Indices, TokenTable, training_batches
from wsa.learning.checkpoint import KEPT, Checkpoints
from wsa.learning.curves import Curves
from wsa.learning.generators import random_bytes, random_state, set_random_state
from wsa.learning.models import is_head
from wsa.machine.processes import SignalNoted
from wsa.machine.progress import Progress
from wsa.records.run import Schedule
from wsa.suite.schema import Method, Protocol, Suite


class Loop:
    """AdamW over the batches of a seed.

    Args:
        model: what to train; None for a method that trains nothing: a loop of no steps.
        method: its rates, and whether it has gates.
        suite: its protocol.
        seed: of the order of the sentences and of dropout.
        table: the training sentences.
        device: where the model lies.

    Attributes:
        model: what trains; another object once an adapter was cut.
        step: how many steps are done.
        sentences: how many sentences they took.
        seconds: how long they took, over all interruptions.
        curves: what they logged.
        continued_at: the steps after which the loop was interrupted and continued.
    """

    def __init__(
        self,
        model: nn.Module | None,
        method: Method,
        suite: Suite,
        seed: int,
        table: TokenTable,
        device: torch.device,
    ) -> None:
        self.method, self.table, self.device = method, table, device
        self.protocol, self.seed = suite.protocol, seed
        self.model, self.tuner = model, None
        self.batches: list[Indices] = []
        self.groups: list[dict] = []
        if model is not None:
            self.batches = training_batches(table.lengths, self.protocol, seed)
        self.rate = schedule_factors(
            method.schedule or self.protocol.schedule, self.protocol, len(self.batches)
        )
        self.gate_rate = method.learning_rate
        if method.gate_reach is not None:
            self.gate_rate = method.gate_reach / float(self.rate.sum())
        self.suite, self.base_rates = suite, []
        if model is not None:
            self._optimise(model, method.learning_rate)
        self.cut_step = round(method.cut.at * len(self.batches)) if method.cut else None
        self.losses = torch.zeros(len(self.batches), device=device)
        self.curves = Curves(method.learning_rate, self.rate)
        self.title = suite.name
        self.step, self.sentences, self.seconds = 0, 0, 0.0
        self.earlier_peak = 0  # bytes, before an interruption
        self.continued_at: list[int] = []

    def _optimise(self, model: nn.Module, learning_rate: float | None) -> None:
        """Train `model` from here on, with a fresh optimizer."""
        self.model, self.tuner = model, getattr(model, "base_model", None)
        self.groups = parameter_groups(
            model, self.method, self.suite, learning_rate, self.gate_rate
        )
        self.optimizer = torch.optim.AdamW(self.groups, fused=True)
        self.base_rates = [group["lr"] for group in self.groups]

    def run(self, title: str, checkpoints: Checkpoints) -> None:
        """All steps that are left; the state is saved now and then, and when a signal says stop.

        Raises:
            InputError: for a loss or a weight that is not finite, or too little memory.
        """
        self.title, steps = title, len(self.batches)
        # dropout's stream starts alike for every method, though methods draw from it differently
        torch.manual_seed(2**32 + self.seed)
        if (state := checkpoints.latest()) is not None:
            self.load_state_dict(state)
            print(f"{title}: goes on after step {self.step} of {steps}", flush=True)
        self.model.train()
        progress = Progress(title, steps, unit="sentences", seconds=self.seconds)
        begin = time.perf_counter() - self.seconds
        with SignalNoted() as stop:
            while self.step < steps:
                self.train_step(checkpoints)
                if self.step == self.cut_step:
                    self._cut(checkpoints)
                logs, stops = self.curves.wants(self.step), stop.number is not None
                saves = stops or checkpoints.due()
                if logs or saves:
                    loss = self._recent_loss(checkpoints)
                if logs:
                    self.curves.log(self.step, loss, self._gates())
                    progress.update(self.step, self.sentences, f"loss {loss:.4f}")
                if saves:
                    self.seconds = time.perf_counter() - begin
                    checkpoints.save(self.state_dict())
                if stops:
                    print(f"{title}: stopped; the state after step {self.step} is kept", flush=True)
                    stop.obey()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - begin
        progress.close()
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and not torch.isfinite(parameter).all():
                raise InputError(
                    f"{title}: training ended with NaN or Inf in {name}", **self._too_far()
                )

    def train_step(self, checkpoints: Checkpoints) -> None:
        """One step of AdamW on the next batch; `checkpoints` are for its error messages."""
        indices = self.batches[self.step]
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * float(self.rate[self.step])
        with self._full_memory_told(checkpoints):
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.protocol.precision == "bfloat16"
            ):
                loss = self.model(**self.table.batch(indices)).loss
            loss.backward()
            if self.protocol.max_gradient_norm is not None:
                for group in self.groups:
                    nn.utils.clip_grad_norm_(group["params"], self.protocol.max_gradient_norm)
            self.optimizer.step()
        if hasattr(self.tuner, "update_and_allocate"):  # AdaLoRA's hook
            self.tuner.update_and_allocate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.losses[self.step] = loss.detach()
        self.sentences += len(indices)
        self.step += 1

    def _cut(self, checkpoints: Checkpoints) -> None:
        """Cut the adapter to its final rank, and go on in what is left."""
        cut = self.method.cut
        last = self.batches[max(0, self.step - cut.batches) : self.step]
        with self._full_memory_told(checkpoints):
            batches = (self.table.batch(indices) for indices in last)
            model = recompress(self.model, cut.target_rank, batches)
        self._go_on_in(model)

    def _go_on_in(self, model: nn.Module) -> None:
        model.train()
        self._optimise(model, self.method.learning_rate * self.method.cut.learning_rate_factor)

    def _ranks(self) -> dict[str, int] | None:
        """module → rank, once the adapter was cut."""
        if self.cut_step is None or self.step < self.cut_step:
            return None
        return {name: len(A) for name, (A, _) in changes_of(self.model).items()}

    def _recent_loss(self, checkpoints: Checkpoints) -> float:
        """The mean loss since the last row of the curve; InputError unless all are finite."""
        first = self.curves.logged_step
        recent = self.losses[first : self.step]
        mean = recent.mean().item()
        if np.isfinite(mean):
            return mean
        losses = recent.tolist()
        index = int(np.flatnonzero(~np.isfinite(losses))[0])
        raise InputError(
            f"{self.title}: the loss became {losses[index]} in step {first + index + 1} of "
            f"{len(self.batches)}{checkpoints.kept()}", **self._too_far(),
        )  # fmt: skip

    def _too_far(self) -> dict[str, Any]:
        """What to change where numbers are not finite: key, value and remedy of an InputError."""
        decay, rate = self.protocol.weight_decay, max(self.base_rates, default=0.0)
        # AdamW takes the share decay·rate from a weight in each step
        if decay > rate and decay * rate >= 1:
            return {
                "key": "protocol.weight_decay", "value": decay,
                "remedy": "a smaller weight_decay: times the learning rate it should be far "
                "below 1",
            }  # fmt: skip
        return {"remedy": "a lower learning rate, or precision: float32"}

    @contextlib.contextmanager
    def _full_memory_told(self, checkpoints: Checkpoints) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise InputError(
                f"{self.title}: out of memory in step {self.step + 1} of {len(self.batches)}"
                f"{checkpoints.kept()}",
                key="protocol.batch_size", value=self.protocol.batch_size,
                remedy="a smaller batch_size or max_length, or a device with more memory",
            ) from error  # fmt: skip

    def _gates(self) -> dict[str, Tensor]:
        """The gates (r,) by module; empty for a method without."""
        if not self.method.gated:
            return {}
        return {module: values.detach() for module, values in self.tuner.gates().items()}

    # --- the state ---

    def state_dict(self) -> dict[str, Any]:
        """All that the steps to come depend on, and what the steps so far have left."""
        return {
            "step": self.step,
            "weights": self._changing_weights(),
            "optimizer": self.optimizer.state_dict(),
            "ranks": self._ranks(),
            "allocator": self._allocator(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
            "model_random": random_state(self.model),
            "losses": self.losses[: self.step],
            "rows": self.curves.rows,
            "gates": self.curves.gates,
            "sentences": self.sentences,
            "seconds": self.seconds,
            "peak_memory": self.peak_memory(),
            "continued_at": self.continued_at,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        if state["ranks"] is not None:
            self._go_on_in(with_ranks(self.model, state["ranks"]))
        weights = self._changing_weights()
        for name, saved in state["weights"].items():
            weights[name].copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self._set_allocator(state["allocator"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None:
            torch.cuda.set_rng_state(state["cuda_random"])
        set_random_state(self.model, state["model_random"])
        self.step = state["step"]
        self.losses[: self.step] = state["losses"].to(self.device)
        self.curves.rows, self.curves.gates = state["rows"], state["gates"]
        self.sentences, self.seconds = state["sentences"], state["seconds"]
        self.earlier_peak = state["peak_memory"]
        self.continued_at = [*state["continued_at"], self.step]

    def _changing_weights(self) -> dict[str, Tensor]:
        """All weights and buffers but the frozen ones of the pretrained model.

        Whatever PEFT adds carries the adapter's name, also what no gradient reaches (such as
        AdaLoRA's `ranknum`).
        """
        frozen = {
            name
            for name, parameter in self.model.named_parameters(remove_duplicate=False)
            if not parameter.requires_grad and "default" not in name.split(".")
        }
        weights = self.model.state_dict()
        return {name: weight for name, weight in weights.items() if name not in frozen}

    def _allocator(self) -> dict[str, Any] | None:
        """What AdaLoRA keeps outside its weights: importance scores and the ranks so far."""
        if not hasattr(self.tuner, "rankallocator"):
            return None
        scores = {k: v for k, v in vars(self.tuner.rankallocator).items() if isinstance(v, dict)}
        return {"scores": scores, "rank_pattern": self.tuner.peft_config["default"].rank_pattern}

    def _set_allocator(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        for name, scores in state["scores"].items():
            tensors = {key: value.to(self.device) for key, value in scores.items()}
            setattr(self.tuner.rankallocator, name, tensors)
        self.tuner.peft_config["default"].rank_pattern = state["rank_pattern"]

    def bytes_on_disk(self) -> int:
        """What the states and the trained weights take at most."""
        weights = sum(weight.nbytes for weight in self._changing_weights().values())
        moments = 2 * sum(p.nbytes for group in self.groups for p in group["params"])
        return (KEPT + 1) * (weights + moments + random_bytes(self.model)) + weights

    def peak_memory(self) -> int:
        """The most bytes that this process or its predecessors held."""
        return max(self.earlier_peak, _peak_memory(self.device))

    def schedule(self) -> Schedule:
        method, total = self.method, float(self.rate.sum())
        gate_rate = self.gate_rate if method.gated else None
        return Schedule(
            steps=len(self.batches),
            learning_rate=method.learning_rate,
            head_learning_rate=_head_rate(method, self.protocol) if self.batches else None,
            gate_learning_rate=gate_rate,
            sum_of_learning_rates=(method.learning_rate or 0.0) * total,
            sum_of_gate_learning_rates=gate_rate * total if gate_rate else None,
        )


# the factor that a low-rank adapter's outputs come from
_OUTPUT_FACTORS = ("lora_B", "spectral_A_U")


def parameter_groups(
    model: nn.Module,
    method: Method,
    suite: Suite,
    learning_rate: float | None,
    gate_rate: float | None,
) -> list[dict]:
    """AdamW's groups: head, gates and body with their rates; vectors take no weight decay.

    Biases, norms and gates are the parameters with fewer than two dimensions.

    Args:
        model: what trains.
        method: its `learning_rate_ratio`, and its rate for the head.
        suite: its protocol.
        learning_rate: of the body.
        gate_rate: of the gates.

    Raises:
        InputError: for a ratio of two factors' rates where the adapter has no such factors.
    """
    protocol = suite.protocol
    rates = {
        "head": _head_rate(method, protocol),
        "gate": gate_rate,
        "body": learning_rate,
    }
    if method.learning_rate_ratio is not None:
        rates["output"] = learning_rate * method.learning_rate_ratio
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part = "body"
        if is_head(name, suite.model):
            part = "head"
        elif is_gate(name):
            part = "gate"
        elif "output" in rates and any(f".{factor}." in name for factor in _OUTPUT_FACTORS):
            part = "output"
        groups.setdefault((part, parameter.ndim >= 2), []).append(parameter)
    if "output" in rates and not any(part == "output" for part, _ in groups):
        raise InputError(
            "the adapter has no two factors with rates of their own", key="learning_rate_ratio",
            value=method.learning_rate_ratio, remedy="leave it out, or take LORA or SPECTRAL",
        )  # fmt: skip
    return [
        {
            "params": parameters,
            "lr": rates[part],
            "weight_decay": protocol.weight_decay if decays else 0.0,
        }
        for (part, decays), parameters in groups.items()
    ]


def schedule_factors(kind: str, protocol: Protocol, steps: int) -> np.ndarray:
    """What the learning rates are multiplied by at each step: shape (steps,), float64."""
    step = np.arange(steps, dtype=np.float64)
    warmup = min(protocol.warmup_steps, steps)
    factor = np.ones(steps)
    if kind == "linear":
        factor = (steps - step) / max(1, steps - warmup)
    return np.where(step < warmup, (step + 1) / max(1, warmup), factor)


def _head_rate(method: Method, protocol: Protocol) -> float:
    return method.head_learning_rate or protocol.head_learning_rate


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    # Linux's ru_maxrss begins with what the parent held when it started this process
    with contextlib.suppress(OSError):
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if peak:
            return int(peak.group(1)) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
