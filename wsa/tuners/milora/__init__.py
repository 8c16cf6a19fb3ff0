"""MiLoRA: LoRA that starts from the minor singular triplets of a weight.

Wang et al. 2024, "MiLoRA: Harnessing Minor Singular Components for Parameter-Efficient LLM
Finetuning", arXiv:2406.09044: W = W_p + W_m with W_m = U_m Σ_m V_mᵀ of the r smallest singular
values; W_p is frozen, and W' = W_p + s B A trains from s B₀ A₀ = W_m. As in the authors' code
(github.com/sufenlp/MiLoRA, svd_init.py) B₀ = U_m √(Σ_m / s), A₀ = √(Σ_m / s) V_mᵀ and s = α / r,
where they take α = r.

Here the base keeps its pretrained weight, and what trains is put in place of the start,

    ΔW = s (B A − B₀ A₀) = s [(B − B₀) A + B₀ (A − A₀)],

which is the same weight, zero to the bit at the start, and needs no changed base to be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from wsa.tuners.shared import Factors, Parts, RankConfig, TunedLinear, TunedModel, register


@dataclass
class MiLoRAConfig(RankConfig):
    """
    Args:
        r: the rank; r (in + out) numbers train in a module, as with LoRA.
        lora_alpha: α. Default: r, as the authors have it.
    """

    PEFT_TYPE: ClassVar[str] = "MILORA"

    lora_alpha: float | None = None

    @property
    def scaling(self) -> float:
        """s = α / r."""
        return 1.0 if self.lora_alpha is None else self.lora_alpha / self.r

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scaling > 0:
            raise ValueError(f"lora_alpha should be above 0, not {self.lora_alpha!r}")


class MiLoRALinear(TunedLinear):
    """`milora_A` (r, in) and `milora_B` (out, r) train; `milora_A_start` and `milora_B_start` are
    what they began as.
    """

    prefix = "milora_"
    trained = ("A", "B")
    frozen = ("A_start", "B_start")

    def start(self, factors: Factors, config: MiLoRAConfig) -> dict[str, Tensor]:
        root = (factors.singular_values[-config.r :] / config.scaling).sqrt()
        A, B = root[:, None] * factors.V[-config.r :], factors.U[:, -config.r :] * root
        return {"A": A, "B": B, "A_start": A, "B_start": B}

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: MiLoRAConfig
    ) -> Float[Tensor, "... out"]:
        A, B, A_start, B_start = (parts[name] for name in (*self.trained, *self.frozen))
        inner = torch.cat((A, A - A_start))
        outer = torch.cat((B - B_start, B_start), dim=1)
        return F.linear(F.linear(x, inner), outer * config.scaling)


class MiLoRAModel(TunedModel):
    tuner_layer_cls = MiLoRALinear


register(MiLoRAConfig, MiLoRAModel)
