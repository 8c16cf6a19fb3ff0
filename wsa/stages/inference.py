"""What an adapter costs when a model is used: merged, pruned and as trained, timed in turn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wsa.errors import InputError
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.models import CannotMergeError, merge
from wsa.learning.predict import predict
from wsa.records.evidence import Inference
from wsa.records.record import write_record
from wsa.stages.session import Session
from wsa.suite.schema import Method, Suite

SENTENCES = 64
ROUNDS = 12


def time_inference(suite: Suite, layout: Layout) -> Inference:
    """Time the finished runs of the suite's first seed; writes `inference.json`.

    Every method with an adapter is timed merged (a gated one pruned first) beside the pretrained
    model with its head, and not merged; a gated one both as trained and pruned. A method that PEFT
    cannot merge is in the record's `adapters` alone. The sentences are spread evenly over the
    lengths of those that the suite evaluates on.

    Raises:
        InputError: if no run is finished, or a merged model gives other logits than its adapter.
    """
    session = Session(suite, layout)
    seed, device = suite.seeds[0], session.device
    tokens = session.judged
    spread = np.linspace(0, len(tokens) - 1, min(SENTENCES, len(tokens))).round().astype(int)
    table = TokenTable(tokens.select(np.argsort(tokens.lengths, kind="stable")[spread]), device)
    base = session.pretrained(seed).to(device)
    shared = dict(base.named_parameters())

    merged, adapters = {"base": base}, {}
    for name, method in suite.methods.items():
        files = session.run(name, seed)
        if method.kind != "adapter" or not files.result.exists():
            continue
        session.read_training(name, seed)

        def load(adapter: Path, method: Method = method) -> nn.Module:
            return session.trained(method, seed, adapter).to(device)

        adapters[name] = _share(load(files.trained), shared)
        best, folder = name, files.trained
        if method.gated:
            session.read_pruning(name, seed)
            best, folder = f"{name} pruned", files.pruned
            adapters[best] = _share(load(folder), shared)
        try:
            plain = merge(load(folder))  # in place: nothing may be shared before
        except CannotMergeError as reason:
            print(f"{suite.name}: {name} is timed as trained: it cannot be merged ({reason})")
            continue
        merged[name] = _share(plain, shared)
        error = np.abs(
            predict(plain, table, suite.protocol) - predict(adapters[best], table, suite.protocol)
        ).max()
        if error > (1e-3 if suite.protocol.precision == "float32" else 0.1):
            raise InputError(
                f"merged, it gives other logits than as trained: they differ by {error:.2g}",
                file=suite.name, key=f"methods.{name}",
                remedy="the merged model is not the method: change its arguments, or leave it out",
            )  # fmt: skip
    if not adapters:
        raise InputError(
            f"no run with an adapter and seed {seed} is finished",
            file=layout.suite(suite.name) / "runs", remedy="train and evaluate one first",
        )  # fmt: skip

    def case(model: nn.Module) -> Callable[[], object]:
        return lambda: predict(model, table, suite.protocol)

    cases = {("merged", name): case(model) for name, model in merged.items()}
    cases |= {("adapter", name): case(model) for name, model in adapters.items()}
    seconds = interleave(cases, ROUNDS)
    record = Inference(
        suite=suite.name,
        environment=session.environment(),
        sentences=len(table.lengths),
        seconds={name: times for (kind, name), times in seconds.items() if kind == "merged"},
        adapters={name: times for (kind, name), times in seconds.items() if kind == "adapter"},
    )
    write_record(layout.inference_json(suite.name), record)
    return record


def summary(timed: Inference) -> str:
    """One line a case: seconds, and the ratio to the pretrained model in the same round."""
    base = np.array(timed.seconds["base"])
    lines = [f"{len(base)} rounds of {timed.sentences} sentences; ratio: median (quartiles)"]
    for kind, cases in (("merged", timed.seconds), ("adapter", timed.adapters)):
        for name, seconds in cases.items():
            low, middle, high = np.quantile(np.array(seconds) / base, (0.25, 0.5, 0.75))
            ratio = f"{middle:.3f} ({low:.3f} to {high:.3f})"
            lines.append(f"{name:24} {kind:8} {np.median(seconds):8.4f} s  {ratio}")
    return "\n".join(lines)


def interleave(cases: dict, rounds: int) -> dict:
    """Seconds of every case in every round, after one round that does not count.

    Each round runs all cases, starting with another one each time.
    """
    names = list(cases)
    seconds: dict = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for number in range(-1, rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                start = time.perf_counter()
                cases[name]()  # ends with the logits on the host: nothing is left to wait for
                if number >= 0:
                    seconds[name].append(time.perf_counter() - start)
    finally:
        gc.enable()
    return {name: tuple(times) for name, times in seconds.items()}


def _share(model: nn.Module, base: dict[str, nn.Parameter]) -> nn.Module:
    """Let `model` hold what it has in common with the pretrained model only once in memory."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            name = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
            twin = base.get(name.replace(".original_module.", "."))
            if twin is not None and torch.equal(parameter, twin):
                parameter.data = twin.data
    return model
