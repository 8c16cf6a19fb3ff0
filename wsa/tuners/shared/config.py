"""What every one of these tuners can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from peft.config import PeftConfig

from wsa.adapters.config import SpectralType


@dataclass
class TunerConfig(PeftConfig):
    """The part of a configuration that has nothing to do with the method.

    Args:
        target_modules: linear modules to adapt: names, endings of names, a regular expression, or
            "all-linear". Default: the modules PEFT's LoRA takes for the architecture.
        exclude_modules: names never adapted, even where `target_modules` matches.
        modules_to_save: modules trained in full beside the adapter, such as a new head.
        factor_cache: a folder for decompositions, keyed by the weight's content. Not saved with
            the adapter.
        init_factors: whether the frozen tensors are computed from the base weight when the adapter
            is made. A saved adapter carries its own and says False.
    """

    PEFT_TYPE: ClassVar[str]

    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = None
    factor_cache: str | None = None
    init_factors: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = SpectralType(self.PEFT_TYPE)
        if isinstance(self.target_modules, list | tuple):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list | tuple):
            self.exclude_modules = set(self.exclude_modules)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as it is saved: the frozen tensors travel with those that train."""
        held = super().to_dict()
        sets = ("target_modules", "exclude_modules")
        # sorted, so that equal adapters are saved as equal bytes
        listed = {key: sorted(held[key]) for key in sets if isinstance(held[key], set)}
        own = {"peft_type": self.PEFT_TYPE, "factor_cache": None, "init_factors": False}
        return held | listed | own


@dataclass
class RankConfig(TunerConfig):
    """With a rank, the same in every target module.

    Args:
        r: how many singular triplets of a weight take part.
    """

    r: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.r) is not int or self.r < 1:
            raise ValueError(f"r should be a whole number of at least 1, not {self.r!r}")
