"""What an adapter adds to a weight, as a product of two thin matrices."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from wsa.adapters.config import SpectralConfig
from wsa.adapters.saved import gate_values


def low_rank_change(
    parts: Mapping[str, Tensor], config: SpectralConfig
) -> tuple[Float[Tensor, "*layers 2r in"], Float[Tensor, "*layers out 2r"]]:
    """A', B' with B'A' equal to the change of the weight.

    Every member of the family is (U + A_U) c (V + A_V) − U d V with diagonal c, d, which is
    A_U c (V + A_V) + U [c A_V + (c − d) V]. At the start c = d and A_U = A_V = 0, so the second
    form is exactly zero in any precision, where the first is a rounded difference.

    Args:
        parts: the tensors of one adapter on one module, named as in `SpectralLayer`; or those of
            several modules of one shape, stacked.
        config: the adapter's.
    """
    U, S, V = (parts[f"spectral_{name}"] for name in "USV")
    A_U, A_V = parts["spectral_A_U"], parts["spectral_A_V"]
    gate = getattr(config, "gate", None)
    inner = V + A_V
    if gate is None:
        c, rest = S, S[..., None] * A_V
    elif gate == "direction":
        c = S * gate_values(parts["spectral_gate"], gate)
        rest = c[..., None] * A_V
    else:
        scale = gate_values(parts["spectral_gate"], gate)
        if gate == "product":
            scale = scale * F.softsign(parts["spectral_scale"])
        c = S * (1 + scale)
        d = S if config.subtract_base else torch.zeros_like(S)
        rest = c[..., None] * A_V + (c - d)[..., None] * V
    # B' lies in memory the other way round: its gradient is then the faster matrix product
    outer = torch.cat(((A_U * c[..., None, :]).mT, U.mT), dim=-2)
    return torch.cat((inner, rest), dim=-2), outer.mT
