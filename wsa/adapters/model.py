"""The tuner that puts spectral adapters into a model."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import (
    BaseTuner,
    BaseTunerLayer,
    _maybe_include_all_linear_layers,
)
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.other import get_pattern_key
from torch import Tensor, nn
from transformers.loss.loss_utils import LOSS_MAPPING, ForCausalLMLoss
from transformers.pytorch_utils import Conv1D

from wsa.adapters.change import low_rank_change
from wsa.adapters.choosing import NOT_TOLD, DirectionAllocator
from wsa.adapters.config import SpectralConfig
from wsa.adapters.layer import SpectralLayer, SpectralLinear
from wsa.adapters.saved import gate_values


class SpectralModel(BaseTuner):
    """A model whose target modules carry spectral adapters.

    When the model returns a loss in training mode, the ℓ1 term of gated adapters is added to it,
    so that any training loop (transformers' `Trainer` too) trains what the method defines. Where
    the loss is computed outside of the model, add `penalty()` to it.
    """

    prefix = "spectral_"
    tuner_layer_cls = SpectralLayer
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # not in forward(): without a task type, PeftModel calls the model inside directly
        self._hooks = [
            self.model.register_forward_hook(self._add_penalty, with_kwargs=True),
            self.model.register_forward_pre_hook(self._prepare_changes),
            self.model.register_forward_hook(self._forget_changes, always_call=True),
        ]
        self._warned = False

    def inject_adapter(
        self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any
    ) -> None:
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        if getattr(self.peft_config[adapter_name], "choose", None):
            # named as AdaLoRA's is: a training loop keeps its running means with the weights
            self.rankallocator = DirectionAllocator(self.peft_config[adapter_name])

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
        ranks = peft_config.rank_pattern
        # a module's own name first: another's may be its ending
        pattern = current_key if current_key in ranks else get_pattern_key(ranks, current_key)
        r = ranks.get(pattern, peft_config.r)
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
        if not base.weight.is_floating_point():
            raise ValueError(
                f"target module '{current_key}' has a weight of {base.weight.dtype}: spectral "
                "adapters need its singular vectors, which a quantised weight does not give"
            )
        new_module = SpectralLinear(target, adapter_name, r, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            new_module.requires_grad_(False)
        self._replace_module(parent, target_name, new_module, target)

    def _prepare_model(self, peft_config: SpectralConfig, model: nn.Module) -> None:
        """Refuse tied weights before anything is replaced: a merge would change both owners."""
        config = _maybe_include_all_linear_layers(copy.copy(peft_config), model)
        owners: dict[int, set[str]] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter):
                owners.setdefault(id(weight), set()).add(name.removesuffix(".base_layer"))
        for names in owners.values():
            tied = sorted(n for n in names if self._check_target_module_exists(config, n))
            if len(names) > 1 and tied:
                others = ", ".join(f"'{name}'" for name in sorted(names - {tied[0]}))
                raise ValueError(
                    f"target module '{tied[0]}' shares its weight with {others}: adapting one "
                    "would change the other when merged; leave it out of target_modules"
                )

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        """Without `autocast_adapter_dtype` an adapter has the precision of the base weights."""
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        if autocast_adapter_dtype:
            return
        for layer in self.spectral_layers().values():
            if adapter_name in layer.r:
                layer.cast(adapter_name, layer.get_base_layer().weight.dtype)

    @torch.no_grad()
    def add_weighted_adapter(
        self,
        adapters: Sequence[str],
        weights: Sequence[float],
        adapter_name: str,
        combination_type: str = "cat",
    ) -> None:
        """Add an adapter whose change of every weight is Σ wᵢ Δᵢ, exactly.

        A change is a sum over directions, and linear in their singular values: the new adapter
        has the directions of them all, each σ times its adapter's weight.

        Args:
            adapters: names of adapters of one kind, none of which has modules of its own.
            weights: one for each.
            adapter_name: of the new one, which is not made active.
            combination_type: only PEFT's "cat".

        Raises:
            ValueError: if there is no such sum, or a name is not free or not there.
        """
        configs = self._configs_to_add(adapters, weights, adapter_name, combination_type)
        layers = {
            name: layer
            for name, layer in self.spectral_layers().items()
            if any(adapter in layer.r for adapter in adapters)
        }
        ranks = {
            name: sum(layer.r.get(adapter, 0) for adapter in adapters)
            for name, layer in layers.items()
        }
        self.peft_config[adapter_name] = dataclasses.replace(
            configs[0], r=max(1, *ranks.values()), rank_pattern=ranks, target_modules=set(layers),
            exclude_modules=None, init_factors=False,
        )  # fmt: skip
        self.inject_adapter(self.model, adapter_name)
        for layer in layers.values():
            layer.add_weighted(adapter_name, dict(zip(adapters, weights, strict=True)))

    def _configs_to_add(
        self,
        adapters: Sequence[str],
        weights: Sequence[float],
        adapter_name: str,
        combination_type: str,
    ) -> list[SpectralConfig]:
        if combination_type != "cat":
            raise ValueError(
                f"spectral adapters are added with combination_type='cat', not {combination_type!r}"
            )
        if adapter_name in self.peft_config:
            raise ValueError(f"there is an adapter '{adapter_name}' already")
        if len(set(adapters)) != len(adapters) or len(adapters) != len(weights) or not adapters:
            raise ValueError(f"give distinct adapters and a weight for each, not {adapters!r}")
        for adapter in adapters:
            if adapter not in self.peft_config:
                raise ValueError(f"there is no adapter '{adapter}'")
        configs = [self.peft_config[adapter] for adapter in adapters]
        kinds = {
            (type(c), getattr(c, "gate", None), getattr(c, "subtract_base", None)) for c in configs
        }
        if len(kinds) > 1:
            raise ValueError("only adapters of one type and one gate can be added")
        if any(config.modules_to_save for config in configs):
            raise ValueError("adapters with modules_to_save cannot be added: those have no sum")
        return configs

    def spectral_layers(self) -> dict[str, SpectralLayer]:
        """The adapted modules by name."""
        return {
            name: module
            for name, module in self.model.named_modules()
            if isinstance(module, SpectralLayer)
        }

    def gates(self) -> dict[str, Tensor]:
        """The gates (r,) of the active gated adapters, by module."""
        return {name: layer.gates(adapter) for name, layer, adapter in self._gated()}

    def update_and_allocate(self, global_step: int) -> None:
        """Score the directions of an adapter that chooses them, and drop what is over its budget.

        Belongs between the optimizer's step and clearing the gradients, at every step, as with
        AdaLoRA; nothing happens for any other adapter.

        Args:
            global_step: how many steps were done before this one.

        Raises:
            ValueError: if the gates have no gradient, or the number of steps is not known.
        """
        gates = {
            name: layer.spectral_gate[adapter]
            for name, layer, adapter in self._gated()
            if self.peft_config[adapter].choose
        }
        if gates:
            self.rankallocator.update(gates, global_step + 1)

    def penalty(self) -> Tensor | None:
        """λ Σ|g| over all modules and directions of the active adapters; None without gates.

        Where directions are chosen, nothing is shrunk.
        """
        gates: dict[str, list[Tensor]] = {}
        for _, layer, adapter in self._gated():
            if self.peft_config[adapter].choose:
                continue
            gates.setdefault(adapter, []).append(layer.spectral_gate[adapter])
        configs = self.peft_config
        terms = [
            configs[name].l1 * gate_values(torch.cat(values), configs[name].gate).abs().sum()
            for name, values in gates.items()
        ]
        return torch.stack(terms).sum() if terms else None

    def zero_gates_below(self, threshold: float) -> None:
        """Set the active adapters' gates with |g| < `threshold` to zero; all else stays.

        For the gate "singular_value" that restores σᵢ and keeps what the vectors learned; for
        "direction" it takes the whole change of the direction away, as pruning does.
        """
        for _, layer, adapter in self._gated():
            below = layer.gates(adapter).abs() < threshold
            layer.spectral_gate[adapter].data[below] = 0.0

    def _gated(self) -> Iterator[tuple[str, SpectralLayer, str]]:
        """(module's name, layer, adapter's name) of every gated adapter in use."""
        for name, layer in self.spectral_layers().items():
            for adapter in layer.active_adapters:
                if adapter in layer.spectral_gate and not layer.disable_adapters:
                    yield name, layer, adapter

    def _add_penalty(self, model: nn.Module, args: tuple, kwargs: dict, outputs: Any) -> None:
        """A forward hook: the ℓ1 term joins the loss of a training step."""
        if not model.training or getattr(outputs, "loss", None) is None:
            return
        self._warn_if_not_told()
        penalty = self.penalty()
        if penalty is None:
            return
        if kwargs.get("num_items_in_batch") is not None:
            penalty = penalty * _share_of_step(model, kwargs)
        outputs.loss = outputs.loss + penalty

    def _warn_if_not_told(self) -> None:
        """Say so where an optimizer has moved gates that `update_and_allocate` should have held."""
        allocator = getattr(self, "rankallocator", None)
        if allocator is None or allocator.exp_avg_ipt or self._warned:
            return
        for _, layer, adapter in self._gated():
            gate = layer.spectral_gate[adapter]
            if self.peft_config[adapter].choose and not bool(((gate == 0) | (gate == 1)).all()):
                self._warned = True
                warnings.warn(NOT_TOLD, stacklevel=2)
                return

    @staticmethod
    def _prepare_changes(model: nn.Module, args: tuple) -> None:
        """A forward pre-hook: A', B' of all layers of one shape at once, in few operators.

        An accelerator that waits for its host waits for operators, and these would be some twenty
        for every layer. A layer that is called by itself makes its own.
        """
        alike: dict[tuple, list[tuple[SpectralLayer, dict[str, Tensor]]]] = {}
        for module in model.modules():
            if getattr(module, "gradient_checkpointing", False):
                return  # parts of the model run again on the way back, when these are forgotten
            if not isinstance(module, SpectralLayer) or module.disable_adapters or module.merged:
                continue
            for adapter in module.active_adapters:
                if module.r.get(adapter, 0) > 0:
                    parts = module.parts(adapter)
                    kinds = ((t.shape, t.dtype, t.device) for t in parts.values())
                    alike.setdefault((adapter, *kinds), []).append((module, parts))
        for (adapter, *_), members in alike.items():
            if len(members) > 1:
                layers, parts = zip(*members, strict=True)
                stacked = {name: torch.stack([p[name] for p in parts]) for name in parts[0]}
                changes = low_rank_change(stacked, layers[0].spectral_config[adapter])
                for layer, A, B in zip(layers, *map(torch.unbind, changes), strict=True):
                    layer.prepared[adapter] = A, B

    @staticmethod
    def _forget_changes(model: nn.Module, args: tuple, outputs: Any) -> None:
        """A forward hook, after an error too."""
        for module in model.modules():
            if isinstance(module, SpectralLayer):
                module.prepared.clear()

    @contextlib.contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        if kwargs.get("adapter_names") is not None:
            raise ValueError(
                "adapter_names: spectral adapters cannot be mixed in one batch; set_adapter "
                "activates one, or several for all sentences"
            )
        yield

    def _unload_and_optionally_merge(self, *args: Any, **kwargs: Any) -> nn.Module:
        for hook in self._hooks:
            hook.remove()
        return super()._unload_and_optionally_merge(*args, **kwargs)


def _share_of_step(model: nn.Module, kwargs: dict) -> Tensor:
    """Which part of an optimizer step's batch this forward pass is.

    Where the model divides its loss by the labels of the whole step (`num_items_in_batch`),
    `Trainer` adds up the losses of the accumulated parts: their penalties must sum to one penalty.
    Labels are counted as `Trainer._get_num_items_in_batch` counts them.
    """
    labels = kwargs.get("shift_labels")
    if labels is None:
        labels = kwargs["labels"]
        shifts = LOSS_MAPPING.get(getattr(model, "loss_type", None)) is ForCausalLMLoss
        if shifts and not getattr(model.config, "is_encoder_decoder", False):
            labels = labels[..., 1:]
    return labels.ne(-100).sum() / kwargs["num_items_in_batch"]
