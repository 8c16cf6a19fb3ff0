"""LoRA-XS: a small square matrix trains between the leading singular vectors of a weight.

Bałazy et al. 2024, "LoRA-XS: Low-Rank Adaptation with Extremely Small Number of Parameters",
arXiv:2405.17604: for row vectors, h = x W + x A R B with W ≈ U_r Σ_r V_rᵀ, A = U_r Σ_r and B = V_rᵀ
frozen, R (r × r) trained. For a weight as torch holds it, (out, in), that is the transpose: the
singular values lie on the input's side,

    ΔW = (α / r) U_r R Σ_r V_rᵀ,

as in the authors' code (github.com/MohammadrezaBanaei/LoRA-XS, utils/initialization_utils.py and
utils/latent_utils.py), from which the scaling α / r is, too. R starts at N(0, 10⁻¹⁰): that is the
pretrained model within about 10⁻⁵ of the leading singular values, not to the bit. The authors'
decomposition is randomised; this one is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from wsa.tuners.shared import Factors, Parts, RankConfig, TunedLinear, TunedModel, register

DEVIATION = 1e-5  # of R's entries at the start


@dataclass
class LoRAXSConfig(RankConfig):
    """
    Args:
        r: the rank; r² numbers train in a module. The authors take 4 to 25 for GLUE.
        lora_alpha: α; the authors' default for GLUE.
    """

    PEFT_TYPE: ClassVar[str] = "LORA_XS"

    r: int = 16
    lora_alpha: float = 16


class LoRAXSLinear(TunedLinear):
    """`lora_xs_R` (r, r) trains; `lora_xs_A` (r, in), which is Σ_r V_rᵀ, and `lora_xs_B` (out, r),
    which is U_r, are frozen.
    """

    prefix = "lora_xs_"
    trained = ("R",)
    frozen = ("A", "B")

    def start(self, factors: Factors, config: LoRAXSConfig) -> dict[str, Tensor]:
        r, sigma = config.r, factors.singular_values
        return {
            "R": DEVIATION * torch.randn(r, r),
            "A": sigma[:r, None] * factors.V[:r],
            "B": factors.U[:, :r],
        }

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: LoRAXSConfig
    ) -> Float[Tensor, "... out"]:
        core = parts["R"] * (config.lora_alpha / config.r)
        return F.linear(F.linear(F.linear(x, parts["A"]), core), parts["B"])


class LoRAXSModel(TunedModel):
    tuner_layer_cls = LoRAXSLinear


register(LoRAXSConfig, LoRAXSModel)
