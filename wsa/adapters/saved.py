"""A saved adapter, direction by direction: gates, what is kept, and the pruned copy.

Works on files and arrays alone; needs neither torch nor PEFT. What cuts arrays cuts tensors, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from wsa.errors import InputError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

# the tensors of an adapter, and along which axis direction counts
DIRECTION_AXIS = {
    "spectral_U": 1,
    "spectral_A_U": 1,
    "spectral_S": 0,
    "spectral_V": 0,
    "spectral_A_V": 0,
    "spectral_gate": 0,
    "spectral_scale": 0,
}
_FROZEN = ("spectral_U", "spectral_S", "spectral_V")
_PREFIX = "base_model.model."

Array = TypeVar("Array")  # a numpy array from a file, or a tensor of a model


@dataclass(frozen=True)
class PrunedRanks:
    """What pruning kept.

    Attributes:
        threshold: τ, as applied.
        initial: module → rank before.
        effective: module → rank after.
        kept_parameters: trainable numbers left: those of kept directions and of the head.
    """

    threshold: float
    initial: dict[str, int]
    effective: dict[str, int]
    kept_parameters: int

    @property
    def effective_mean(self) -> float:
        """The mean of the modules' effective ranks."""
        return float(np.mean(list(self.effective.values())))


def prune_saved_adapter(
    folder: Path, destination: Path, threshold: float | None = None
) -> PrunedRanks:
    """Write the pruned copy of a saved gated adapter, every module at its own rank.

    Works on the files alone: no base model, no torch.

    Args:
        folder: a saved adapter with gates.
        destination: an existing folder for the pruned one.
        threshold: τ; default: the adapter's own.

    Raises:
        InputError: if the adapter has no gates or is damaged.
    """
    from safetensors.numpy import load_file, save_file

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    gate = config.get("gate")
    if gate is None:
        raise InputError("this adapter has no gates to prune by", file=folder)
    threshold = config["threshold"] if threshold is None else threshold
    tensors = load_file(folder / WEIGHTS)
    modules = by_module(tensors)
    pruned = head_tensors(tensors)
    initial: dict[str, int] = {}
    effective: dict[str, int] = {}
    for module, parts in modules.items():
        kept = kept_directions(parts, gate, threshold)
        initial[module], effective[module] = len(kept), int(kept.sum())
        for part, tensor in take_directions(parts, kept).items():
            pruned[adapter_key(module, part)] = np.ascontiguousarray(tensor)
    config |= {"rank_pattern": effective, "init_factors": False, "threshold": threshold}
    save_file(pruned, destination / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(config, indent=2, sort_keys=True)
    (destination / CONFIG).write_text(text, encoding="utf-8")
    return PrunedRanks(threshold, initial, effective, kept_parameters(pruned))


def by_module(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The spectral tensors of a saved adapter: module → part → tensor."""
    modules: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        module, part = _split(key)
        if part is not None:
            modules.setdefault(module, {})[part] = tensor
    return modules


def head_tensors(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of a saved adapter that are not the tuner's own: modules trained in full."""
    return {key: tensor for key, tensor in tensors.items() if _split(key)[1] is None}


def adapter_key(module: str, part: str) -> str:
    """The key in an adapter's file of a tensor of `module`."""
    return f"{_PREFIX}{module}.{part}"


def gate_values(parameter: Array, gate: str) -> Array:
    """The gates g of shape (r,), from the trained parameter of shape (r,).

    For gate "singular_value" the parameter is s and g = tanh(s); else the parameter is g itself.
    """
    if gate != "singular_value":
        return parameter
    return parameter.tanh() if hasattr(parameter, "tanh") else np.tanh(parameter)


def is_gate(name: str) -> bool:
    """Whether the parameter `name` of a model belongs to a gate."""
    return any(f".{part}." in f".{name}." for part in ("spectral_gate", "spectral_scale"))


def kept_directions(parts: Mapping[str, Array], gate: str, threshold: float) -> Array:
    """Which directions have |g| ≥ τ: shape (r,), bool."""
    return abs(gate_values(parts["spectral_gate"], gate)) >= threshold


def take_directions(parts: Mapping[str, Array], kept: Array) -> dict[str, Array]:
    """The tensors of a module cut to the directions in `kept`, a mask of shape (r,)."""
    return {
        part: tensor[:, kept] if DIRECTION_AXIS[part] == 1 else tensor[kept]
        for part, tensor in parts.items()
    }


def _split(key: str) -> tuple[str, str | None]:
    """A saved tensor's module and part; no part if it is not the tuner's own (the head)."""
    module, _, part = key.removeprefix(_PREFIX).rpartition(".")
    return (module, part) if part in DIRECTION_AXIS else (key, None)


def kept_parameters(tensors: Mapping[str, Any]) -> int:
    """The numbers in an adapter's file that trained: all but the singular triplets."""
    return sum(math.prod(t.shape) for key, t in tensors.items() if not key.endswith(_FROZEN))
