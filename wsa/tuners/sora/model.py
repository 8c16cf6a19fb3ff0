"""The tuner that puts SoRA adapters into a model, and takes their proximal steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import Tensor, nn
from torch.nn import functional as F

from wsa.tuners.sora.config import SoraConfig
from wsa.tuners.sora.layer import SoraLinear

NOT_TOLD = (
    "no gate is thresholded: the tuner is not told of the steps. Call "
    "model.base_model.update_and_allocate(step) after each optimizer step; transformers' Trainer "
    "does it with callbacks=[wsa.ChooseDirections()]"
)


class SoraModel(BaseTuner):
    """A model whose target modules carry SoRA adapters."""

    prefix = "sora_"
    tuner_layer_cls = SoraLinear
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._told = False
        self._first_gates: Tensor | None = None
        self._hook = self.model.register_forward_pre_hook(self._warn_if_not_told)

    def _create_and_replace(
        self,
        peft_config: SoraConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        *,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, SoraLinear):
            target.update_layer(adapter_name, peft_config)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(base, nn.Linear) or not base.weight.is_floating_point():
            raise ValueError(
                f"target module '{current_key}' is a {type(base).__name__}; SoRA takes "
                "torch.nn.Linear with a weight that is not quantised"
            )
        new_module = SoraLinear(target, adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            new_module.requires_grad_(False)
        self._replace_module(parent, target_name, new_module, target)

    @torch.no_grad()
    def update_and_allocate(self, global_step: int) -> None:
        """The proximal step on every gate that trains; belongs after each optimizer step.

        Gates with a rate of their own take their step first: there it belongs before gradients are
        cleared, as AdaLoRA's does.

        Args:
            global_step: how many steps were done before this one.

        Raises:
            ValueError: where gates have a rate of their own, if they have no gradient, or the
                number of steps is not known.
        """
        self._told, self._first_gates = True, None
        for layer, adapter, gate in self._gates():
            config = self.peft_config[adapter]
            if not gate.requires_grad:
                continue
            if config.gate_learning_rate is not None:
                if config.total_steps is None:
                    raise ValueError("total_steps: the gates' rate falls to 0 over how many steps?")
                left = max(0.0, 1 - global_step / config.total_steps)
                layer.step_gate(adapter, config.gate_learning_rate * left)
            gate.copy_(F.softshrink(gate, config.soft_threshold))

    def effective_rank(self) -> dict[str, int]:
        """How many directions of every adapted module are left: those whose gate is not 0."""
        ranks: dict[str, int] = {}
        names = {layer: name for name, layer in self.model.named_modules()}
        for layer, _, gate in self._gates():
            name = names[layer]
            ranks[name] = ranks.get(name, 0) + int(gate.count_nonzero())
        return ranks

    def _gates(self) -> Iterator[tuple[SoraLinear, str, nn.Parameter]]:
        """(module, adapter's name, gate) of every active adapter."""
        for layer in self.model.modules():
            if isinstance(layer, SoraLinear):
                for adapter in layer.active_adapters:
                    if adapter in layer.sora_gate:
                        yield layer, adapter, layer.sora_gate[adapter]

    def _warn_if_not_told(self, model: nn.Module, args: tuple) -> None:
        """A forward pre-hook: say so where gates have moved and no proximal step was taken."""
        if self._told or not model.training:
            return
        gates = [gate.detach() for _, _, gate in self._gates()]
        if not gates:
            return
        now = torch.cat(gates)
        if self._first_gates is None or len(now) != len(self._first_gates):
            self._first_gates = now
        elif not torch.equal(now, self._first_gates):
            self._told = True  # once is enough
            warnings.warn(NOT_TOLD, stacklevel=2)

    def _unload_and_optionally_merge(self, *args: Any, **kwargs: Any) -> nn.Module:
        self._hook.remove()
        return super()._unload_and_optionally_merge(*args, **kwargs)
