"""The tuner that puts spectral adapters into a model."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.other import get_pattern_key
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from wsa.adapters.config import SpectralConfig
from wsa.adapters.layer import SpectralLayer, SpectralLinear


class SpectralModel(BaseTuner):
    """A model whose target modules carry spectral adapters.

    When the model returns a loss in training mode, the ℓ1 term of gated adapters is added to it,
    so that any training loop (transformers' `Trainer` too) trains what the method defines.
    """

    prefix = "spectral_"
    tuner_layer_cls = SpectralLayer
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def _create_and_replace(
        self,
        peft_config: SpectralConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        *,
        parameter_name: str | None = None,
    ) -> None:
        pattern = get_pattern_key(peft_config.rank_pattern.keys(), current_key)
        r = peft_config.rank_pattern.get(pattern, peft_config.r)
        if isinstance(target, SpectralLayer):
            target.update_layer(adapter_name, r, peft_config, current_key)
            if adapter_name not in self.active_adapters:
                target.set_adapter(self.active_adapters)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(base, nn.Linear | Conv1D):
            raise ValueError(
                f"target module '{current_key}' is a {type(base).__name__}; spectral adapters "
                "take torch.nn.Linear and transformers' Conv1D"
            )
        new_module = SpectralLinear(target, adapter_name, r, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            new_module.requires_grad_(False)
        self._replace_module(parent, target_name, new_module, target)

    def _check_tied_modules(self, model: nn.Module, peft_config: SpectralConfig) -> None:
        """Refuse tied weights: a merge would change the module that shares them."""
        tied = self._get_tied_target_modules(model)
        if tied:
            raise ValueError(
                f"target modules {sorted(tied)} share their weight with another module; adapting "
                "one of them would change both when merged: leave them out of target_modules"
            )

    def spectral_layers(self) -> dict[str, SpectralLayer]:
        """The adapted modules by name."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, SpectralLayer)
        }

    def gates(self) -> dict[str, Tensor]:
        """The gates (r,) of the active gated adapters, by module."""
        return {
            name: layer.gates(adapter_name)
            for name, layer in self.spectral_layers().items()
            for adapter_name in layer.active_adapters
            if adapter_name in layer.spectral_gate
        }

    def penalty(self) -> Tensor | None:
        """λ Σ|g| over all modules and directions; None without gates."""
        terms = [
            self.peft_config[adapter_name].l1 * layer.gates(adapter_name).abs().sum()
            for layer in self.spectral_layers().values()
            for adapter_name in layer.active_adapters
            if adapter_name in layer.spectral_gate
        ]
        return torch.stack(terms).sum() if terms else None

    def zero_gates_below(self, threshold: float) -> None:
        """Set the active adapters' gates with |g| < `threshold` to zero; all else stays.

        For the gate "singular_value" that restores σᵢ and keeps what the vectors learned; for
        "direction" it takes the whole change of the direction away, as pruning does.
        """
        for layer in self.spectral_layers().values():
            for adapter_name in layer.active_adapters:
                if adapter_name in layer.spectral_gate:
                    below = layer.gates(adapter_name).abs() < threshold
                    layer.spectral_gate[adapter_name].data[below] = 0.0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self.model(*args, **kwargs)
        if self.training and getattr(outputs, "loss", None) is not None:
            penalty = self.penalty()
            if penalty is not None:
                outputs.loss = outputs.loss + penalty
        return outputs
