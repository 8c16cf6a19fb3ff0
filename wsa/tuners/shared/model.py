"""The tuner that puts such layers into a model."""

from __future__ import annotations

from typing import Any, ClassVar

from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers.pytorch_utils import Conv1D

from wsa.adapters.model import SpectralModel
from wsa.tuners.shared.config import TunerConfig
from wsa.tuners.shared.layer import TunedLinear


class TunedModel(BaseTuner):
    """A model whose target modules carry adapters of one type; a subclass names the layer.

    Attributes:
        tuner_layer_cls: the tuner's `TunedLinear`.
    """

    tuner_layer_cls: ClassVar[type[TunedLinear]]
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    # refuse tied weights, which a merge would change for both owners, and mixed batches
    _prepare_model = SpectralModel._prepare_model
    _enable_peft_forward_hooks = SpectralModel._enable_peft_forward_hooks

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.prefix = cls.tuner_layer_cls.prefix

    def _create_and_replace(
        self,
        peft_config: TunerConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        *,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, peft_config, current_key)
            if adapter_name not in self.active_adapters:
                target.set_adapter(self.active_adapters)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(base, nn.Linear | Conv1D):
            raise ValueError(
                f"target module '{current_key}' is a {type(base).__name__}; "
                f"{peft_config.PEFT_TYPE} takes torch.nn.Linear and transformers' Conv1D"
            )
        if not base.weight.is_floating_point():
            raise ValueError(
                f"target module '{current_key}' has a weight of {base.weight.dtype}: "
                f"{peft_config.PEFT_TYPE} needs its singular vectors, which a quantised weight "
                "does not give"
            )
        new_module = self.tuner_layer_cls(target, adapter_name, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            new_module.requires_grad_(False)
        self._replace_module(parent, target_name, new_module, target)

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        """Without `autocast_adapter_dtype` an adapter has the precision of the base weights."""
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        if autocast_adapter_dtype:
            return
        for layer in self.spectral_layers().values():
            if adapter_name in layer.configs:
                layer.cast(adapter_name, layer.get_base_layer().weight.dtype)

    def spectral_layers(self) -> dict[str, TunedLinear]:
        """The adapted modules by name: a training asks them which cached factors they took."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, self.tuner_layer_cls)
        }
