"""LoReFT: hidden states edited in a low-rank subspace, at the first tokens of a sentence.

Φ(h) = h + Rᵀ(W h + b − R h), R with orthonormal rows (Wu et al. 2024, "ReFT: Representation
Finetuning for Language Models", arXiv:2404.03592, equation 2): what h holds in the rows of R is
replaced by W h + b, and the rest of h stays. On GLUE the paper edits the output of every layer at
r = 1, at the first 1, 3 or 11 positions and no others (tables 8 and 9), and trains the head too.

All positions of a layer share one Φ, as in the authors' code (github.com/stanfordnlp/pyreft): the
paper's table says that weights are untied, and its parameters, 0.015 % of RoBERTa-base, are those
of one Φ a layer. Three things are other than there:

- R. torch's parametrisation reads the signs of its Householder form from a diagonal that it casts
  to whole numbers, so that the first step with weight decay turns R into zero. Here R is what the
  Gram-Schmidt process makes of the rows of a free matrix, whose size does not matter.
- Sentences of fewer than 2 n tokens have the same n positions edited as others, not half of theirs.
- W h + b has no activation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from peft.config import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn
from torch.nn import functional as F

from wsa.adapters.config import SpectralType

PEFT_TYPE = "LOREFT"


@dataclass
class LoReFTConfig(PeftConfig):
    """Interventions of one rank, at the same positions in every layer.

    Args:
        r: rows of R and W.
        positions: "f3" for the first three tokens, as the authors' code writes it. The last tokens
            of a sentence cannot be had: a module does not see where padding begins.
        dropout: of the edited states, in training.
        identity_start: whether W = R and b = 0 at first, which is the pretrained model, as a later
            class of the authors' code has it. Else W and b start as torch's Linear does, as in the
            paper: the start is another model than the pretrained one.
        target_modules: the layer norms that end the layers: names, endings of names, or a regular
            expression such as ".*\\.\\d+\\.output\\.LayerNorm" for BERT, RoBERTa and DeBERTa.
        exclude_modules: names never adapted, even where `target_modules` matches.
        modules_to_save: modules trained in full beside the interventions, such as a new head.
    """

    r: int = 1
    positions: str = "f1"
    dropout: float = 0.0
    identity_start: bool = False
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = SpectralType(PEFT_TYPE)
        if not isinstance(self.r, int) or self.r < 1:
            raise ValueError(f"r should be a whole number of at least 1, not {self.r!r}")
        if not re.fullmatch(r"f[1-9]\d*", self.positions):
            raise ValueError(
                "positions should be the first ones, such as f1 or f3: a module does not see where "
                f"a sentence ends; not {self.positions!r}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout should be at least 0 and below 1, not {self.dropout!r}")

    @property
    def first(self) -> int:
        """How many tokens are edited."""
        return int(self.positions[1:])


def orthonormal_rows(A: Float[Tensor, "r d"]) -> Float[Tensor, "r d"]:
    """What the Gram-Schmidt process makes of the rows of `A`, r ≤ d; `A` itself if they are so."""
    Q, triangle = torch.linalg.qr(A.T)
    return (Q * triangle.diagonal().sgn()).T


class LoReFTLayer(nn.Module, BaseTunerLayer):
    """A layer norm of width d whose output is edited, by adapter.

    `loreft_rotation` (r, d) is the free matrix that R is made of, `loreft_source` holds W (r, d)
    and b (r,). Several active adapters follow one another.
    """

    adapter_layer_names = ("loreft_rotation", "loreft_source")
    other_param_names = ("loreft_config",)

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer, self.merged_adapters = base_layer, []
        self.loreft_rotation, self.loreft_source = nn.ParameterDict(), nn.ModuleDict()
        self.loreft_config: dict[str, LoReFTConfig] = {}

    def update_layer(self, adapter_name: str, config: LoReFTConfig) -> None:
        """Add an adapter; ValueError if no r rows of this width are orthonormal."""
        width = self.get_base_layer().normalized_shape[-1]
        if config.r > width:
            raise ValueError(f"r should be at most the width {width}, not {config.r}")
        rotation, source = torch.empty(config.r, width), nn.Linear(width, config.r)
        nn.init.orthogonal_(rotation)
        if config.identity_start:
            with torch.no_grad():
                source.weight.copy_(rotation)
                source.bias.zero_()
        self.loreft_rotation[adapter_name] = nn.Parameter(rotation)
        self.loreft_source[adapter_name] = source
        self.loreft_config[adapter_name] = config
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters)

    def edit(self, adapter_name: str, h: Float[Tensor, "states d"]) -> Float[Tensor, "states d"]:
        """Φ(h)."""
        A, source = self.loreft_rotation[adapter_name], self.loreft_source[adapter_name]
        # there is no such decomposition in half precision
        R = orthonormal_rows(A.to(torch.promote_types(A.dtype, torch.float32))).to(A.dtype)
        x = self._cast_input_dtype(h, A.dtype)
        edited = x + (source(x) - F.linear(x, R)) @ R
        config = self.loreft_config[adapter_name]
        return F.dropout(edited, config.dropout, self.training).to(h.dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens d"], *args: Any, **kwargs: Any
    ) -> Float[Tensor, "batch tokens d"]:
        """What the norm gives, the first tokens edited; there may be fewer than are edited."""
        h = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return h
        for name in self.active_adapters:
            if name in self.loreft_source:
                states = h[:, : self.loreft_config[name].first]
                # as one matrix: of more dimensions, torch takes products in another order for
                # weights that train than for frozen ones, and a loaded model has other last bits
                edited = self.edit(name, states.flatten(0, 1)).view_as(states)
                h = torch.cat((edited, h[:, states.size(1) :]), 1)
        return h


class LoReFTModel(BaseTuner):
    """A model whose layers' outputs are edited; it cannot be merged."""

    prefix = "loreft_"
    tuner_layer_cls = LoReFTLayer
    target_module_mapping: dict[str, list[str]] = {}

    def _create_and_replace(
        self,
        peft_config: LoReFTConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        *,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, LoReFTLayer):
            target.update_layer(adapter_name, peft_config)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(base, nn.LayerNorm):
            raise ValueError(
                f"target module '{current_key}' is a {type(base).__name__}, and LoReFT edits the "
                "hidden states that a layer's last norm gives: target_modules should name those, "
                r"such as .*\.\d+\.output\.LayerNorm"
            )
        layer = LoReFTLayer(target)
        layer.update_layer(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)

    def _check_merge_allowed(self) -> None:
        raise ValueError("LoReFT edits hidden states of some tokens, which no weight does")


PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = LoReFTConfig
PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = LoReFTModel
PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = LoReFTModel.prefix
