"""Which directions of a weight an adapter tunes: the triplets it starts from."""

from __future__ import annotations

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor

from wsa.adapters.config import SpectralConfig
from wsa.adapters.factors import FactorCache, Factors, check_rank, truncated_svd


def triplets(
    weight: Float[Tensor, "out in"], r: int, config: SpectralConfig, name: str
) -> tuple[Factors, str | None]:
    """`r` directions of `weight` as `config` wants them, and the key of cached factors if any.

    Args:
        weight: any floating dtype.
        r: how many, at least 1.
        config: the adapter's.
        name: the module's, for random directions and for messages.

    Raises:
        InputError: if `r` exceeds the matrix or the weight is not finite.
    """
    check_rank(r, weight.shape, name)
    if config.directions == "random":
        found, key = _random(tuple(weight.shape), r, config.basis_seed, name), None
    else:
        smaller = min(weight.shape)
        leading = config.directions == "leading"
        rank = max(r, config.factor_rank or r) if leading else smaller
        if config.factor_cache is not None:
            factors, key = FactorCache(config.factor_cache).get(weight, rank, name=name)
        else:
            factors, key = truncated_svd(weight, r if leading else rank, name), None
        places = range(r) if leading else spread(smaller, r)
        found = Factors(factors.U[:, places], factors.singular_values[places], factors.V[places])
    if config.scale != "singular_value":
        scale = torch.full_like(found.singular_values, config.scale)
        found = Factors(found.U, scale, found.V)
    return found, key


def spread(n: int, r: int) -> list[int]:
    """`r` places of 0 … n − 1, even and with both ends: ⌊i (n − 1) / (r − 1)⌋."""
    return [i * (n - 1) // (r - 1) if r > 1 else 0 for i in range(r)]


def _random(shape: tuple[int, int], r: int, seed: int, name: str) -> Factors:
    """Orthonormal vectors from the seed and the module's name; singular values of 1."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    U, V = (
        torch.linalg.qr(torch.randn(size, r, generator=generator, dtype=torch.float64)).Q
        for size in shape
    )
    return Factors(U, torch.ones(r, dtype=torch.float64), V.T)
