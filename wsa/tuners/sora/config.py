"""What a SoRA adapter can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from peft.config import PeftConfig

from wsa.adapters.config import SpectralType


@dataclass
class SoraConfig(PeftConfig):
    """Sparse low-rank adaptation (Ding et al. 2023, arXiv:2311.11696).

    The effective weight is W + (α/r) B diag(g) A, with A (r, in), B (out, r) and the gate g (r,)
    trained. A starts as LoRA's does (Kaiming uniform), B at zero, g standard normal. After every
    step of the optimiser, on A, B and g alike, the gate takes the proximal step of the ℓ1 norm: the
    soft threshold

        g ← sign(g) max(|g| − ξ, 0).

    A gate at 0 takes its direction out of the change; it can come back, where the optimiser moves
    it further than ξ. Gates should have no weight decay.

    The paper's threshold is ξ = η_t λ, of the rate η_t and the weight λ of Σ|g| in the objective;
    its scheduler speaks of ξ alone. The authors' runs (`src/sparse_optimizer.py`, argument
    `sparse_lambda_2`) have one ξ for all steps whatever the rate, and so it is here: the pull on a
    gate is then the same for every learning rate that is tried. In two things their code does what
    the paper's formula does not, and the formula is built:

    - It sets to zero what is still below ξ after the shift, so that all of |g| < 2 ξ falls.
    - It adds the mean of |g|, weighted by `sparse_lambda`, to the loss besides.

    Their gates have an AdamW of their own, whose rate (`sparse_lr`) is that of A and B unless it is
    given, and falls linearly. So here: without `gate_learning_rate` the optimiser's step is the
    gates' too; with it the tuner takes theirs, with β = 0.9 and 0.999, from the same gradients. In
    a training of few steps a gate at the rate of A and B hardly leaves its random start, which then
    decides alone what falls.

    The tuner must be told of every step: `model.base_model.update_and_allocate(step)` after the
    optimiser's, as for AdaLoRA; with transformers' Trainer, `wsa.ChooseDirections()` among its
    callbacks does it. `wsa.parameter_groups` gives groups without weight decay on gates.

    Args:
        r: how many directions a module has at the start.
        lora_alpha: α.
        soft_threshold: ξ. Over T steps a gate that nothing else moves loses T ξ.
        gate_learning_rate: the gates' first rate, which falls linearly to 0 over `total_steps`.
            Default: they train at the optimiser's rate.
        total_steps: how many steps the training will have; without a meaning unless gates have a
            rate of their own.
        target_modules: linear modules to adapt: names, endings of names, a regular expression, or
            "all-linear". Default: the modules PEFT's LoRA takes for the architecture.
        exclude_modules: names never adapted, even where `target_modules` matches.
        modules_to_save: modules trained in full beside the adapter, such as a new head.
    """

    r: int = 8
    lora_alpha: float = 16
    soft_threshold: float = 1e-3
    gate_learning_rate: float | None = None
    total_steps: int | None = None
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = SpectralType("SORA")
        if not self.r >= 1:
            raise ValueError(f"r should be a whole number from 1 on, not {self.r!r}")
        if not 0 <= self.soft_threshold < math.inf:
            raise ValueError(
                f"soft_threshold should be a number of 0 or more, not {self.soft_threshold!r}"
            )
        if self.gate_learning_rate is not None and not 0 < self.gate_learning_rate < math.inf:
            raise ValueError(
                f"gate_learning_rate should be a number above 0, not {self.gate_learning_rate!r}"
            )
