"""Dropout of several runs in one forward pass: each draws what it would draw by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# axes that count tokens, by the number of axes of one run's activations: (sentences, width),
# (sentences, tokens, width), (sentences, heads, tokens, tokens)
_TOKENS = {2: (), 3: (1,), 4: (2, 3)}


@dataclass
class Draws:
    """From what the masks of a step are drawn.

    Attributes:
        generators: one a run.
        sizes: (sentences, tokens) of each run's batch before it was padded to the others'.
        run: a run's place among them, as `torch.vmap` shows it to the forward pass.
    """

    generators: list[torch.Generator]
    sizes: list[tuple[int, int]]
    run: Int[Tensor, ""] | None = None


class PackedDropout(nn.Dropout):
    """In the place of an `nn.Dropout` of the backbone, under `torch.vmap` over runs.

    On a CPU a run's mask is the one that `nn.Dropout` would draw from the run's generator for its
    batch without the padding; on a GPU, whose fused kernel draws otherwise, it is another one of
    the same distribution.

    Args:
        p: the share of zeros.
        of_batch: whether the input is a run's batch; else it is a table that all runs share, such
            as the embeddings of relative positions.
    """

    def __init__(self, p: float, of_batch: bool) -> None:
        super().__init__(p)
        self.of_batch = of_batch
        self.draws: Draws | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return _OverRuns.apply(x, self.draws.run, self)

    def masks(self, x: Float[Tensor, "runs ..."]) -> Float[Tensor, "runs ..."]:
        """0 or 1 / (1 - p) for the inputs of all runs; 0 in the padding."""
        masks = torch.zeros_like(x, memory_format=torch.contiguous_format)
        for mask, generator, size in zip(
            masks, self.draws.generators, self.draws.sizes, strict=True
        ):
            # torch's own on a CPU does the same, without a generator
            self._without_padding(mask, *size).bernoulli_(1 - self.p, generator=generator)
        return masks.div_(1 - self.p)

    def _without_padding(self, x: Tensor, sentences: int, tokens: int) -> Tensor:
        if not self.of_batch:
            return x
        x = x[:sentences]
        for axis in _TOKENS[x.ndim]:
            x = x.narrow(axis, 0, tokens)
        return x


class _OverRuns(torch.autograd.Function):
    """The way from one run's view of `torch.vmap` to the tensors of all runs.

    `run` is there for an input that no run has changed yet: it alone makes vmap call this.
    """

    @staticmethod
    def forward(x: Tensor, run: Tensor, dropout: PackedDropout) -> Tensor:
        raise RuntimeError("packed dropout is for torch.vmap over runs")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple, x: Tensor, run: Tensor, dropout: PackedDropout
    ) -> tuple[Tensor, int]:
        axis = in_dims[0]
        x = x.expand(info.batch_size, *x.shape) if axis is None else x.movedim(axis, 0)
        return x * dropout.masks(x), 0
