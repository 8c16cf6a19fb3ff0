"""Dropping the directions whose gate is below the threshold, in a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from peft import get_peft_model_state_dict
from torch import Tensor

from wsa.adapters.choosing import NOT_TOLD
from wsa.adapters.config import WSAConfig
from wsa.adapters.model import SpectralModel
from wsa.adapters.saved import PrunedRanks, kept_parameters


def prune(
    model: Any, threshold: float | None = None, *, target_rank: float | None = None
) -> PrunedRanks:
    """Drop the directions with |g| < τ of the active adapter of a model, for good.

    Prune after training: an optimizer made before still holds the parameters as they were. Saved,
    the adapter has its own size, a rank per module in `rank_pattern`.

    Warns if there is nothing to drop because no gate has got anywhere in training.

    Args:
        model: what `get_peft_model` or `PeftModel.from_pretrained` gave, with `WSAConfig`.
        threshold: τ; default: the adapter's own.
        target_rank: instead of τ, the mean rank over the modules that is wanted. The directions
            with the largest |g| of all modules stay, so that modules share the budget as their
            gates say (the idea of AdaLoRA, Zhang et al. 2023, arXiv:2303.10512).

    Raises:
        ValueError: if the model has no gated adapter in use, or it is merged; if both τ and a
            rank are given, or a rank that the adapter does not have.
    """
    tuner = _tuner(model)
    (adapter,) = tuner.active_adapters
    config = tuner.peft_config[adapter]
    gates = tuner.gates()
    if not gates:
        raise ValueError(f"adapter '{adapter}' has no gates to prune by")
    if any(layer.merged for layer in tuner.spectral_layers().values()):
        raise ValueError("the adapter is merged: call unmerge_adapter() before pruning")
    if target_rank is not None:
        if threshold is not None:
            raise ValueError("give a threshold or a target_rank, not both")
        threshold = _threshold_for(target_rank, gates)
    threshold = config.threshold if threshold is None else threshold
    if target_rank is None:
        _warn_if_idle(gates, config, threshold)
    initial = {name: len(values) for name, values in gates.items()}
    for name, values in gates.items():
        tuner.spectral_layers()[name].keep(adapter, abs(values) >= threshold)
    config.rank_pattern = effective = effective_rank(model, threshold)
    kept = kept_parameters(get_peft_model_state_dict(tuner, adapter_name=adapter))
    return PrunedRanks(threshold, initial, dict(effective), kept)


def _warn_if_idle(gates: Mapping[str, Tensor], config: WSAConfig, threshold: float) -> None:
    """Say so where gates that start at 1 stay there: all that they should prune is kept."""
    if config.choose:
        kept = sum(int((abs(values) >= threshold).sum()) for values in gates.values())
        if kept > max(1, round(config.target_rank * len(gates))):
            warnings.warn(
                f"{kept / len(gates):.2f} directions a module are left, not {config.target_rank:g}"
                f": {NOT_TOLD}, at every step to the end",
                stacklevel=3,
            )
        return
    if config.gate == "singular_value" or any(len(values) < config.r for values in gates.values()):
        return  # they start at 0; or the idle ones are what an earlier pruning has left
    nearest = min(values.detach().abs().min().item() for values in gates.values())
    if nearest > (1 + threshold) / 2:
        warnings.warn(
            f"nothing is pruned: no gate came near the threshold {threshold:g}, the nearest is "
            f"{nearest:.3g} and began at 1. Gates need a higher learning rate than the rest: "
            "groups = wsa.parameter_groups(model, learning_rate=…, gate_learning_rate=6 / steps); "
            "transformers' Trainer takes them as optimizers=(torch.optim.AdamW(groups), None)",
            stacklevel=3,
        )


def _threshold_for(target_rank: float, gates: Mapping[str, Tensor]) -> float:
    """The τ that leaves `target_rank` directions in the mean over the modules."""
    magnitudes = torch.cat([values.detach().abs() for values in gates.values()])
    present = len(magnitudes) / len(gates)
    if not 0 < target_rank <= present:
        raise ValueError(
            f"target_rank should be above 0 and at most {present:g}, the adapter's mean rank, "
            f"not {target_rank!r}"
        )
    kept = max(1, round(target_rank * len(gates)))
    return float(magnitudes.sort(descending=True).values[kept - 1])


def effective_rank(model: Any, threshold: float | None = None) -> dict[str, int]:
    """How many directions of every adapted module are in use: those with |g| ≥ τ.

    Args:
        model: a model with a spectral adapter. Without gates every direction is in use.
        threshold: τ; default: the adapter's own.

    Raises:
        ValueError: if the model has no spectral adapter.
    """
    tuner = _tuner(model)
    gates = tuner.gates()
    ranks: dict[str, int] = {}
    for name, layer in tuner.spectral_layers().items():
        for adapter in layer.active_adapters:
            if name in gates:
                least = tuner.peft_config[adapter].threshold if threshold is None else threshold
                ranks[name] = int((abs(gates[name]) >= least).sum())
            elif adapter in layer.r:
                ranks[name] = layer.r[adapter]
    return ranks


def _tuner(model: Any) -> SpectralModel:
    tuner = model if isinstance(model, SpectralModel) else getattr(model, "base_model", None)
    if not isinstance(tuner, SpectralModel):
        raise ValueError(f"this {type(model).__name__} has no spectral adapter")
    if len(tuner.active_adapters) != 1:
        raise ValueError(f"activate one adapter; active are {tuner.active_adapters}")
    return tuner
