"""The forward pass of several runs: one frozen backbone, and what each run trains, stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface

from wsa.errors import InputError
from wsa.packed.masks import Draws, PackedDropout

Batch = dict[str, Tensor]  # as `TokenTable.batch` gives it


class PackedModel:
    """Several models that differ in what trains, run as one.

    The forward pass is the models' own, under `torch.vmap` over the runs: a product with a frozen
    weight becomes one product for all of them, one with a trained weight a batched product.

    Args:
        models: one a run, of one architecture, with equal frozen weights and one kind of adapter.
            They share the frozen tensors of the first one from here on, which is also changed so
            that it can no longer be called by itself.
        generators: where each run's dropout is drawn from.

    Raises:
        InputError: a frozen weight or a buffer of a run differs from the first run's.
    """

    def __init__(self, models: Sequence[nn.Module], generators: Sequence[torch.Generator]) -> None:
        for other in models[1:]:
            _share_frozen(models[0], other)
        self.trained = [
            {f"model.{n}": p for n, p in model.named_parameters() if p.requires_grad}
            for model in models
        ]
        self.generators = list(generators)
        self._forward = _LogitsAndPenalty(models[0])
        self._dropouts = _replace_dropouts(models[0])
        if models[0].config._attn_implementation != "eager":
            models[0].config._attn_implementation = _ATTENTION

    def losses(self, batches: Sequence[Batch], runs: Sequence[int]) -> Float[Tensor, " runs"]:
        """The loss of each of `runs` on its own batch, with what its adapter adds to it.

        Args:
            batches: one a run, of any sizes; they are padded to the largest.
            runs: the places of these runs among all.
        """
        sizes = [tuple(batch["input_ids"].shape) for batch in batches]
        inputs = _padded(batches)
        labels = inputs.pop("labels")
        trained = [self.trained[run] for run in runs]
        stacked = {name: torch.stack([own[name] for own in trained]) for name in trained[0]}
        draws = Draws([self.generators[run] for run in runs], sizes)

        def forward(parameters: dict[str, Tensor], run: Tensor, inputs: Batch) -> tuple:
            draws.run = run
            return functional_call(self._forward, parameters, (inputs,), tie_weights=False)

        for dropout in self._dropouts:
            dropout.draws = draws
        places = torch.arange(len(runs), device=labels.device)
        logits, penalties = torch.vmap(forward)(stacked, places, inputs)
        return _mean_losses(logits, labels, sizes) + penalties


class _LogitsAndPenalty(nn.Module):
    """What a model says, and the term that its adapter adds to the loss."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Batch) -> tuple[Float[Tensor, "sentences k"], Float[Tensor, ""]]:
        logits = self.model(**inputs).logits
        penalty = getattr(self.model.base_model, "penalty", lambda: None)()
        return logits, logits.new_zeros(()) if penalty is None else penalty


def _padded(batches: Sequence[Batch]) -> Batch:
    """The batches stacked, with tokens and sentences that no mask shows."""
    sentences, tokens = (max(b["input_ids"].shape[axis] for b in batches) for axis in (0, 1))

    def fill(x: Tensor) -> Tensor:
        more = sentences - x.shape[0]
        return F.pad(x, (0, more) if x.ndim == 1 else (0, tokens - x.shape[1], 0, more))

    return {name: torch.stack([fill(batch[name]) for batch in batches]) for name in batches[0]}


def _mean_losses(
    logits: Float[Tensor, "runs sentences k"],
    labels: Tensor,
    sizes: Sequence[tuple[int, int]],
) -> Float[Tensor, " runs"]:
    """Each run's mean over its own sentences, as the sequence classifiers of transformers do."""
    if labels.is_floating_point():
        losses = F.mse_loss(logits.squeeze(-1), labels, reduction="none")
    else:
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = losses.view_as(labels)
    return torch.stack([own[:n].mean() for own, (n, _) in zip(losses, sizes, strict=True)])


def _share_frozen(first: nn.Module, other: nn.Module) -> None:
    """Let `other` hold the tensors of `first` for all that does not train.

    Raises:
        InputError: they differ.
    """
    modules = dict(first.named_modules())
    for place, module in other.named_modules():
        if "original_module" in place.split("."):
            continue  # the head before it was copied to train, which PEFT keeps and nothing calls
        twin = modules[place]
        for mine, its in ((module._parameters, twin._parameters), (module._buffers, twin._buffers)):
            for name, tensor in mine.items():
                if tensor is None or tensor.requires_grad:
                    continue
                if not torch.equal(tensor, its[name]):
                    raise InputError(
                        f"runs of one pack should differ in what trains, not in {place}.{name}",
                        remedy="train them one by one: wsa train",
                    )
                mine[name] = its[name]


def _replace_dropouts(model: nn.Module) -> list[PackedDropout]:
    """A `PackedDropout` for every dropout of `model`, in place."""
    found = []
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                # DeBERTa's table of relative positions belongs to no sentence
                dropout = PackedDropout(child.p, of_batch=name != "pos_dropout")
                setattr(parent, name, dropout.train(child.training))
                found.append(dropout)
    return found


# --- attention that drops by a module ------------------------------------------------------------

_ATTENTION = "wsa_packed"


def _attention(
    module: nn.Module,
    query: Float[Tensor, "sentences heads queries size"],
    key: Float[Tensor, "sentences heads keys size"],
    value: Float[Tensor, "sentences heads keys size"],
    attention_mask: Bool[Tensor, "sentences 1 1 keys"],
    scaling: float,
    **kwargs: Any,
) -> tuple[Float[Tensor, "sentences queries heads size"], None]:
    """As transformers' own, whose fused kernels draw their masks themselves."""
    scores = (query * scaling) @ key.transpose(-1, -2)
    scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    return (module.dropout(scores.softmax(-1)) @ value).transpose(1, 2), None


def _attention_mask(
    attention_mask: Bool[Tensor, "sentences keys"], **kwargs: Any
) -> Bool[Tensor, "sentences 1 1 keys"]:
    """Which tokens are seen; transformers' own looks whether all are, which vmap cannot."""
    return attention_mask[:, None, None]


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, _attention_mask)
