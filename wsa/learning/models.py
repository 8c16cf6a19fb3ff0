"""A pretrained encoder with a new classification head, and a method attached to it."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from wsa.errors import InputError
from wsa.learning.deberta import optimise
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
) -> nn.Module:
    """Make `model` train what `method` trains, the head always included.

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

    config = peft_config(method, spec)
    if method.spectral and factor_cache is not None:
        config.factor_cache, config.factor_rank = str(factor_cache), factor_rank
    return get_peft_model(model, config)


def peft_config(method: Method, spec: ModelSpec):
    """The PEFT configuration of `method` on `spec`.

    Raises:
        InputError: for an unknown PEFT type or argument.
    """
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    import wsa.adapters  # noqa: F401  (enters the spectral family)
    from wsa.errors import did_you_mean

    arguments = dict(method.adapter or {})
    peft_type = arguments.pop("peft_type")
    kinds = {
        str(getattr(key, "value", key)): cls for key, cls in PEFT_TYPE_TO_CONFIG_MAPPING.items()
    }
    if peft_type not in kinds:
        raise InputError(
            "unknown PEFT type", key="adapter.peft_type", value=peft_type,
            remedy=did_you_mean(str(peft_type), kinds),
        )  # fmt: skip
    config_class = kinds[peft_type]
    known = {name for name in config_class.__dataclass_fields__ if name != "peft_type"}
    for key in arguments:
        if key not in known:
            raise InputError(
                f"unknown argument of {peft_type}", key=f"adapter.{key}",
                remedy=did_you_mean(key, known),
            )  # fmt: skip
    arguments.setdefault("target_modules", list(spec.target_modules))
    try:
        return config_class(
            task_type=peft.TaskType.SEQ_CLS, modules_to_save=list(spec.head_modules), **arguments
        )
    except Exception as error:  # PEFT does not check types, so a wrong one raises anything
        raise InputError(str(error), key="adapter", value=method.adapter) from error


def save_trained(model: nn.Module, method: Method, folder: Path) -> None:
    """Write what trained: a PEFT adapter, or the parameters that required gradients."""
    if method.kind == "adapter":
        model.save_pretrained(str(folder))
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        # PEFT writes a set in any order; equal adapters should be equal bytes
        for key in ("target_modules", "exclude_modules"):
            if isinstance(config.get(key), list):
                config[key].sort()
        text = json.dumps(config, indent=2, sort_keys=True)
        (folder / "adapter_config.json").write_text(text, encoding="utf-8")
        return
    trained = {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / PARAMETERS_FILE)


def load_trained(model: nn.Module, method: Method, folder: Path) -> nn.Module:
    """Put what `save_trained` wrote onto a freshly loaded pretrained model."""
    if method.kind == "adapter":
        from peft import PeftModel

        import wsa.adapters  # noqa: F401

        return PeftModel.from_pretrained(model, str(folder))
    tensors = load_file(folder / PARAMETERS_FILE)
    _, unexpected = model.load_state_dict(tensors, strict=False)
    if unexpected:
        raise InputError(
            f"made for another model: it has no {unexpected[0]}", file=folder / PARAMETERS_FILE
        )
    return model
