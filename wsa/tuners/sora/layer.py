"""A linear layer with gated low-rank changes."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from jaxtyping import Float
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn import functional as F

from wsa.tuners.sora.config import SoraConfig

_BETAS, _EPS = (0.9, 0.999), 1e-8  # torch's AdamW


class SoraLinear(nn.Module, BaseTunerLayer):
    """`nn.Linear` with SoRA adapters, by adapter name.

    `sora_A` (r, in), `sora_B` (out, r) and `sora_gate` (r,) train, in the base weight's dtype and
    at least float32.
    """

    adapter_layer_names = ("sora_A", "sora_B", "sora_gate")
    other_param_names = ("scaling",)

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: SoraConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.sora_A, self.sora_B = nn.ParameterDict(), nn.ParameterDict()
        self.sora_gate = nn.ParameterDict()
        self.scaling: dict[str, float] = {}
        self.sora_exp_avg = BufferDict(persistent=True)
        self.sora_exp_avg_sq = BufferDict(persistent=True)
        self.sora_steps = BufferDict(persistent=True)
        # adapter → its gate as the last training pass had it, before the optimiser's step
        self.gate_before: dict[str, Tensor] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: SoraConfig) -> None:
        """Add an adapter; at first it changes nothing."""
        weight, r = self.get_base_layer().weight, config.r
        out, inner = weight.shape
        new = {"dtype": torch.promote_types(weight.dtype, torch.float32), "device": weight.device}
        A = torch.empty(r, inner, **new)
        nn.init.kaiming_uniform_(A, a=math.sqrt(5))
        self.sora_A[adapter_name] = nn.Parameter(A)
        self.sora_B[adapter_name] = nn.Parameter(torch.zeros(out, r, **new))
        self.sora_gate[adapter_name] = nn.Parameter(torch.randn(r, **new))
        self.scaling[adapter_name] = config.lora_alpha / r
        if config.gate_learning_rate is not None:
            self.sora_exp_avg[adapter_name] = torch.zeros(r, **new)
            self.sora_exp_avg_sq[adapter_name] = torch.zeros(r, **new)
            self.sora_steps[adapter_name] = torch.zeros((), **new)
        self.set_adapter(self.active_adapters)

    def forward(
        self, x: Float[Tensor, "... in"], *args: Any, **kwargs: Any
    ) -> Float[Tensor, "... out"]:
        if self.disable_adapters and self.merged:
            self.unmerge()
        y = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return y
        for name in self.active_adapters:
            if name in self.sora_gate:
                if self.training and name in self.sora_steps:
                    self.gate_before[name] = self.sora_gate[name].detach().clone()
                A, B, gate = self.sora_A[name], self.sora_B[name], self.sora_gate[name]
                inner = F.linear(self._cast_input_dtype(x, A.dtype), A)
                y = y + F.linear(inner * (self.scaling[name] * gate), B).to(y.dtype)
        return y

    @torch.no_grad()
    def step_gate(self, adapter_name: str, learning_rate: float) -> None:
        """AdamW without weight decay on a gate, in place of what the optimizer did to it.

        Nothing happens where no training pass has come by since the last step.

        Raises:
            ValueError: if the gate has no gradient.
        """
        gate = self.sora_gate[adapter_name]
        before = self.gate_before.pop(adapter_name, None)
        if before is None:
            return
        if gate.grad is None:
            raise ValueError(
                "a gate has no gradient: update_and_allocate belongs between loss.backward() and "
                "clearing the gradients, at every step"
            )
        mean, square = self.sora_exp_avg[adapter_name], self.sora_exp_avg_sq[adapter_name]
        steps = self.sora_steps[adapter_name].add_(1)
        mean.lerp_(gate.grad, 1 - _BETAS[0])
        square.lerp_(gate.grad.square(), 1 - _BETAS[1])
        unbiased = mean / (1 - _BETAS[0] ** steps)
        size = (square / (1 - _BETAS[1] ** steps)).sqrt() + _EPS
        gate.copy_(before - learning_rate * unbiased / size)

    def get_delta_weight(self, adapter_name: str) -> Float[Tensor, "out in"]:
        """The change of the base layer's weight, (α/r) B diag(g) A."""
        gate = self.scaling[adapter_name] * self.sora_gate[adapter_name]
        return (self.sora_B[adapter_name] * gate) @ self.sora_A[adapter_name]

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the change to the base weight.

        Raises:
            ValueError: with `safe_merge`, if the merged weight would not be finite.
        """
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if adapter_name not in self.sora_gate:
                continue
            weight = self.get_base_layer().weight
            # in the adapter's precision, and rounded once
            merged = (weight + self.get_delta_weight(adapter_name)).to(weight.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"adapter '{adapter_name}' would make the weight NaN or infinite")
            weight.data = merged
            self.merged_adapters.append(adapter_name)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the merged changes out again; equal to the base weight within rounding."""
        if not self.merged:
            warnings.warn("nothing is merged", UserWarning, stacklevel=2)
        weight = self.get_base_layer().weight
        while self.merged_adapters:
            delta = self.get_delta_weight(self.merged_adapters.pop())
            weight.data = (weight - delta).to(weight.dtype)

    def __repr__(self) -> str:
        return "sora." + super().__repr__()
