"""SoRA: LoRA with a gate on every direction, and a proximal step that puts gates to zero.

Ding et al. 2023, "Sparse Low-rank Adaptation of Pre-trained Language Models", arXiv:2311.11696;
the authors' code is TsinghuaC3I/SoRA. What of the two is built, see `SoraConfig`.
"""

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)

from wsa.tuners.sora.config import SoraConfig
from wsa.tuners.sora.layer import SoraLinear
from wsa.tuners.sora.model import SoraModel

__all__ = ["SoraConfig", "SoraLinear", "SoraModel"]

PEFT_TYPE_TO_CONFIG_MAPPING["SORA"] = SoraConfig
PEFT_TYPE_TO_TUNER_MAPPING["SORA"] = SoraModel
PEFT_TYPE_TO_PREFIX_MAPPING["SORA"] = SoraModel.prefix
