"""A pretrained encoder with a new classification head, and a method attached to it."""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from wsa.errors import InputError, is_out_of_memory
from wsa.learning.optimise import optimise
from wsa.suite.schema import Method, ModelSpec
from wsa.task import Task

PARAMETERS_FILE = "parameters.safetensors"


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without the loading bars and the note that the new head is new: it is meant to be."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # its own calls of its old names
            yield
    finally:
        logging.set_verbosity(level)


def load_pretrained(folder: Path, seed: int, task: Task) -> nn.Module:
    """The pretrained model in fp32 with a head for `task` whose start depends on `seed` alone.

    Args:
        folder: a model folder as transformers writes it.
        seed: decides the new head, for every method alike.
        task: decides the head's outputs and the loss.

    Raises:
        InputError: if the folder holds no model that transformers can read.
    """
    return load_with_gaps(folder, seed, task)[0]


def load_with_gaps(folder: Path, seed: int, task: Task) -> tuple[nn.Module, set[str]]:
    """What `load_pretrained` gives, and the parameters that the folder has no weights for.

    transformers starts those at random: right for the head, and for nothing else.
    """
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    try:
        with quiet_transformers():
            # the stored precision may be half: transformers 5 keeps it unless told otherwise
            model, info = AutoModelForSequenceClassification.from_pretrained(
                folder, num_labels=task.num_labels, dtype=torch.float32, local_files_only=True,
                trust_remote_code=False, output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # the library raises anything for a damaged or a strange model
        raise InputError(f"transformers cannot load this model: {error}", file=folder) from error
    model.config.problem_type = task.problem_type
    return optimise(model), set(info["missing_keys"])


def is_head(name: str, spec: ModelSpec) -> bool:
    """Whether the parameter or module `name` belongs to the classification head."""
    return any(f".{name}.".find(f".{module}.") >= 0 for module in spec.head_modules)


def attach(
    model: nn.Module,
    method: Method,
    spec: ModelSpec,
    factor_cache: Path | None = None,
    factor_rank: int | None = None,
    steps: int | None = None,
) -> nn.Module:
    """Make `model` train what `method` trains, the head always included.

    Args:
        model: a pretrained one, changed in place.
        method: what to attach.
        spec: where.
        factor_cache: the folder of decompositions.
        factor_rank: the rank at which it is asked for leading directions.
        steps: how many there will be, for methods with a schedule of their own.

    Returns:
        the model itself, or the PEFT model around it.

    Raises:
        InputError: if PEFT does not accept the method's configuration.
    """
    if method.kind != "adapter":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(method.kind == "full" or is_head(name, spec))
        return model
    from peft import get_peft_model

    from wsa.learning.peft_types import add_own_loss, peft_config

    config = peft_config(method, spec, steps)
    if method.directions and factor_cache is not None:
        config.factor_cache, config.factor_rank = str(factor_cache), factor_rank
    adapted = get_peft_model(model, config)
    add_own_loss(adapted, method)
    return adapted


def save_trained(model: nn.Module, method: Method, folder: Path) -> None:
    """Write what trained: a PEFT adapter, or the parameters that required gradients."""
    if method.kind == "adapter":
        model.save_pretrained(str(folder))
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        # PEFT writes a set in any order; equal adapters should be equal bytes
        for key in ("target_modules", "exclude_modules", "feedforward_modules"):
            if isinstance(config.get(key), list):
                config[key].sort()
        _make_readable(config)
        text = json.dumps(config, indent=2, sort_keys=True)
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
        return
    trained = {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / PARAMETERS_FILE)


def _make_readable(config: dict[str, Any]) -> None:
    """Write IA3's feedforward modules as the expression they stand for, where PEFT would balk.

    It takes [output.dense] with the targets [dense] when training, and not when it loads them.
    """
    inner, outer = (config.get(f"{kind}_modules") for kind in ("feedforward", "target"))
    if isinstance(inner, list) and isinstance(outer, list) and not set(inner) <= set(outer):
        config["feedforward_modules"] = f".*({'|'.join(map(re.escape, inner))})"


def load_trained(model: nn.Module, method: Method, folder: Path) -> nn.Module:
    """Put what `save_trained` wrote onto a freshly loaded pretrained model."""
    if method.kind == "adapter":
        from peft import PeftModel

        import wsa.tuners  # noqa: F401

        return PeftModel.from_pretrained(model, str(folder))
    tensors = load_file(folder / PARAMETERS_FILE)
    _, unexpected = model.load_state_dict(tensors, strict=False)
    if unexpected:
        raise InputError(
            f"made for another model: it has no {unexpected[0]}", file=folder / PARAMETERS_FILE
        )
    return model


class CannotMergeError(Exception):
    """PEFT cannot write this adapter into the weights of its model."""


def merge(model: nn.Module, safe: bool = False) -> nn.Module:
    """The plain model inside the PEFT model `model`, with the adapter in its weights, for good.

    Args:
        model: what `load_trained` gave for a method with an adapter.
        safe: refuse a weight that becomes NaN or infinite.

    Raises:
        CannotMergeError: if the method has no such form; `model` may be half changed.
    """
    try:
        return model.merge_and_unload(safe_merge=safe)
    except Exception as error:  # what PEFT raises here has no type in common
        if is_out_of_memory(error):
            raise
        raise CannotMergeError(f"{type(error).__name__}: {error}") from error
