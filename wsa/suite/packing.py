"""Which runs of a suite can be trained together (`wsa.packed`), and into which packs they go."""

from __future__ import annotations

import json
from collections.abc import Sequence

from wsa.errors import InputError
from wsa.suite.schema import Method, Suite

Run = tuple[str, int]  # method, seed
Pack = tuple[tuple[str, ...], tuple[int, ...]]  # methods and seeds: every pair of them is a run

# the adapters that tests have compared with single runs; of LoRA's many variants the plain one
_PEFT_TYPES = ("LORA", "SPECTRAL", "WSA")
_LORA = {
    "peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules",
    "exclude_modules", "rank_pattern", "alpha_pattern",
}  # fmt: skip


def why_alone(method: Method) -> str:
    """Why runs of `method` are trained one by one; empty if they need not be."""
    adapter = method.adapter or {}
    if adapter.get("peft_type") not in _PEFT_TYPES:
        return f"it has no adapter of type {', '.join(_PEFT_TYPES)}"
    if method.cut is not None or adapter.get("choose") is not None:
        return "it changes its ranks while it trains"
    if adapter["peft_type"] == "LORA":
        tuned = _tuned_arguments(method)
        if further := sorted({*adapter, *tuned} - _LORA):
            return f"LoRA with {', '.join(further)} was not compared with single runs"
        if adapter.get("lora_dropout") or "lora_dropout" in tuned:
            return "its adapter has dropout"
    return ""


def _tuned_arguments(method: Method) -> set[str]:
    """The arguments of the adapter that trials choose, in a suite with `tuning`."""
    return {key.partition(".")[2] for key in method.tune if key.startswith("adapter.")}


def check_packable(suite: Suite, runs: Sequence[Run]) -> None:
    """Raise InputError unless these runs can be trained together."""
    if not runs or len(set(runs)) < len(runs):
        raise InputError("a pack is of distinct runs", value=list(runs))
    if suite.protocol.precision != "float32":
        # torch.vmap takes a linear layer apart, and autocast then leaves its bias in float32
        raise InputError(
            "runs are packed in float32 alone", key="protocol.precision",
            value=suite.protocol.precision, remedy="train them one by one: wsa train",
        )  # fmt: skip
    first = suite.method(runs[0][0])
    for name, _ in runs:
        method = suite.method(name)
        if why := why_alone(method):
            raise _not_packable(name, why)
        if method.adapter != first.adapter:
            raise _not_packable(name, f"its adapter is not that of '{runs[0][0]}'")


def _not_packable(name: str, why: str) -> InputError:
    return InputError(
        f"method '{name}' cannot be in this pack: {why}", remedy="train it by itself: wsa train"
    )


def packs(suite: Suite) -> list[Pack]:
    """The packs of a suite with `execution`, of at most that many runs; none of another.

    Seeds of one method go together; in a suite of one seed, such as one of trials, methods that
    differ in their rates alone. A run that is left over trains by itself.
    """
    if suite.execution is None:
        return []
    names = [name for name, method in suite.methods.items() if not why_alone(method)]
    size = suite.execution.pack
    if len(suite.seeds) > 1:
        found = [((name,), part) for name in names for part in _parts(suite.seeds, size)]
    else:
        alike: dict[str, list[str]] = {}
        for name in names:
            method = suite.methods[name]
            if suite.tuning and _tuned_arguments(method):
                continue  # trials may choose other ones than for a method that is like it now
            key = json.dumps(method.adapter, sort_keys=True)
            alike.setdefault(key, []).append(name)
        found = [(part, suite.seeds) for some in alike.values() for part in _parts(some, size)]
    return [(methods, seeds) for methods, seeds in found if len(methods) * len(seeds) > 1]


def _parts(some: Sequence, size: int) -> list[tuple]:
    return [tuple(some[start : start + size]) for start in range(0, len(some), size)]
