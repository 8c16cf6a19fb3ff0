"""What tuners that start from a weight's singular triplets share; no tuner itself.

A tuner is then three small classes: a `TunerConfig`, a `TunedLinear` that says what its tensors are
at the start and what they add to a layer's output, and a `TunedModel` that names the layer; and
`register`.
"""

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)

from wsa.adapters.factors import Factors
from wsa.tuners.shared.config import RankConfig, TunerConfig
from wsa.tuners.shared.layer import Parts, TunedLinear
from wsa.tuners.shared.model import TunedModel

__all__ = [
    "Factors",
    "Parts",
    "RankConfig",
    "TunedLinear",
    "TunedModel",
    "TunerConfig",
    "register",
]


def register(config: type[TunerConfig], model: type[TunedModel]) -> None:
    """Enter a tuner in PEFT's mappings."""
    PEFT_TYPE_TO_CONFIG_MAPPING[config.PEFT_TYPE] = config
    PEFT_TYPE_TO_TUNER_MAPPING[config.PEFT_TYPE] = model
    PEFT_TYPE_TO_PREFIX_MAPPING[config.PEFT_TYPE] = model.prefix
