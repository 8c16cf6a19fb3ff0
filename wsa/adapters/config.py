"""What a spectral adapter can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from peft.config import PeftConfig

from wsa.suite.defaults import RANKS, THRESHOLD

Gate = Literal["singular_value", "product", "direction"]
Directions = Literal["leading", "spread", "random"]


class SpectralType(str):
    """The name of a tuner where PEFT, in its messages, expects a member of its `PeftType`."""

    @property
    def value(self) -> str:
        return str(self)


@dataclass
class SpectralConfig(PeftConfig):
    """Spectral-Adapter-A: additive tuning of singular vectors of a weight.

    The effective weight is W − U S V + (U + A_U) S (V + A_V), with U, S, V frozen and A_U, A_V
    trained from zero. As published, U, S, V are the `r` leading singular triplets of W (Zhang &
    Pilanci 2024, "Spectral Adapter: Fine-Tuning in Spectral Space", arXiv:2405.13952, section 3);
    `directions` and `scale` have others. The start is the pretrained model whatever they say.

    Args:
        r: how many directions are tuned, in every target module.
        directions: "leading": those of the largest singular values. "spread": of all n singular
            triplets by falling value, the ⌊i (n − 1) / (r − 1)⌋-th, i = 0 … r − 1. "random":
            orthonormal vectors that have nothing to do with the weight, as a control.
        scale: what S holds: the directions' singular values, or one number for all of them.
        basis_seed: of random directions; each module has its own.
        target_modules: linear modules to adapt: names, endings of names, a regular expression, or
            "all-linear". Default: the modules PEFT's LoRA takes for the architecture.
        exclude_modules: names never adapted, even where `target_modules` matches.
        modules_to_save: modules trained in full beside the adapter, such as a new head.
        rank_pattern: another rank for single modules: {name, ending or regular expression: rank}.
            A rank of 0 leaves the module as pretrained. A pruned adapter lists all its ranks here.
        factor_cache: a folder for computed singular triplets, keyed by the weight's content. Not
            saved with the adapter.
        factor_rank: the rank at which the cache is asked for leading directions; its first `r`
            triplets are taken, so that one decomposition serves adapters of several ranks.
            Default: `r`. Directions of the whole spectrum come from the whole decomposition. Not
            saved.
        init_factors: whether U, S, V are computed from the base weight when the adapter is made.
            A saved adapter carries its own and says False.
    """

    PEFT_TYPE: ClassVar[str] = "SPECTRAL"

    r: int = RANKS["SPECTRAL"]
    directions: Directions = "leading"
    scale: Literal["singular_value"] | float = "singular_value"
    basis_seed: int = 0
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
        if self.directions not in Directions.__args__:
            raise ValueError(
                f"directions should be one of {Directions.__args__}, not {self.directions!r}"
            )
        if self.scale != "singular_value" and not _is_positive(self.scale):
            raise ValueError(
                f"scale should be 'singular_value' or a number above 0, not {self.scale!r}"
            )
        if self.directions == "random" and self.scale == "singular_value":
            raise ValueError("random directions have no singular values: scale should be a number")
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

    With `choose="sensitivity"` nothing is shrunk. A gate stays at 1, scores its direction, and is
    put to 0 for good where others matter more: with I = |g ∂L/∂g| and running means of smoothing
    β, a direction's score is mean(I) · mean(|I − mean(I)|), AdaLoRA's (Zhang et al. 2023,
    arXiv:2303.10512, equations 8 to 11) on the gate. From the share `start` of the steps to `end`,
    the best r̂ + (r − r̂)(1 − z)³ directions a module on average stay, z rising from 0 to 1, over
    all modules together; training then goes on with those that are left. The tuner must be told of
    every step: `model.base_model.update_and_allocate(step)` after the optimizer's and before
    gradients are cleared, as for AdaLoRA; with transformers' Trainer, `wsa.ChooseDirections()`
    among its callbacks does it.

    Args:
        gate: what a gate multiplies, see above.
        l1: λ, the weight of Σ|g| in the loss; without a meaning where directions are chosen.
        threshold: τ; a direction with |g| < τ is pruned.
        subtract_base: whether U S V is taken out of W before the adapted part is added. False is
            an ablation: it counts the leading directions twice.
        choose: None: gates are shrunk by ℓ1. "sensitivity": see above; needs gate "direction".
        target_rank: r̂, how many directions a module keeps on average.
        start: share of the steps after which the first direction goes.
        end: share of the steps after which `target_rank` is reached.
        smoothing: β.
        total_steps: how many steps the training will have.
    """

    PEFT_TYPE: ClassVar[str] = "WSA"

    r: int = RANKS["WSA"]
    gate: Gate = "direction"
    l1: float = 5e-4
    threshold: float = THRESHOLD
    subtract_base: bool = True
    choose: Literal["sensitivity"] | None = None
    target_rank: float | None = None
    start: float = 0.1
    end: float = 0.5
    smoothing: float = 0.85
    total_steps: int | None = None

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
        if self.choose is None:
            if self.target_rank is not None:
                raise ValueError("target_rank is for choose='sensitivity'")
            return
        if self.choose != "sensitivity":
            raise ValueError(f"choose should be 'sensitivity' or None, not {self.choose!r}")
        if self.gate != "direction":
            raise ValueError(f"directions are chosen by gate 'direction', not {self.gate!r}")
        if not _is_positive(self.target_rank) or self.target_rank > self.r:
            raise ValueError(
                f"target_rank should be above 0 and at most r = {self.r}, not {self.target_rank!r}"
            )
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(
                f"0 ≤ start < end ≤ 1 should hold, not {self.start!r} and {self.end!r}"
            )
        if not 0 < self.smoothing < 1:
            raise ValueError(f"smoothing should be between 0 and 1, not {self.smoothing!r}")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _listed(names: set[str] | str | None) -> list[str] | str | None:
    """Sorted, so that equal adapters are saved as equal bytes."""
    return sorted(names) if isinstance(names, set) else names
