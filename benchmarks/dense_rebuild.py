"""Reference: a spectral adapter that rebuilds the dense weight at every forward.

The straightforward way to write Spectral-Adapter-A, in two forms: with the whole decomposition
kept (W = U S V, all of it), and as its authors do it, with the leading triplets tuned and the rest
of the weight kept as one matrix (Zhang & Pilanci 2024, arXiv:2405.13952, and their code).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from wsa.adapters.factors import truncated_svd


class DenseRebuildLinear(nn.Module):
    """A frozen linear layer whose leading singular vectors are tuned, through its dense weight.

    Args:
        linear: the pretrained layer, (in) → (out).
        r: how many singular directions are tuned.
        keep: "residual" keeps W − U_r S_r V_r as a matrix; "factors" keeps all of U, S, V.
    """

    def __init__(self, linear: nn.Linear, r: int, keep: str = "residual") -> None:
        super().__init__()
        weight = linear.weight.detach()
        factors = truncated_svd(weight, min(weight.shape) if keep == "factors" else r)
        self.keep = keep
        self.bias = linear.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)
        U, S, V = (t.to(weight) for t in (factors.U, factors.singular_values, factors.V))
        self.register_buffer("U", U)
        self.register_buffer("S", S)
        self.register_buffer("V", V)
        if keep == "residual":
            self.register_buffer("residual", weight - (U * S) @ V)
        self.A_U = nn.Parameter(torch.zeros_like(U[:, :r]))
        self.A_V = nn.Parameter(torch.zeros_like(V[:r]))

    def weight(self) -> Float[Tensor, "out in"]:
        """The dense weight, built anew."""
        if self.keep == "residual":
            return self.residual + ((self.U + self.A_U) * self.S) @ (self.V + self.A_V)
        rest = self.U.shape[1] - self.A_U.shape[1]
        U = self.U + F.pad(self.A_U, (0, rest))
        V = self.V + F.pad(self.A_V, (0, 0, 0, rest))
        return (U * self.S) @ V

    def forward(self, x: Float[Tensor, "... in"]) -> Float[Tensor, "... out"]:
        return F.linear(x, self.weight(), self.bias)


def rebuild_dense(model: nn.Module, targets: Iterable[str], head: Iterable[str], r: int) -> None:
    """Adapt `targets` of `model` in place this way; train only the adapters and the `head`."""
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if any(f".{name}".endswith(f".{part}") for part in head):
            module.requires_grad_(True)
        elif any(f".{name}".endswith(f".{part}") for part in targets):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, DenseRebuildLinear(module, r))
