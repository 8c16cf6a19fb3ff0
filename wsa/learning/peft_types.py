"""From a method's arguments to a PEFT configuration, or to one message about what is wrong."""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import re
import types
import typing
from collections.abc import Iterable
from typing import Any

from peft import PeftConfig, TaskType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from pydantic import TypeAdapter, ValidationError

import wsa.adapters  # noqa: F401  (enters the spectral family)
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

# starts of LoRA that need a pass over the data before the adapter is made
_STARTS_FROM_DATA = ("corda", "eva", "lora_ga")


def peft_config(method: Method, spec: ModelSpec) -> PeftConfig:
    """The PEFT configuration of `method` on `spec`.

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
    try:
        return config_class(
            task_type=TaskType.SEQ_CLS, modules_to_save=list(spec.head_modules), **arguments
        )
    except Exception as error:  # PEFT's checks raise anything
        raise InputError(str(error), key="adapter", value=method.adapter) from error


def argument_names(peft_type: str) -> list[str]:
    """What a method of this PEFT type may say of itself, sorted; PEFT's own notes left out."""
    own = {field.name for field in dataclasses.fields(_config_class(peft_type))}
    every = {field.name for field in dataclasses.fields(PeftConfig)}
    return sorted(own - every - {"modules_to_save"})


def idle_patterns(arguments: dict[str, Any], modules: Iterable[str]) -> list[tuple[str, str]]:
    """(argument, pattern) of every pattern that matches none of the adapted modules.

    PEFT passes over a name that it does not find, so a typo would train another method.
    """
    modules = list(modules)
    return [
        (key, pattern)
        for key, patterns in arguments.items()
        if key.endswith("_pattern") and isinstance(patterns, dict)
        for pattern in patterns
        # as peft.utils.other.get_pattern_key compares
        if not any(re.match(rf"(.*\.)?({pattern})$", module) for module in modules)
    ]


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
