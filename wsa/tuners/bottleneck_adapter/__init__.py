"""Bottleneck adapters: a small network between a transformer's sublayers, with a skip connection.

What a target module is says where its adapter stands; s is what a post-norm layer norm N gets, the
residual sum of a sublayer's output and of its input.

- A linear layer that ends a sublayer: h ← h + W_up f(W_down h + b_down) + b_up of its output h, so
  before the sublayer's residual sum and layer norm. With the attention's and the feed-forward
  block's last layers as targets these are the adapters of Houlsby et al. 2019 ("Parameter-Efficient
  Transfer Learning for NLP", arXiv:1902.00751, section 2.1, figure 2).
- A layer norm: N(s + W_up f(W_down N(s) + b_down) + b_up), so that the adapter reads the normed sum
  and adds to the sum itself, which is normed again. At the feed-forward block's norm alone this is
  the adapter of Pfeiffer et al. 2021 ("AdapterFusion", arXiv:2005.00247), as AdapterHub has it
  (`SeqBnConfig`: norm and residual before the adapter, its own skip connection from before them).

One thing differs from Houlsby's public code, in training alone: there the sublayer's dropout comes
before the adapter, here after it, where a linear layer ends. Pfeiffer's place is after it in both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from peft.config import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_target_module_exists
from torch import Tensor, nn
from torch.nn import functional as F

from wsa.adapters.config import SpectralType

PEFT_TYPE = "BOTTLENECK_ADAPTER"
# as transformers calls the layer norms of BERT, RoBERTa and DeBERTa
NORM = "LayerNorm"
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


@dataclass
class BottleneckAdapterConfig(PeftConfig):
    """Bottleneck adapters of one size.

    Args:
        r: width of the bottleneck.
        activation: f, one of `ACTIVATIONS`. Houlsby has gelu, AdapterHub relu for Pfeiffer's.
        init_std: of both matrices at first, normal and cut off at two standard deviations; biases
            are zero. Houlsby's 0.01 (section 3.6) starts near the pretrained model, not at it. At 0
            it would, and neither matrix would ever have a gradient.
        train_norms: whether every module called LayerNorm trains too, as Houlsby has it.
        target_modules: linear layers or layer norms: names, endings of names, or a regular
            expression.
        exclude_modules: names never adapted, even where `target_modules` matches.
        modules_to_save: modules trained in full beside the adapter, such as a new head.
    """

    r: int = 64
    activation: Literal["gelu", "relu", "silu", "tanh"] = "gelu"
    init_std: float = 0.01
    train_norms: bool = False
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = SpectralType(PEFT_TYPE)
        if not isinstance(self.r, int) or self.r < 1:
            raise ValueError(f"r should be a whole number of at least 1, not {self.r!r}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation should be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}"
            )
        if not self.init_std > 0:
            raise ValueError(f"init_std should be above 0, not {self.init_std!r}")
        if self.train_norms:
            # kept in order, and once: a saved configuration has it already
            self.modules_to_save = [*dict.fromkeys([*(self.modules_to_save or ()), NORM])]


class BottleneckAdapterLayer(nn.Module, BaseTunerLayer):
    """A linear layer or a layer norm of width d with its adapters, by name.

    `bottleneck_down` holds W_down (r, d) and b_down (r,), `bottleneck_up` W_up (d, r) and b_up
    (d,). Several active adapters follow one another.
    """

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("activation",)

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer, self.merged_adapters = base_layer, []
        self.bottleneck_down, self.bottleneck_up = nn.ModuleDict(), nn.ModuleDict()
        self.activation: dict[str, Callable[[Tensor], Tensor]] = {}
        base = self.get_base_layer()
        self.before = isinstance(base, nn.LayerNorm)
        self.width = base.normalized_shape[-1] if self.before else base.out_features

    def update_layer(self, adapter_name: str, config: BottleneckAdapterConfig) -> None:
        """Add an adapter."""
        for held, inner, outer in (
            (self.bottleneck_down, self.width, config.r),
            (self.bottleneck_up, config.r, self.width),
        ):
            held[adapter_name] = nn.Linear(inner, outer)
            cut = 2 * config.init_std
            nn.init.trunc_normal_(held[adapter_name].weight, std=config.init_std, a=-cut, b=cut)
            nn.init.zeros_(held[adapter_name].bias)
        self.activation[adapter_name] = ACTIVATIONS[config.activation]
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters)

    def change(self, adapter_name: str, h: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """W_up f(W_down h + b_down) + b_up."""
        down, up = self.bottleneck_down[adapter_name], self.bottleneck_up[adapter_name]
        inner = down(self._cast_input_dtype(h, down.weight.dtype))
        return up(self.activation[adapter_name](inner)).to(h.dtype)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Float[Tensor, "... d"]:
        """What the base layer gives, adapted."""
        active = [name for name in self.active_adapters if name in self.bottleneck_down]
        if self.disable_adapters:
            active = []
        if self.before:
            for name in active:
                x = x + self.change(name, self.base_layer(x, *args, **kwargs))
            return self.base_layer(x, *args, **kwargs)
        h = self.base_layer(x, *args, **kwargs)
        for name in active:
            h = h + self.change(name, h)
        return h


class BottleneckAdapterModel(BaseTuner):
    """A model whose target modules carry bottleneck adapters; it cannot be merged."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckAdapterLayer
    target_module_mapping: dict[str, list[str]] = {}

    def _prepare_model(self, peft_config: BottleneckAdapterConfig, model: nn.Module) -> None:
        """Refuse norms that are to train and are not there, or are targets as well."""
        if not peft_config.train_norms:
            return
        norms = [name for name, _ in model.named_modules() if name.endswith(NORM)]
        if not norms:
            raise ValueError(f"train_norms: the model has no module called {NORM}")
        targets = dataclasses.replace(peft_config, train_norms=False, modules_to_save=None)
        for name in norms:
            if check_target_module_exists(targets, name):
                raise ValueError(
                    f"target module '{name}' is a norm, and train_norms trains all norms: an "
                    "adapter stands at a norm that is as pretrained"
                )

    def _create_and_replace(
        self,
        peft_config: BottleneckAdapterConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        *,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, BottleneckAdapterLayer):
            target.update_layer(adapter_name, peft_config)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(base, nn.Linear | nn.LayerNorm):
            raise ValueError(
                f"target module '{current_key}' is a {type(base).__name__}; bottleneck adapters "
                "take torch.nn.Linear and torch.nn.LayerNorm"
            )
        layer = BottleneckAdapterLayer(target)
        layer.update_layer(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)

    def _check_merge_allowed(self) -> None:
        raise ValueError("a bottleneck adapter is a network of its own and no change of a weight")


PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = BottleneckAdapterConfig
PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = BottleneckAdapterModel
PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = BottleneckAdapterModel.prefix
