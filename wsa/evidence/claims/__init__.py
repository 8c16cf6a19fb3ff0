"""What a suite can claim: one file a kind, its model and its judge together.

Every module of this folder is imported, and each `BaseClaim` with a `kind` of its own that it
defines can stand in a suite's YAML. A new kind is a new file here, and nothing else.
"""

from __future__ import annotations

import functools
import importlib
import operator
import pkgutil
from typing import Annotated

from pydantic import Field

from wsa.evidence.claims.base import BaseClaim


def _kinds() -> list[type[BaseClaim]]:
    """The claims that this folder's modules define."""
    found: list[type[BaseClaim]] = []
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        for thing in vars(module).values():
            own = isinstance(thing, type) and thing.__module__ == module.__name__
            if own and issubclass(thing, BaseClaim) and "kind" in thing.model_fields:
                found.append(thing)
    return found


KINDS: tuple[type[BaseClaim], ...] = tuple(_kinds())
Claim = Annotated[functools.reduce(operator.or_, KINDS), Field(discriminator="kind")]
