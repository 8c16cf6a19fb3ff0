"""A linear layer, and what adapters of one type add to its output."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from wsa.adapters.factors import FactorCache, Factors, check_rank, truncated_svd
from wsa.tuners.shared.config import TunerConfig

Parts = Mapping[str, Tensor]


class TunedLinear(nn.Module, BaseTunerLayer):
    """`nn.Linear` or `Conv1D` with adapters of one type; a tuner fills in `start` and `change`.

    The base weight stays as it is until a merge. A tensor called `M` is the attribute `<prefix>M`,
    by adapter name, and is saved under that name. In a half-precision model the adapters live in
    float32, as PEFT keeps its own.

    Attributes:
        prefix: of the names of a tuner's tensors.
        trained: the tensors that train.
        frozen: the tensors that do not, and are saved beside them: what is computed from a weight
            differs in its last bits between machines, so a saved adapter brings all that it needs.
    """

    prefix: ClassVar[str]
    trained: ClassVar[tuple[str, ...]]
    frozen: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        named = [[cls.prefix + name for name in names] for names in (cls.trained, cls.frozen)]
        # by these PEFT activates, freezes and deletes
        cls.adapter_layer_names = tuple(named[0])
        cls.other_param_names = (*named[1], "configs", "factor_keys")

    def __init__(
        self, base_layer: nn.Module, adapter_name: str, config: TunerConfig, name: str
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.configs: dict[str, TunerConfig] = {}
        # adapter → the key of the factors it took from the cache
        self.factor_keys: dict[str, str] = {}
        for tensor in self.trained:
            setattr(self, self.prefix + tensor, nn.ParameterDict())
        for tensor in self.frozen:
            setattr(self, self.prefix + tensor, BufferDict(persistent=True))
        self._disable_adapters = False
        self._active_adapter = adapter_name
        self.merged_adapters: list[str] = []
        self.out_features, self.in_features = self._weight().shape
        self.update_layer(adapter_name, config, name)

    # --- what a tuner says ---

    def start(self, factors: Factors, config: TunerConfig) -> dict[str, Tensor]:
        """Every tensor of a new adapter, by name, in any dtype.

        Args:
            factors: all min(out, in) singular triplets of the weight (out, in).
            config: the adapter's.
        """
        raise NotImplementedError

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: TunerConfig
    ) -> Float[Tensor, "... out"]:
        """ΔW x, a linear map of `x`; `parts` are the tensors of one adapter, by name."""
        raise NotImplementedError

    def shift(self, parts: Parts, config: TunerConfig) -> Float[Tensor, " out"] | None:
        """Δb, the change of the bias; None: the method has none."""
        return None

    # --- adapters ---

    def update_layer(self, adapter_name: str, config: TunerConfig, name: str) -> None:
        """Add an adapter; `name` is the module's, for messages.

        Raises:
            InputError: if the rank exceeds the matrix or the weight is not finite.
        """
        weight = self._weight().detach()
        rank = getattr(config, "r", None)
        if rank is not None:
            check_rank(rank, weight.shape, name)
        if config.init_factors and not weight.is_meta:
            factors, key = _decomposed(weight, config, name)
            if key is not None:
                self.factor_keys[adapter_name] = key
        else:  # the adapter's own file brings what comes of them; NaN shows where it does not
            factors = _unknown(*weight.shape)
        new = {
            "dtype": torch.promote_types(weight.dtype, torch.float32), "device": weight.device,
            "memory_format": torch.contiguous_format, "copy": True,  # no two share their storage
        }  # fmt: skip
        for part, tensor in self.start(factors, config).items():
            tensor = tensor.to(**new)
            held = nn.Parameter(tensor) if part in self.trained else tensor
            getattr(self, self.prefix + part)[adapter_name] = held
        self.configs[adapter_name] = config
        self.set_adapter(self.active_adapters)

    def parts(self, adapter_name: str) -> dict[str, Tensor]:
        """The tensors of one adapter, by name."""
        held = {part: getattr(self, self.prefix + part) for part in (*self.trained, *self.frozen)}
        return {p: tensors[adapter_name] for p, tensors in held.items() if adapter_name in tensors}

    def cast(self, adapter_name: str, dtype: torch.dtype) -> None:
        """Keep an adapter in another precision; the parameters that train are new objects."""
        for part, tensor in self.parts(adapter_name).items():
            cast = tensor.detach().to(dtype)
            if part in self.trained:
                cast = nn.Parameter(cast, requires_grad=tensor.requires_grad)
            getattr(self, self.prefix + part)[adapter_name] = cast

    def forward(
        self, x: Float[Tensor, "... in"], *args: Any, **kwargs: Any
    ) -> Float[Tensor, "... out"]:
        if self.disable_adapters and self.merged:
            self.unmerge()
        y = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return y
        for adapter_name in self.active_adapters:
            if adapter_name not in self.configs:
                continue
            parts, config = self.parts(adapter_name), self.configs[adapter_name]
            dtype = next(iter(parts.values())).dtype
            added = self.change(self._cast_input_dtype(x, dtype), parts, config)
            shift = self.shift(parts, config)
            y = y + (added if shift is None else added + shift).to(y.dtype)
        return y

    # --- merging ---

    def get_delta_weight(self, adapter_name: str) -> Float[Tensor, ...]:
        """The change of the base layer's weight, in that weight's own orientation."""
        parts, config = self.parts(adapter_name), self.configs[adapter_name]
        some = next(iter(parts.values()))
        identity = torch.eye(self.in_features, dtype=some.dtype, device=some.device)
        transposed = self.change(identity, parts, config)
        return transposed if isinstance(self.get_base_layer(), Conv1D) else transposed.T

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the changes to the base layer's weight and bias.

        Raises:
            ValueError: with `safe_merge`, if what is merged would not be finite.
        """
        for adapter_name in check_adapters_to_merge(self, adapter_names):
            if adapter_name not in self.configs:
                continue
            changed = self._changed(adapter_name, 1)
            if safe_merge and not all(torch.isfinite(t).all() for t in changed.values()):
                raise ValueError(f"adapter '{adapter_name}' would make the weight NaN or infinite")
            for name, tensor in changed.items():
                getattr(self.get_base_layer(), name).data = tensor
            self.merged_adapters.append(adapter_name)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the merged changes out again; equal to the base layer within rounding."""
        if not self.merged:
            warnings.warn("nothing is merged", UserWarning, stacklevel=2)
        while self.merged_adapters:
            for name, tensor in self._changed(self.merged_adapters.pop(), -1).items():
                getattr(self.get_base_layer(), name).data = tensor

    def _changed(self, adapter_name: str, sign: int) -> dict[str, Tensor]:
        """The base layer's tensors with a change added or taken out, rounded once."""
        base = self.get_base_layer()
        changes = {
            "weight": self.get_delta_weight(adapter_name),
            "bias": self.shift(self.parts(adapter_name), self.configs[adapter_name]),
        }
        held = {name: getattr(base, name) for name, c in changes.items() if c is not None}
        return {name: (t + sign * changes[name]).to(t.dtype) for name, t in held.items()}

    def _weight(self) -> Float[Tensor, "out in"]:
        """The base weight, turned round where the module stores it as (in, out)."""
        base = self.get_base_layer()
        return base.weight.T if isinstance(base, Conv1D) else base.weight

    def __repr__(self) -> str:
        return self.prefix.rstrip("_") + "." + super().__repr__()


def _decomposed(
    weight: Float[Tensor, "out in"], config: TunerConfig, name: str
) -> tuple[Factors, str | None]:
    """All singular triplets of a weight, and their key in the cache if they are from there."""
    n = min(weight.shape)
    if config.factor_cache is not None:
        return FactorCache(config.factor_cache).get(weight, n, name)
    return truncated_svd(weight, n, name), None


def _unknown(out: int, inner: int) -> Factors:
    n = min(out, inner)
    return Factors(*(torch.full(shape, torch.nan) for shape in ((out, n), (n,), (n, inner))))
