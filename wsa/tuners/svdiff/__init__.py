"""SVDiff: every singular value of a weight is shifted, and none falls below zero.

Han et al. 2023, "SVDiff: Compact Parameter Space for Diffusion Fine-Tuning", arXiv:2303.11305:
W' = U diag(ReLU(σ + δ)) Vᵀ with W = U diag(σ) Vᵀ, δ trained from zero. Here

    ΔW = U diag(ReLU(σ + δ) − σ) Vᵀ,

the same, and the pretrained model to the bit at δ = 0. The paper is about convolutions, turned into
matrices; this tuner is for linear modules. Public code (github.com/mkshing/svdiff-pytorch, which is
not the authors') also shifts weights with one dimension, such as a norm's, at a rate of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from wsa.tuners.shared import Factors, Parts, TunedLinear, TunedModel, TunerConfig, register


@dataclass
class SVDiffConfig(TunerConfig):
    """n = min(out, in) numbers train in a module."""

    PEFT_TYPE: ClassVar[str] = "SVDIFF"


class SVDiffLinear(TunedLinear):
    """`svdiff_delta` (n,) trains; `svdiff_U` (out, n), `svdiff_S` (n,) and `svdiff_V` (n, in) are
    frozen.
    """

    prefix = "svdiff_"
    trained = ("delta",)
    frozen = ("U", "S", "V")

    def start(self, factors: Factors, config: SVDiffConfig) -> dict[str, Tensor]:
        sigma = factors.singular_values
        return {"delta": torch.zeros(len(sigma)), "U": factors.U, "S": sigma, "V": factors.V}

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: SVDiffConfig
    ) -> Float[Tensor, "... out"]:
        # ReLU(σ + δ) − σ: as a difference it would round a small shift away
        shift = torch.maximum(parts["delta"], -parts["S"])
        return F.linear(F.linear(x, parts["V"]) * shift, parts["U"])


class SVDiffModel(TunedModel):
    tuner_layer_cls = SVDiffLinear


register(SVDiffConfig, SVDiffModel)
