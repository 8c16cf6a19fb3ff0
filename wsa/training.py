"""Training one method with one seed: the same loop for every method."""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import torch
from torch import nn

from wsa import records
from wsa.batches import TokenTable, training_batches, training_sentences
from wsa.devices import accelerator_name, device_for_stage, reproducible
from wsa.errors import InputError
from wsa.factors import FactorCache
from wsa.files import atomic_folder, atomic_path, file_hashes
from wsa.layout import Layout
from wsa.models import attach, is_head, load_pretrained, save_trained
from wsa.progress import Progress
from wsa.provenance import environment, now, source_hash
from wsa.sources import verify
from wsa.suite import Method, Protocol, Suite
from wsa.tokens import load_tokens

_GATE_PARAMETERS = ("spectral_gate", "spectral_scale")
_LOGGED_POINTS = 100  # rows of a curve
_GATE_POINTS = 20  # of which this many also keep every gate


def train(suite: Suite, method_name: str, seed: int, layout: Layout) -> records.Training:
    """Train `method_name` of `suite` with `seed`; writes `trained/`, the curve and the record.

    Raises:
        InputError: for damaged inputs, an impossible configuration or a loss that is not finite.
    """
    started = now()
    method, protocol = suite.method(method_name), suite.protocol
    files = layout.run(suite.name, method_name, seed)
    files.training.unlink(missing_ok=True)
    tokens = training_sentences(
        load_tokens(layout.tokens(suite.model.name, suite.data.name), "train"), protocol
    )
    model_hash = verify(layout.model(suite.model.name))
    reproducible(protocol.threads)
    device = device_for_stage()
    model, factors = None, None
    if method.kind != "majority":
        model = load_pretrained(layout.model(suite.model.name), seed)
        model = attach(model, method, suite.model, layout.factors, suite.largest_rank).to(device)
        factors = _factors_used(model, suite, layout) if method.spectral else None

    loop = _Loop(model, method, suite, seed, TokenTable(tokens, device), device)
    with atomic_folder(files.trained) as folder:
        if model is None:
            counts = np.bincount(tokens.labels, minlength=2).tolist()
            (folder / "label_counts.json").write_text(json.dumps(counts) + "\n")
        else:
            loop.run(title=f"{suite.name} {method_name} seed {seed}")
            save_trained(model, method, folder)
    loop.write_curves(files)

    counted = dict(model.named_parameters()) if model is not None else {}
    trainable = {n: p.numel() for n, p in counted.items() if p.requires_grad}
    record = records.Training(
        suite=suite.name,
        method=method_name,
        seed=seed,
        schedule=loop.schedule(),
        trained_sentences=loop.sentences,
        train_seconds=loop.seconds,
        sentences_per_second=loop.sentences / loop.seconds if loop.seconds else 0.0,
        peak_memory_bytes=_peak_memory(device),
        peak_memory_of="accelerator" if device.type == "cuda" else "process",
        total_parameters=sum(p.numel() for p in counted.values()),
        trainable_parameters=sum(trainable.values()),
        head_parameters=sum(n for name, n in trainable.items() if is_head(name, suite.model)),
        final_loss=loop.final_loss,
        files=file_hashes(files.folder, [files.trained, files.curve, files.gates]),
        model=model_hash,
        data=tokens.sha256,
        factors=factors,
        configuration=suite.run_digest(method_name),
        code=source_hash("wsa.training"),
        environment=environment(started, accelerator=accelerator_name()),
    )
    records.write_record(files.training, record)
    return record


class _Loop:
    """AdamW over the batches of a seed."""

    def __init__(
        self,
        model: nn.Module | None,
        method: Method,
        suite: Suite,
        seed: int,
        table: TokenTable,
        device: torch.device,
    ) -> None:
        self.model, self.method, self.table, self.device = model, method, table, device
        self.protocol = suite.protocol
        self.seed = seed
        self.batches: list = []
        self.groups: list[dict] = []
        if model is not None:
            self.batches = training_batches(table.lengths, self.protocol, seed)
            self.groups = parameter_groups(model, method, suite)
        self.rate = schedule_factors(
            method.schedule or self.protocol.schedule, self.protocol, len(self.batches)
        )
        self.curve: list[dict] = []
        self.gates: list[dict] = []
        self.sentences, self.seconds = 0, 0.0
        self.final_loss: float | None = None

    def run(self, title: str) -> None:
        model, steps = self.model, len(self.batches)
        tuner = getattr(model, "base_model", None)
        allocate = getattr(tuner, "update_and_allocate", None)  # AdaLoRA's hook
        optimizer = torch.optim.AdamW(self.groups, fused=True)
        base_rates = [group["lr"] for group in self.groups]
        log_every = max(1, steps // _LOGGED_POINTS)
        gates_every = max(1, steps // _GATE_POINTS)
        losses = torch.zeros(steps, device=self.device)
        # dropout's stream starts alike for every method, though methods draw from it differently
        torch.manual_seed(2**32 + self.seed)
        model.train()
        progress = Progress(title, steps, unit="sentences")
        begin = time.perf_counter()
        for step, indices in enumerate(self.batches):
            for group, base in zip(optimizer.param_groups, base_rates, strict=True):
                group["lr"] = base * self.rate[step]
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.protocol.precision == "bfloat16"
            ):
                loss = model(**self.table.batch(indices)).loss
            loss.backward()
            if self.protocol.max_gradient_norm is not None:
                for group in self.groups:
                    nn.utils.clip_grad_norm_(group["params"], self.protocol.max_gradient_norm)
            optimizer.step()
            if allocate is not None:
                allocate(step)
            optimizer.zero_grad(set_to_none=True)
            losses[step] = loss.detach()
            self.sentences += len(indices)
            if (step + 1) % log_every == 0 or step + 1 == steps:
                first = self.curve[-1]["step"] if self.curve else 0
                mean_loss = losses[first : step + 1].mean().item()
                self._log(step + 1, mean_loss)
                progress.update(step + 1, self.sentences, f"loss {mean_loss:.4f}")
            if (step + 1) % gates_every == 0 or step + 1 == steps:
                self._log_gates(step + 1)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - begin
        self.final_loss = self.curve[-1]["loss"]
        progress.close()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and not torch.isfinite(parameter).all():
                raise InputError(f"training ended with NaN or Inf in {name}")

    def _log(self, step: int, loss: float) -> None:
        if not np.isfinite(loss):
            raise InputError(
                f"the loss became {loss} by step {step} of {len(self.batches)}",
                remedy="a lower learning rate, or float32",
            )
        rate = self.method.learning_rate or 0.0
        gates = _gates(self.model)
        self.curve.append(
            {
                "step": step,
                "loss": loss,
                "learning_rate": rate * self.rate[step - 1],
                "sum_of_learning_rates": rate * float(self.rate[:step].sum()),
                "mean_gate": float(torch.cat(list(gates.values())).abs().mean())
                if gates
                else float("nan"),
            }
        )

    def _log_gates(self, step: int) -> None:
        for module, values in _gates(self.model).items():
            for direction, gate in enumerate(values.tolist()):
                self.gates.append(
                    {"step": step, "module": module, "direction": direction, "gate": gate}
                )

    def schedule(self) -> records.Schedule:
        method, total = self.method, float(self.rate.sum())
        gate_rate = _gate_rate(method) if method.gated else None
        return records.Schedule(
            steps=len(self.batches),
            learning_rate=method.learning_rate,
            head_learning_rate=_head_rate(method, self.protocol) if self.batches else None,
            gate_learning_rate=gate_rate,
            sum_of_learning_rates=(method.learning_rate or 0.0) * total,
            sum_of_gate_learning_rates=gate_rate * total if gate_rate else None,
        )

    def write_curves(self, files) -> None:
        import pandas as pd

        columns = ["step", "loss", "learning_rate", "sum_of_learning_rates", "mean_gate"]
        with atomic_path(files.curve) as path:
            pd.DataFrame(self.curve, columns=columns).to_parquet(path, index=False)
        with atomic_path(files.gates) as path:
            frame = pd.DataFrame(self.gates, columns=["step", "module", "direction", "gate"])
            frame.astype({"step": "int32", "direction": "int16", "gate": "float32"}).to_parquet(
                path, index=False
            )


def parameter_groups(model: nn.Module, method: Method, suite: Suite) -> list[dict]:
    """AdamW's groups: head, gates and body with their rates; vectors take no weight decay.

    Biases, norms and gates are the parameters with fewer than two dimensions.
    """
    protocol = suite.protocol
    rates = {
        "head": _head_rate(method, protocol),
        "gate": _gate_rate(method),
        "body": method.learning_rate,
    }
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part = "body"
        if is_head(name, suite.model):
            part = "head"
        elif any(f".{gate}." in name for gate in _GATE_PARAMETERS):
            part = "gate"
        groups.setdefault((part, parameter.ndim >= 2), []).append(parameter)
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


def _gate_rate(method: Method) -> float | None:
    return method.gate_learning_rate or method.learning_rate


def _gates(model: nn.Module | None) -> dict[str, torch.Tensor]:
    tuner = getattr(model, "base_model", None)
    gates = getattr(tuner, "gates", None)
    if gates is None or not callable(gates):
        return {}
    return {module: values.detach() for module, values in gates().items()}


def _factors_used(model: nn.Module, suite: Suite, layout: Layout) -> str:
    """One hash over the cached factors of all adapted weights."""
    cache = FactorCache(layout.factors)
    layers = model.base_model.spectral_layers().values()
    return cache.digest(
        FactorCache.key(layer.get_base_layer().weight.detach().cpu(), suite.largest_rank)
        for layer in layers
    )


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
