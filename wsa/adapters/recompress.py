"""Any low-rank change of a model cut to a budget of directions, where the loss minds it least."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from wsa.adapters.layer import SpectralLinear

_DAMPING = 1e-6  # of the mean eigenvalue, so that a direction no gradient reached has an inverse

Change = tuple[Float[Tensor, "r in"], Float[Tensor, "out r"]]  # A, B of a change B A


def recompress(
    model: PeftModel, target_rank: float, batches: Iterable[Mapping[str, Any]]
) -> PeftModel:
    """Cut the active adapter's change to `target_rank` directions a module on average.

    What a cut of the change D of one weight costs is estimated to second order, with the loss's
    curvature as a Kronecker product (K-FAC, Martens & Grosse 2015, arXiv:1503.05671): with
    C = E[x xᵀ] of the weight's inputs and G = E[δ δᵀ] of the gradients of its outputs, leaving out
    the i-th singular direction of G^½ D C^½ costs σᵢ²/2. The largest σᵢ of all modules stay, so a
    module keeps as many directions as its own change needs. The factors that are left are
    B = G^-½ P and A = Pᵀ G^½ D, P the left singular vectors, each pair balanced in norm.

    Args:
        model: with one active adapter, LoRA or spectral, on linear modules.
        target_rank: wanted mean over the adapted modules, above 0 and at most the adapter's own.
        batches: what the model takes, labels included; about a dozen are enough.

    Returns:
        The model with a LoRA adapter in place of the old one, every module at its own rank, and
        modules that trained in full as they were. `model` itself is taken apart.

    Raises:
        ValueError: if the adapter is none of these, or the rank or the batches are impossible.
    """
    changes = changes_of(model)
    present = sum(len(A) for A, _ in changes.values())
    if not 0 < target_rank <= present / len(changes):
        raise ValueError(
            f"target_rank should be above 0 and at most {present / len(changes):g}, the adapter's "
            f"mean rank, not {target_rank!r}"
        )
    curvatures = measure_curvatures(model, changes, batches)
    cut = cut_changes(changes, curvatures, max(1, round(target_rank * len(changes))))
    compressed = with_ranks(model, {name: len(A) for name, (A, _) in cut.items()})
    layers = dict(compressed.base_model.model.named_modules())
    with torch.no_grad():
        for name, (A, B) in cut.items():
            if len(A):
                layers[name].lora_A["default"].weight.copy_(A)
                layers[name].lora_B["default"].weight.copy_(B)
    return compressed


@torch.no_grad()
def changes_of(model: PeftModel) -> dict[str, Change]:
    """module → A, B of the active adapter's change of its weight.

    Raises:
        ValueError: if there is not one active adapter of a kind that has such factors.
    """
    adapters = model.active_adapters
    if len(adapters) != 1:
        raise ValueError(f"activate one adapter; active are {adapters}")
    (adapter,) = adapters
    found: dict[str, Change] = {}
    for name, layer in model.base_model.model.named_modules():
        if isinstance(layer, SpectralLinear) and layer.r.get(adapter, 0):
            found[name] = layer.low_rank_change(adapter)
        elif isinstance(layer, LoraLinear) and adapter in layer.lora_A:
            if layer.lora_variant.get(adapter) is not None:
                raise ValueError(f"'{name}': only plain LoRA can be cut, not its variants")
            A, B = (half[adapter].weight for half in (layer.lora_A, layer.lora_B))
            found[name] = A, B * layer.scaling[adapter]
    for name in found:
        layer = model.base_model.model.get_submodule(name)
        if layer.merged or not isinstance(layer.get_base_layer(), nn.Linear):
            raise ValueError(f"'{name}': only unmerged adapters on torch.nn.Linear can be cut")
    if not found:
        raise ValueError("the model has no LoRA or spectral adapter on a linear module")
    return found


@dataclass(frozen=True)
class Curvature:
    """Second moments of a linear module: sums over tokens, in float64."""

    inputs: Float[Tensor, "in in"]
    output_gradients: Float[Tensor, "out out"]


def measure_curvatures(
    model: PeftModel, modules: Iterable[str], batches: Iterable[Mapping[str, Any]]
) -> dict[str, Curvature]:
    """Run the model over `batches`, without dropout, and forget the gradients.

    Raises:
        ValueError: if there is no batch, or one gives no loss.
    """
    layers = {name: model.base_model.model.get_submodule(name) for name in modules}
    moments = {
        name: Curvature(*(_zeros(size, layer) for size in (layer.in_features, layer.out_features)))
        for name, layer in layers.items()
    }
    empty = True
    with _watched(layers, moments), _evaluating(model):
        for batch in batches:
            loss = model(**batch).loss
            if loss is None:
                raise ValueError("a batch gives no loss: it should hold labels")
            # for the gradients of outputs alone: those of the parameters are not touched
            trained = [p for p in model.parameters() if p.requires_grad]
            torch.autograd.grad(loss, trained, allow_unused=True)
            empty = False
    if empty:
        raise ValueError("batches: there is none")
    return moments


def _zeros(size: int, layer: nn.Module) -> Tensor:
    weight = layer.get_base_layer().weight
    return torch.zeros(size, size, dtype=torch.float64, device=weight.device)


@contextmanager
def _watched(layers: Mapping[str, nn.Module], moments: Mapping[str, Curvature]) -> Iterator[None]:
    """Inputs and output gradients of `layers` are added to their moments."""

    def add(moment: Tensor, rows: Tensor) -> None:
        rows = rows.detach().flatten(0, -2)
        moment.add_((rows.mT @ rows).double())

    def watch(name: str):
        def hook(layer: nn.Module, args: tuple, output: Tensor) -> None:
            add(moments[name].inputs, args[0])
            output.register_hook(lambda gradient: add(moments[name].output_gradients, gradient))

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was


@torch.no_grad()
def cut_changes(
    changes: Mapping[str, Change], curvatures: Mapping[str, Curvature], budget: int
) -> dict[str, Change]:
    """The `budget` directions of all modules that the loss would miss most; see `recompress`.

    Returns:
        module → A, B of what is left, in the changes' dtype; of rank 0 where nothing is.
    """
    whitened = {name: _whiten(*changes[name], curvatures[name]) for name in changes}
    sigmas = torch.cat([sigma for _, sigma, _ in whitened.values()])
    best = torch.zeros_like(sigmas, dtype=torch.bool)
    best[sigmas.argsort(descending=True, stable=True)[:budget]] = True
    sizes = [len(sigma) for _, sigma, _ in whitened.values()]
    cut: dict[str, Change] = {}
    for (name, (B, _, A)), kept in zip(whitened.items(), best.split(sizes), strict=True):
        B, A = B[:, kept], A[kept]
        balance = (A.norm(dim=1) / B.norm(dim=0)).sqrt()
        dtype = changes[name][0].dtype
        cut[name] = (A / balance[:, None]).to(dtype), (B * balance).to(dtype)
    return cut


def _whiten(
    A: Tensor, B: Tensor, curvature: Curvature
) -> tuple[Float[Tensor, "out r"], Float[Tensor, " r"], Float[Tensor, "r in"]]:
    """G^-½ P, σ and Pᵀ G^½ D of the change D = B A, for the singular triplets of G^½ D C^½."""
    A, B = A.double(), B.double()
    root, inverse = _roots(curvature.output_gradients)
    of_inputs, _ = _roots(curvature.inputs)
    left, inner_left = torch.linalg.qr(root @ B)
    right, inner_right = torch.linalg.qr((A @ of_inputs).mT)
    P, sigma, _ = torch.linalg.svd(inner_left @ inner_right.mT)
    P = left @ P
    return inverse @ P, sigma, P.mT @ root @ B @ A


def _roots(moment: Float[Tensor, "n n"]) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    """M^½ and M^-½."""
    values, vectors = torch.linalg.eigh(moment)
    values = values.clamp(min=0) + _DAMPING * values.clamp(min=0).mean() + torch.finfo().tiny
    return (vectors * values.sqrt()) @ vectors.mT, (vectors / values.sqrt()) @ vectors.mT


def with_ranks(model: PeftModel, ranks: Mapping[str, int]) -> PeftModel:
    """The model with a LoRA adapter of these ranks instead of its own, which is taken out.

    A module of rank 0 is left alone. The start is LoRA's: no change. Draws no random number that
    anybody else would have drawn.
    """
    (adapter,) = model.active_adapters
    old = model.peft_config[adapter]
    kept = {name: rank for name, rank in ranks.items() if rank}
    config = LoraConfig(
        task_type=old.task_type,
        r=max(kept.values()),
        lora_alpha=max(kept.values()),
        rank_pattern={f"^{name}": rank for name, rank in kept.items()},
        alpha_pattern={f"^{name}": rank for name, rank in kept.items()},
        target_modules=sorted(kept),
        modules_to_save=old.modules_to_save,
    )
    plain = model.unload()
    with torch.random.fork_rng():
        return get_peft_model(plain, config)
