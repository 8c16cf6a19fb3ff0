"""SVFT: coefficients of a weight's own singular directions train, on the diagonal or in a band.

Lingam et al. 2024, "SVFT: Parameter-Efficient Fine-Tuning with Singular Vectors",
arXiv:2405.19597, section 3.1, equation (1): h = W x + ΔW x = U (Σ + M) Vᵀ x, that is
ΔW = U M Vᵀ, with W = U Σ Vᵀ frozen and M trained on a fixed pattern.

The paper does not say what M is at the start; its equation is the pretrained model at M = 0, and
so is this. The authors' code (github.com/VijayLingam95/SVFT, svft/svft_layers.py) draws M at random
and multiplies it by a trained gate, sigmoid(0) = ½ at the start: one more number a module, and a
start that is not the pretrained model.
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
class SVFTConfig(TunerConfig):
    """
    Args:
        off_diagonals: d, how many diagonals of M train on either side of the main one: Mᵢⱼ is
            zero where |i − j| > d. 0: the plain form; above: the banded one, with z₁ = z₂ = d.
            That are n (2d + 1) − d (d + 1) numbers a module of n = min(out, in) directions.
    """

    PEFT_TYPE: ClassVar[str] = "SVFT"

    off_diagonals: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.off_diagonals) is not int or self.off_diagonals < 0:
            raise ValueError(
                f"off_diagonals should be a whole number of 0 or more, not {self.off_diagonals!r}"
            )


class SVFTLinear(TunedLinear):
    """`svft_M` (n (2d + 1) − d (d + 1),): the diagonals of M one after the other, from the lowest;
    `svft_U` (out, n) and `svft_V` (n, in) are frozen.
    """

    prefix = "svft_"
    trained = ("M",)
    frozen = ("U", "V")

    def start(self, factors: Factors, config: SVFTConfig) -> dict[str, Tensor]:
        n, d = len(factors.singular_values), config.off_diagonals
        if d >= n:
            raise ValueError(
                f"off_diagonals should be below {n}, the singular values of a target module, not "
                f"{d}"
            )
        return {"M": torch.zeros(sum(_lengths(n, d))), "U": factors.U, "V": factors.V}

    def change(
        self, x: Float[Tensor, "... in"], parts: Parts, config: SVFTConfig
    ) -> Float[Tensor, "... out"]:
        inner = _banded(F.linear(x, parts["V"]), parts["M"], config.off_diagonals)
        return F.linear(inner, parts["U"])


class SVFTModel(TunedModel):
    tuner_layer_cls = SVFTLinear


def _lengths(n: int, d: int) -> list[int]:
    """Of the diagonals of a band, from the lowest to the highest."""
    return [n - abs(offset) for offset in range(-d, d + 1)]


def _banded(z: Float[Tensor, "... n"], M: Float[Tensor, " k"], d: int) -> Float[Tensor, "... n"]:
    """M z for every row z, diagonal by diagonal, without the matrix."""
    n = z.shape[-1]
    total = None
    for offset, diagonal in zip(range(-d, d + 1), M.split(_lengths(n, d)), strict=True):
        # Mᵢⱼ with j = i + offset
        above, below = max(offset, 0), max(-offset, 0)
        product = F.pad(diagonal * z[..., above : n - below], (below, above))
        total = product if total is None else total + product
    return total


register(SVFTConfig, SVFTModel)
