"""What a spectral adapter can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from peft.config import PeftConfig

from wsa.suite.defaults import RANKS, THRESHOLD

Gate = Literal["singular_value", "product", "direction"]


class SpectralType(str):
    """The name of a tuner where PEFT, in its messages, expects a member of its `PeftType`."""

    @property
    def value(self) -> str:
        return str(self)


@dataclass
class SpectralConfig(PeftConfig):
    """Spectral-Adapter-A: additive tuning of the leading singular vectors of a weight.

    The effective weight is W − U S V + (U + A_U) S (V + A_V), with U, S, V the `r` leading
    singular triplets of W, frozen, and A_U, A_V trained from zero (Zhang & Pilanci 2024,
    "Spectral Adapter: Fine-Tuning in Spectral Space", arXiv:2405.13952, section 3).

    Args:
        r: how many leading singular directions are tuned, in every target module.
        target_modules: linear modules to adapt: names, endings of names, a regular expression, or
            "all-linear". Default: the modules PEFT's LoRA takes for the architecture.
        exclude_modules: names never adapted, even where `target_modules` matches.
        modules_to_save: modules trained in full beside the adapter, such as a new head.
        rank_pattern: another rank for single modules: {name, ending or regular expression: rank}.
            A rank of 0 leaves the module as pretrained. A pruned adapter lists all its ranks here.
        factor_cache: a folder for computed singular triplets, keyed by the weight's content. Not
            saved with the adapter.
        factor_rank: the rank at which the cache is asked; its first `r` triplets are taken, so
            that one decomposition serves adapters of several ranks. Default: `r`. Not saved.
        init_factors: whether U, S, V are computed from the base weight when the adapter is made.
            A saved adapter carries its own and says False.
    """

    PEFT_TYPE: ClassVar[str] = "SPECTRAL"

    r: int = RANKS["SPECTRAL"]
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None
    rank_pattern: dict[str, int] = field(default_factory=dict)
    factor_cache: str | None = None
    factor_rank: int | None = None
    init_factors: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = SpectralType(self.PEFT_TYPE)
        if isinstance(self.target_modules, list | tuple):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list | tuple):
            self.exclude_modules = set(self.exclude_modules)
        if not isinstance(self.r, int) or self.r < 1:
            raise ValueError(f"r should be a whole number of at least 1, not {self.r!r}")
        for name, rank in self.rank_pattern.items():
            if not isinstance(rank, int) or rank < 0:
                raise ValueError(f"rank_pattern[{name!r}] should be 0 or more, not {rank!r}")

    def to_dict(self) -> dict:
        """The configuration as it is saved: the factors travel with the adapter's tensors."""
        return {
            **super().to_dict(),
            "peft_type": self.PEFT_TYPE,
            "target_modules": _listed(self.target_modules),
            "exclude_modules": _listed(self.exclude_modules),
            "factor_cache": None,
            "factor_rank": None,
            "init_factors": False,
        }


@dataclass
class WSAConfig(SpectralConfig):
    """The Weighted Spectral Adapter: a learned gate on every singular direction, shrunk by ℓ1.

    With S' the gated singular values, the effective weight is

    - gate "singular_value": W − U S V + (U + A_U) S(1 + g) (V + A_V), g = tanh(s), s = 0 at first;
    - gate "product": the same with S(1 + g·softsign(s)), g = 1 and s = 0 at first;
    - gate "direction": W + Σᵢ gᵢ [(uᵢ + a_uᵢ) σᵢ (vᵢ + a_vᵢ) − uᵢ σᵢ vᵢ], g = 1 at first.

    In training, `l1` · Σ|g| over all adapted modules and directions is added to the model's loss.
    Only the gate "direction" covers all that a direction learned, so only there does pruning the
    directions with |g| < `threshold` take nothing away that the gate had not shrunk already.

    Args:
        gate: what a gate multiplies, see above.
        l1: λ, the weight of Σ|g| in the loss.
        threshold: τ; a direction with |g| < τ is pruned.
        subtract_base: whether U S V is taken out of W before the adapted part is added. False is
            an ablation: it counts the leading directions twice.
    """

    PEFT_TYPE: ClassVar[str] = "WSA"

    r: int = RANKS["WSA"]
    gate: Gate = "direction"
    l1: float = 5e-4
    threshold: float = THRESHOLD
    subtract_base: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate not in Gate.__args__:
            raise ValueError(f"gate should be one of {Gate.__args__}, not {self.gate!r}")
        if not self.l1 >= 0:
            raise ValueError(f"l1 should be 0 or more, not {self.l1!r}")
        if not self.threshold >= 0:
            raise ValueError(f"threshold should be 0 or more, not {self.threshold!r}")
        if self.gate == "direction" and not self.subtract_base:
            raise ValueError("subtract_base=False has no meaning for gate 'direction'")


def _listed(names: set[str] | str | None) -> list[str] | str | None:
    """Sorted, so that equal adapters are saved as equal bytes."""
    return sorted(names) if isinstance(names, set) else names
