"""From a method's arguments to a PEFT configuration, or to one message about what is wrong."""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from peft import PeftConfig, PeftModel, TaskType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

import wsa.tuners  # noqa: F401  (enters ours)
from wsa.errors import InputError, did_you_mean
from wsa.suite.schema import Method, ModelSpec

# PEFT type → why it has no place in this benchmark, and what has
_REFUSED = {
    "ADAPTION_PROMPT": (
        "adapts causal language models such as Llama, and this benchmark trains encoders",
        "PROMPT_TUNING or P_TUNING",
    ),
    "CPT": ("is for causal language models, and this benchmark trains encoders", "PROMPT_TUNING"),
    "MULTITASK_PROMPT_TUNING": (
        "wants the number of a task with every sentence, and a suite has one task",
        "PROMPT_TUNING",
    ),
    "POLY": ("wants the number of a task with every sentence, and a suite has one task", "LORA"),
    "SHADOW": ("follows the layers of a decoder, and this benchmark trains encoders", "LORA"),
    "TRAINABLE_TOKENS": (
        "trains embeddings of single tokens alone, and the new head must train with them",
        "LORA with trainable_token_indices",
    ),
    "XLORA": (
        "mixes LoRA adapters that were trained before, and the new head must train with them",
        "LORA",
    ),
}

# argument of LoRA → the method of its tuner that gives a further term of the loss
_OWN_LOSSES = {"monteclora_config": "_get_monteclora_loss", "kasa_config": "_get_kasa_loss"}

# starts of LoRA that need a pass over the data before the adapter is made
_STARTS_FROM_DATA = ("corda", "eva", "lora_ga")


# what methods with a schedule call the number of steps: AdaLoRA, and WSA where it chooses
_STEPS = ("total_step", "total_steps")


def peft_config(method: Method, spec: ModelSpec, steps: int | None = None) -> PeftConfig:
    """The PEFT configuration of `method` on `spec`.

    Args:
        method: of kind "adapter".
        spec: the model's.
        steps: how many there will be, for a schedule that does not say it itself.

    Raises:
        InputError: for an unknown PEFT type or argument, an argument of the wrong type, or one
            that PEFT would pass over; the key is that below the method.
    """
    arguments = dict(method.adapter or {})
    peft_type = arguments.pop("peft_type")
    config_class = _config_class(peft_type)
    known = {field.name for field in dataclasses.fields(config_class)}
    for key, value in arguments.items():
        if key not in known:
            raise InputError(
                f"unknown argument of {peft_type}", key=f"adapter.{key}",
                remedy=did_you_mean(key, argument_names(peft_type)),
            )  # fmt: skip
        _check_type(config_class, key, value)
    _check_meaning(peft_type, arguments)
    names_targets = arguments.get("target_modules") or arguments.get("target_parameters")
    if "target_modules" in known and not names_targets:
        arguments["target_modules"] = list(spec.target_modules)
        if peft_type == "IA3":  # else PEFT wants to know the architecture's own
            arguments.setdefault("feedforward_modules", [])
    for key in known.intersection(_STEPS) if steps else ():
        arguments.setdefault(key, steps)
    try:
        return config_class(
            task_type=TaskType.SEQ_CLS, modules_to_save=list(spec.head_modules), **arguments
        )
    except Exception as error:  # PEFT's checks raise anything
        raise InputError(str(error), key="adapter", value=method.adapter) from error


def add_own_loss(model: PeftModel, method: Method) -> None:
    """Let the loss of `model` in training hold the term that PEFT leaves to the training loop."""
    for argument, name in _OWN_LOSSES.items():
        if (method.adapter or {}).get(argument) is not None:
            model.base_model.model.register_forward_hook(_adds(getattr(model.base_model, name)))


def _adds(term: Callable[[], Tensor]) -> Callable[[nn.Module, tuple, Any], None]:
    """A forward hook that adds `term` to the loss of a training step."""

    def hook(model: nn.Module, args: tuple, outputs: Any) -> None:
        if model.training and outputs.loss is not None:
            outputs.loss = outputs.loss + term()

    return hook


def argument_names(peft_type: str) -> list[str]:
    """What a method of this PEFT type may say of itself, sorted; PEFT's own notes left out."""
    own = {field.name for field in dataclasses.fields(_config_class(peft_type))}
    every = {field.name for field in dataclasses.fields(PeftConfig)}
    return sorted(own - every - {"modules_to_save"})


def idle_names(
    arguments: dict[str, Any], adapted: Sequence[str], modules: Sequence[str]
) -> list[tuple[str, str]]:
    """(argument, name) of every name or pattern that matches no module.

    PEFT passes over what it does not find, so a typo would train another method.

    Args:
        arguments: of a method.
        adapted: the modules that PEFT has adapted.
        modules: all modules of the model.
    """
    idle: list[tuple[str, str]] = []
    for key, value in arguments.items():
        match key, value:
            case "layers_to_transform", int() | list():
                layers = value if isinstance(value, list) else [value]
                found = {str(n): any(str(n) in name.split(".") for name in adapted) for n in layers}
            case "exclude_modules", str():
                found = {value: any(re.fullmatch(value, name) for name in modules)}
            case "exclude_modules", list():
                found = {end: any(f".{n}".endswith(f".{end}") for n in modules) for end in value}
            case _, dict() if key.endswith("_pattern"):
                # as peft.utils.other.get_pattern_key compares
                found = {p: any(re.match(rf"(.*\.)?({p})$", n) for n in adapted) for p in value}
            case _:
                continue
        idle += [(key, name) for name, is_found in found.items() if not is_found]
    return idle


def _config_class(peft_type: str) -> type[PeftConfig]:
    kinds = {
        str(getattr(key, "value", key)): cls for key, cls in PEFT_TYPE_TO_CONFIG_MAPPING.items()
    }
    if peft_type not in kinds:
        raise InputError(
            "unknown PEFT type", key="adapter.peft_type", value=peft_type,
            remedy=did_you_mean(str(peft_type), kinds),
        )  # fmt: skip
    if peft_type in _REFUSED:
        reason, instead = _REFUSED[peft_type]
        raise InputError(
            f"{peft_type} {reason}", key="adapter.peft_type", remedy=f"take {instead} instead"
        )
    return kinds[peft_type]


def _check_meaning(peft_type: str, arguments: dict[str, Any]) -> None:
    """Refuse what PEFT takes and leaves without effect, or what it cannot do without."""
    start = str(arguments.get("init_lora_weights")).lower()
    if start.startswith(_STARTS_FROM_DATA):
        raise InputError(
            "this start is computed from data before training, which the benchmark does not do",
            key="adapter.init_lora_weights", value=arguments["init_lora_weights"],
            remedy="true, gaussian, orthogonal, olora or pissa",
        )  # fmt: skip
    if arguments.get("use_qalora"):
        raise InputError(
            "needs a model with GPTQ-quantised weights; on this one it is plain LoRA",
            key="adapter.use_qalora", value=arguments["use_qalora"], remedy="leave it out",
        )  # fmt: skip
    if peft_type == "LN_TUNING" and arguments.get("target_modules") is None:
        raise InputError(
            "LN_TUNING trains norms, and the model's target_modules are linear",
            key="adapter.target_modules", remedy="name its norms, such as [LayerNorm]",
        )  # fmt: skip
    virtual = {"num_virtual_tokens", "token_dim"} <= set(argument_names(peft_type))
    if virtual and arguments.get("num_virtual_tokens") is None:
        raise InputError(
            f"{peft_type} must know how many tokens it puts before a sentence",
            key="adapter.num_virtual_tokens", remedy="a whole number, such as 20",
        )  # fmt: skip


def _check_type(config_class: type[PeftConfig], key: str, value: Any) -> None:
    """Compare a value from YAML with the annotation of the argument, where that can be read."""
    (default,) = (f.default for f in dataclasses.fields(config_class) if f.name == key)
    if value is None and default is None:
        return  # PEFT annotates some of these as if they could not be left out
    try:
        hint = typing.get_type_hints(config_class)[key]
        adapter = TypeAdapter(_widened(hint))
    except Exception:  # an annotation of names that exist for type checkers alone
        return
    try:
        # what YAML holds is what JSON holds: a list may become a set, a mapping a dataclass
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        raise InputError(
            error.errors(include_url=False)[0]["msg"].removeprefix("Input "),
            key=f"adapter.{key}", value=value, remedy=f"PEFT wants {kind}",
        ) from None  # fmt: skip


def _widened(hint: Any) -> Any:
    """A type with every Literal replaced by the types of its values.

    PEFT's Literals do not list all that it takes (`pissa_niter_4`); it checks these values itself.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return functools.reduce(operator.or_, {type(value) for value in inner})
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, [_widened(part) for part in inner])
    return hint
