"""A linear layer with tuned singular directions."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from jaxtyping import Bool, Float
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from wsa.adapters.basis import triplets
from wsa.adapters.change import low_rank_change
from wsa.adapters.config import SpectralConfig
from wsa.adapters.saved import DIRECTION_AXIS, gate_values, take_directions


class SpectralLayer(BaseTunerLayer):
    """The state of spectral adapters on one linear module, by adapter name.

    For a weight of shape (out, in) and rank r: `spectral_U` (out, r), `spectral_S` (r,) and
    `spectral_V` (r, in) are frozen; `spectral_A_U` (out, r), `spectral_A_V` (r, in) and, for a
    gated adapter, `spectral_gate` (r,) train; gate "product" has `spectral_scale` (r,) besides.
    """

    adapter_layer_names = ("spectral_A_U", "spectral_A_V", "spectral_gate", "spectral_scale")
    other_param_names = (
        *("spectral_U", "spectral_S", "spectral_V"),
        *("r", "spectral_config", "factor_keys"),
    )

    def __init__(self, base_layer: nn.Module) -> None:
        self.base_layer = base_layer
        self.r: dict[str, int] = {}
        self.spectral_config: dict[str, SpectralConfig] = {}
        # adapter → the key of the factors it took from the cache
        self.factor_keys: dict[str, str] = {}
        self.spectral_U = BufferDict(persistent=True)
        self.spectral_S = BufferDict(persistent=True)
        self.spectral_V = BufferDict(persistent=True)
        self.spectral_A_U = nn.ParameterDict()
        self.spectral_A_V = nn.ParameterDict()
        self.spectral_gate = nn.ParameterDict()
        self.spectral_scale = nn.ParameterDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        # adapter → its A', B', while a forward of the whole model lasts, see `SpectralModel`
        self.prepared: dict[str, tuple[Tensor, Tensor]] = {}
        self.out_features, self.in_features = self._weight().shape

    def _weight(self) -> Float[Tensor, "out in"]:
        """The base weight, turned round where the module stores it as (in, out)."""
        base = self.get_base_layer()
        return base.weight.T if isinstance(base, Conv1D) else base.weight

    def update_layer(self, adapter_name: str, r: int, config: SpectralConfig, name: str) -> None:
        """Add an adapter of rank `r`; at first it changes nothing.

        Raises:
            InputError: if `r` exceeds the matrix or the weight is not finite.
        """
        weight = self._weight().detach()
        out, inner = self.out_features, self.in_features
        # adapters of a half-precision model live in float32, as PEFT keeps its own
        new = {"dtype": torch.promote_types(weight.dtype, torch.float32), "device": weight.device}
        if config.init_factors and r > 0 and not weight.is_meta:
            factors, key = triplets(weight, r, config, name)
            if key is not None:
                self.factor_keys[adapter_name] = key
            held = (factors.U, factors.singular_values, factors.V)
            U, S, V = (tensor.to(**new) for tensor in held)
        else:  # the adapter's own file brings them; NaN shows where it does not
            shapes = ((out, r), (r,), (r, inner))
            U, S, V = (torch.full(shape, torch.nan, **new) for shape in shapes)
        self.spectral_U[adapter_name] = U.contiguous()
        self.spectral_S[adapter_name] = S.contiguous()
        self.spectral_V[adapter_name] = V.contiguous()
        self.spectral_A_U[adapter_name] = nn.Parameter(torch.zeros(out, r, **new))
        self.spectral_A_V[adapter_name] = nn.Parameter(torch.zeros(r, inner, **new))
        gate = getattr(config, "gate", None)
        if gate is not None:
            start = torch.zeros if gate == "singular_value" else torch.ones
            self.spectral_gate[adapter_name] = nn.Parameter(start(r, **new))
        if gate == "product":
            self.spectral_scale[adapter_name] = nn.Parameter(torch.zeros(r, **new))
        self.r[adapter_name] = r
        self.spectral_config[adapter_name] = config
        self.set_adapter(self.active_adapters)

    def cast(self, adapter_name: str, dtype: torch.dtype) -> None:
        """Keep an adapter in another precision; the parameters that train are new objects."""
        self._replace(adapter_name, {n: t.to(dtype) for n, t in self.parts(adapter_name).items()})

    def gates(self, adapter_name: str) -> Float[Tensor, " r"]:
        """The gates g that the ℓ1 term and the threshold speak of."""
        return gate_values(
            self.spectral_gate[adapter_name], self.spectral_config[adapter_name].gate
        )

    def parts(self, adapter_name: str) -> dict[str, Tensor]:
        """The tensors of one adapter, by the names they have in its file."""
        held = {name: getattr(self, name) for name in DIRECTION_AXIS}
        return {
            name: tensors[adapter_name] for name, tensors in held.items() if adapter_name in tensors
        }

    def low_rank_change(
        self, adapter_name: str
    ) -> tuple[Float[Tensor, "2r in"], Float[Tensor, "out 2r"]]:
        """A', B' with B'A' equal to the change of the weight."""
        return low_rank_change(self.parts(adapter_name), self.spectral_config[adapter_name])

    def keep(self, adapter_name: str, kept: Bool[Tensor, " r"]) -> None:
        """Drop the other directions for good; the parameters that train are new objects."""
        self._replace(adapter_name, take_directions(self.parts(adapter_name), kept))
        self.r[adapter_name] = int(kept.sum())

    def _replace(self, adapter_name: str, parts: dict[str, Tensor]) -> None:
        for name, tensor in parts.items():
            if name in self.adapter_layer_names:
                trains = getattr(self, name)[adapter_name].requires_grad
                tensor = nn.Parameter(tensor.detach(), requires_grad=trains)
            getattr(self, name)[adapter_name] = tensor

    def add_weighted(self, adapter_name: str, weights: dict[str, float]) -> None:
        """Give an adapter of the summed rank the directions of others, weighted: see the tuner."""
        members = [(self.parts(name), weight) for name, weight in weights.items() if name in self.r]
        for name, tensor in self.parts(adapter_name).items():
            axis = DIRECTION_AXIS[name]
            scale = [weight if name == "spectral_S" else 1.0 for _, weight in members]
            held = [parts[name] * k for (parts, _), k in zip(members, scale, strict=True)]
            tensor.data.copy_(torch.cat(held, axis))

    def get_delta_weight(self, adapter_name: str) -> Float[Tensor, ...]:
        """The change of the base layer's weight, in that weight's own orientation."""
        A, B = self.low_rank_change(adapter_name)
        delta = B @ A
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        return True


class SpectralLinear(nn.Module, SpectralLayer):
    """`nn.Linear` or `Conv1D` with spectral adapters."""

    def __init__(
        self, base_layer: nn.Module, adapter_name: str, r: int, config: SpectralConfig, name: str
    ) -> None:
        super().__init__()
        SpectralLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, r, config, name)

    def forward(
        self, x: Float[Tensor, "... in"], *args: Any, **kwargs: Any
    ) -> Float[Tensor, "... out"]:
        if self.disable_adapters and self.merged:
            self.unmerge()
        y = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return y
        for adapter_name in self.active_adapters:
            if self.r.get(adapter_name, 0) == 0:
                continue
            prepared = self.prepared.get(adapter_name)
            A, B = self.low_rank_change(adapter_name) if prepared is None else prepared
            change = F.linear(F.linear(self._cast_input_dtype(x, A.dtype), A), B)
            y = y + change.to(y.dtype)
        return y

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the change to the base weight.

        Raises:
            ValueError: with `safe_merge`, if the merged weight would not be finite.
        """
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if adapter_name not in self.r:
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
        return "spectral." + super().__repr__()
