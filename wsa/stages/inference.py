"""What an adapter costs when a model is used: merged, pruned and as trained, timed in turn."""

from __future__ import annotations

import functools
import gc
import itertools
import math
import time

import numpy as np
import torch
from scipy import stats
from torch import nn

from wsa.errors import InputError
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.models import CannotMergeError, merge
from wsa.learning.predict import predict
from wsa.records.evidence import Inference
from wsa.records.record import write_record
from wsa.stages.session import Session
from wsa.suite.schema import Suite

SENTENCES = 64
ROUNDS = 6  # of everything
MOST = 16  # of what claims judge
WIDTH = 0.02  # of the 95 % interval of a ratio, either way

Seconds = dict[str, tuple[float, ...]]


def time_inference(suite: Suite, layout: Layout) -> Inference:
    """Time the finished runs of the suite's first seed; writes `inference.json`.

    Every adapter is timed beside the weights (a gated one as trained and pruned), in `ROUNDS`
    rounds with the pretrained model and its head. Of the merged models (gated ones are pruned
    first) those are timed that a claim names, and of any other form one, which stands for its like:
    `alike` says for which. Their rounds go on as `further_rounds` finds, without the adapters,
    which no claim judges. A method that PEFT cannot merge is in the record's `adapters` alone. The
    sentences are spread evenly over the lengths of those that the suite evaluates on.

    Raises:
        InputError: if no run is finished, or a merged model gives other logits than its adapter.
    """
    session = Session(suite, layout)
    seed, device = suite.seeds[0], session.device
    tokens = session.judged
    spread = np.linspace(0, len(tokens) - 1, min(SENTENCES, len(tokens))).round().astype(int)
    table = TokenTable(tokens.select(np.argsort(tokens.lengths, kind="stable")[spread]), device)

    def said(model: nn.Module) -> np.ndarray:
        return predict(model, table, suite.protocol)

    base = session.pretrained(seed).to(device)
    shared = dict(base.named_parameters())
    said(base)  # what is timed has predicted once, which does not count
    merged, adapters = {}, {}
    for name, method in suite.methods.items():
        files = session.run(name, seed)
        if method.kind != "adapter" or not files.result.exists():
            continue
        session.read_training(name, seed)
        states = {name: files.trained}
        if method.gated:
            session.read_pruning(name, seed)
            states[f"{name} pruned"] = files.pruned
        for state, folder in states.items():
            adapters[state] = _share(session.trained(method, seed, folder).to(device), shared)
            logits = said(adapters[state])
        try:  # in place: nothing may be shared before
            plain = merge(session.trained(method, seed, folder).to(device))
        except CannotMergeError as reason:
            print(f"{suite.name}: {name} is timed as trained: it cannot be merged ({reason})")
            continue
        merged[name] = _share(plain, shared)
        error = np.abs(said(plain) - logits).max()
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

    alike = stand_ins(merged, suite.timed_methods())
    plain = {"base": base} | {name: m for name, m in merged.items() if name not in alike}
    models = {("merged", name): model for name, model in plain.items()}
    models |= {("adapter", name): model for name, model in adapters.items()}
    cases = {case: functools.partial(said, model) for case, model in models.items()}
    seconds = interleave(cases, ROUNDS)
    judged = {case: run for case, run in cases.items() if case[0] == "merged"}
    more = interleave(judged, further_rounds({case[1]: seconds[case] for case in judged}))
    record = Inference(
        suite=suite.name,
        environment=session.environment(),
        sentences=len(table.lengths),
        seconds={case[1]: seconds[case] + more[case] for case in judged},
        adapters={name: seconds["adapter", name] for name in adapters},
        alike=alike,
    )
    write_record(layout.inference_json(suite.name), record)
    return record


def summary(timed: Inference) -> str:
    """One line a case: seconds, and the ratio to the pretrained model in the same round."""
    base = np.array(timed.seconds["base"])
    lines = [f"{len(base)} rounds of {timed.sentences} sentences; ratio: median (quartiles)"]
    for kind, cases in (("merged", timed.seconds), ("adapter", timed.adapters)):
        for name, seconds in cases.items():
            ratios = np.divide(seconds, base[: len(seconds)])
            low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
            ratio = f"{middle:.3f} ({low:.3f} to {high:.3f})"
            middle = np.median(seconds[: timed.common_rounds])
            lines.append(f"{name:24} {kind:8} {middle:8.4f} s  {ratio}")
    lines += [f"{name:24} merged   as {other}" for name, other in timed.alike.items()]
    return "\n".join(lines)


def stand_ins(models: dict[str, nn.Module], claimed: set[str]) -> dict[str, str]:
    """Of the plain `models` those that need no timing → another one that takes the same time.

    The same modules with tensors of the same shapes, strides and dtypes, all made from one
    pretrained model, do the same arithmetic in the same order on other numbers. What is `claimed`
    is timed itself, and stands for others rather than what is not.
    """
    forms = {name: _form(model) for name, model in models.items()}
    first: dict = {}
    for name in sorted(forms, key=lambda name: name not in claimed):
        first.setdefault(forms[name], name)
    stands = {name: first[form] for name, form in forms.items() if name not in claimed}
    return {name: other for name, other in stands.items() if name != other}


def _form(model: nn.Module) -> tuple:
    modules = tuple((name, type(module)) for name, module in model.named_modules())
    tensors = itertools.chain(model.named_parameters(), model.named_buffers())
    return modules, tuple((name, t.shape, t.stride(), t.dtype) for name, t in tensors)


def further_rounds(seconds: Seconds) -> int:
    """How many rounds more the 95 % intervals of all ratios to base need to be ±`WIDTH` narrow.

    `MOST` in all, at most. It is decided once, by how far the ratios of the first rounds spread,
    whatever they are, so that it leans to no verdict. An interval for the mean of all rounds then
    holds 93 % of the time where the rounds so far happened to lie close (simulated, at worst).

    Args:
        seconds: of the rounds so far, base and others; two rounds or more.
    """
    base = seconds["base"]
    t = stats.t.isf(0.025, len(base) - 1)
    spreads = [np.divide(own, base).std(ddof=1) for name, own in seconds.items() if name != "base"]
    wanted = math.ceil((t * max(spreads, default=0.0) / WIDTH) ** 2)
    return max(0, min(wanted, MOST) - len(base))


def interleave(cases: dict, rounds: int) -> dict:
    """Seconds of every case in every round; each round starts with another case."""
    names = list(cases)
    seconds: dict = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                start = time.perf_counter()
                cases[name]()  # ends with the logits on the host: nothing is left to wait for
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
