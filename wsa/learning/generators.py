"""Random numbers that a model draws outside of torch's own stream, as state to go on from.

PEFT keeps them in plain attributes, where `state_dict` does not look: PVERA a generator a layer,
MonteCLoRA a store of numbers drawn in advance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_STORE = ("buffer", "index")  # what MonteCLoRA's sampler holds of numbers drawn and used


def random_state(model: nn.Module) -> dict[str, Any]:
    """The state of every generator and store in the modules of `model`, by place."""
    state: dict[str, Any] = {}
    for place, source in _sources(model):
        if isinstance(source, torch.Generator):
            state[place] = source.get_state()
        else:
            state[place] = {name: getattr(source, name) for name in _STORE}
    return state


def set_random_state(model: nn.Module, state: dict[str, Any]) -> None:
    """Go on from what `random_state` gave for a model of the same kind."""
    for place, source in _sources(model):
        if isinstance(source, torch.Generator):
            source.set_state(state[place])
        else:
            vars(source).update(state[place])


def random_bytes(model: nn.Module) -> int:
    """How large that state is."""
    return sum(_nbytes(part) for part in random_state(model).values())


def _sources(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            held = value.items() if isinstance(value, dict) else [("", value)]
            for part, source in held:
                if isinstance(source, torch.Generator) or _is_store(source):
                    yield f"{name}.{key}.{part}", source


def _is_store(source: Any) -> bool:
    return not isinstance(source, nn.Module) and all(
        name in getattr(source, "__dict__", ()) for name in _STORE
    )


def _nbytes(part: Any) -> int:
    if isinstance(part, Tensor):
        return part.nbytes
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return sum(map(_nbytes, inner))
