"""Directions that are chosen by sensitivity while an adapter trains; the others go for good."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsa.adapters.config import WSAConfig

NOT_TOLD = (
    "no direction is chosen: the tuner is not told of the steps. Call "
    "model.base_model.update_and_allocate(step) after each optimizer step and before the gradients "
    "are cleared; transformers' Trainer does it with callbacks=[wsa.ChooseDirections()]"
)


class DirectionAllocator:
    """The scores of one adapter's directions, and which of them are left.

    Args:
        config: an adapter's with `choose="sensitivity"`.

    Attributes:
        exp_avg_ipt: module → running mean (r,) of the sensitivity I = |g ∂L/∂g|.
        exp_avg_unc: module → running mean (r,) of |I − exp_avg_ipt|.
    """

    def __init__(self, config: WSAConfig) -> None:
        self.config = config
        self.exp_avg_ipt: dict[str, Tensor] = {}
        self.exp_avg_unc: dict[str, Tensor] = {}

    def budget(self, done: int, ranks: Mapping[str, int]) -> int:
        """How many directions all modules together keep after `done` steps.

        Args:
            done: optimizer steps so far.
            ranks: module → its directions at the start.
        """
        config = self.config
        share = (done / config.total_steps - config.start) / (config.end - config.start)
        left = (1 - min(max(share, 0.0), 1.0)) ** 3
        target = config.target_rank * len(ranks)
        return max(1, round(target + (sum(ranks.values()) - target) * left))

    @torch.no_grad()
    def update(self, gates: Mapping[str, nn.Parameter], done: int) -> None:
        """Score the directions by the gates' gradients, and put to 0 what the budget leaves out.

        Args:
            gates: module → its gates (r,): 1, or 0 where a direction has gone, and moved from there
                by no more than an optimizer's step, which is undone.
            done: optimizer steps so far, this one included.

        Raises:
            ValueError: if the gates have no gradient, or the number of steps is not known.
        """
        if self.config.total_steps is None:
            raise ValueError("total_steps: the schedule needs to know how many there will be")
        smoothing = self.config.smoothing
        for name, gate in gates.items():
            if gate.grad is None:
                raise ValueError(
                    f"the gates of '{name}' have no gradient: update_and_allocate belongs between "
                    "loss.backward() and clearing the gradients, at every step"
                )
            gate.copy_(gate > 0.5)
            sensitivity = (gate * gate.grad).abs()
            mean = self.exp_avg_ipt.setdefault(name, torch.zeros_like(sensitivity))
            mean.mul_(smoothing).add_(sensitivity, alpha=1 - smoothing)
            unsure = self.exp_avg_unc.setdefault(name, torch.zeros_like(sensitivity))
            unsure.mul_(smoothing).add_((sensitivity - mean).abs(), alpha=1 - smoothing)
        ranks = {name: len(gate) for name, gate in gates.items()}
        budget = self.budget(done, ranks)
        if budget == sum(ranks.values()):
            return
        # what has gone does not come back; nothing here makes the host wait for the device
        left = torch.cat([gate.detach() for gate in gates.values()])
        scores = torch.cat([self.score(name) for name in gates]).where(left > 0, -1.0)
        best = scores.argsort(descending=True, stable=True)[:budget]
        kept = torch.zeros_like(left).index_fill_(0, best, 1.0) * left
        for gate, own in zip(gates.values(), kept.split(list(ranks.values())), strict=True):
            gate.copy_(own)

    def score(self, name: str) -> Float[Tensor, " r"]:
        """How much a module's directions matter, and how surely."""
        return self.exp_avg_ipt[name] * self.exp_avg_unc[name]
