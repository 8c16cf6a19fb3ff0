"""VectorFit without its freezing: the singular values of a weight train, and the layer's bias.

Hegde, Kaur & Tiwari 2025, "VectorFit: Adaptive Singular & Bias Vector Fine-Tuning of Pre-trained
Foundation Models", arXiv:2503.19530, as the authors' page has it
(github.com/SuhasHegde25/VectorFit): W' = U (Σ + ΔΣ) Vᵀ and b' = b + Δb with W = U Σ Vᵀ; ΔΣ,
diagonal, and Δb train from zero.

What is left out is adaptive vector freezing, which stops the vectors that have changed most for a
while: neither that page, whose code is still to come, nor any other public code says how strongly a
vector has trained, how many are frozen, or when. The page has the form without it as an ablation.
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
class VectorFitConfig(TunerConfig):
    """n = min(out, in) numbers train in a module, and `out` more where it has a bias."""

    PEFT_TYPE: ClassVar[str] = "VECTORFIT"


class VectorFitLinear(TunedLinear):
    """`vectorfit_sigma` (n,) and, where the layer has a bias, `vectorfit_bias` (out,) train: the
    changes of both; `vectorfit_U` (out, n) and `vectorfit_V` (n, in) are frozen.
    """

    prefix = "vectorfit_"
    trained = ("sigma", "bias")
    frozen = ("U", "V")

    def start(self, factors: Factors, config: VectorFitConfig) -> dict[str, Tensor]:
        out, n = factors.U.shape
        tensors = {"sigma": torch.zeros(n), "U": factors.U, "V": factors.V}
        if self.get_base_layer().bias is not None:
            tensors["bias"] = torch.zeros(out)
        return tensors

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: VectorFitConfig
    ) -> Float[Tensor, "... out"]:
        return F.linear(F.linear(x, parts["V"]) * parts["sigma"], parts["U"])

    def shift(self, parts: Parts, config: VectorFitConfig) -> Float[Tensor, " out"] | None:
        return parts.get("bias")


class VectorFitModel(TunedModel):
    tuner_layer_cls = VectorFitLinear


register(VectorFitConfig, VectorFitModel)
