"""Spectral-Adapter-R: the leading singular vectors of a weight are rotated among themselves.

Zhang & Pilanci 2024, "Spectral Adapter: Fine-Tuning in Spectral Space", arXiv:2405.13952, section
3: W' = [U₁ R_U, U₂] S [V₁ R_V, V₂]ᵀ with U₁, V₁ the r leading singular vectors and R_U, R_V
orthogonal by Cayley's parametrisation. As in the authors' code (github.com/pilancilab/
spectral_adapter, adapter_efficiency/mix_spectral, `SpectralLinearLayer_OFT`),

    R = (I − Q) (I + Q)⁻¹,    Q = (A − Aᵀ) / 2,

with A (r × r) trained from zero on either side. The change is ΔW = U₁ (R_U S₁ R_Vᵀ − S₁) V₁ᵀ.
That code also trains a factor of every one of these singular values, which the paper's formula does
not have, nor has this.
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
class SpectralRConfig(RankConfig):
    """
    Args:
        r: how many singular vectors are rotated on either side. 2 r² numbers train in a module,
            of which r (r − 1) are free: A counts through its skew-symmetric part alone.
    """

    PEFT_TYPE: ClassVar[str] = "SPECTRAL_R"

    r: int = 16


class SpectralRLinear(TunedLinear):
    """`spectral_r_A_U` and `spectral_r_A_V` (r, r) train; `spectral_r_U` (out, r), `spectral_r_S`
    (r,) and `spectral_r_V` (r, in) are frozen.
    """

    prefix = "spectral_r_"
    trained = ("A_U", "A_V")
    frozen = ("U", "S", "V")

    def start(self, factors: Factors, config: SpectralRConfig) -> dict[str, Tensor]:
        r = config.r
        return {
            "A_U": torch.zeros(r, r),
            "A_V": torch.zeros(r, r),
            "U": factors.U[:, :r],
            "S": factors.singular_values[:r],
            "V": factors.V[:r],
        }

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: SpectralRConfig
    ) -> Float[Tensor, "... out"]:
        S = parts["S"]
        E_U, E_V = _rotation_less_identity(parts["A_U"]), _rotation_less_identity(parts["A_V"])
        # R_U S R_Vᵀ − S with R = I + E: zero to the bit at the start, and no difference of likes
        scaled = E_U * S
        core = scaled + S[:, None] * E_V.mT + scaled @ E_V.mT
        return F.linear(F.linear(F.linear(x, parts["V"]), core), parts["U"])


class SpectralRModel(TunedModel):
    tuner_layer_cls = SpectralRLinear


def _rotation_less_identity(A: Float[Tensor, "r r"]) -> Float[Tensor, "r r"]:
    """R − I = −2 Q (I + Q)⁻¹, Q the skew-symmetric part of A."""
    Q = ((A - A.mT) / 2).to(torch.promote_types(A.dtype, torch.float32))  # solve knows no half
    identity = torch.eye(len(Q), dtype=Q.dtype, device=Q.device)
    return -2 * torch.linalg.solve(identity + Q, Q, left=False).to(A.dtype)


register(SpectralRConfig, SpectralRModel)
