"""Directions chosen in transformers' Trainer."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class ChooseDirections(TrainerCallback):
    """Tells adapters that choose their directions of every step, and how many there will be.

    Trainer(model, args, callbacks=[wsa.ChooseDirections()], …). AdaLoRA's is told as well.
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """The number of steps, where the adapter's configuration leaves it open."""
        for config in model.peft_config.values():
            if getattr(config, "choose", None) and config.total_steps is None:
                config.total_steps = state.max_steps

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """After the optimizer's step; the gradients are still there."""
        if hasattr(model.base_model, "update_and_allocate"):
            model.base_model.update_and_allocate(state.global_step)
