"""The spectral family as PEFT tuners: Spectral-Adapter-A and the Weighted Spectral Adapter.

Importing this package enters them in PEFT's mappings, so that `get_peft_model`,
`save_pretrained`, `PeftModel.from_pretrained` and `merge_and_unload` treat them like any other
method. PEFT's own `register_peft_method` accepts only names of its closed `PeftType` enumeration.
"""

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)

from wsa.adapters.config import SpectralConfig, WSAConfig
from wsa.adapters.layer import SpectralLayer, SpectralLinear
from wsa.adapters.model import SpectralModel

__all__ = ["SpectralConfig", "SpectralLayer", "SpectralLinear", "SpectralModel", "WSAConfig"]

for _config in (SpectralConfig, WSAConfig):
    PEFT_TYPE_TO_CONFIG_MAPPING[_config.PEFT_TYPE] = _config
    PEFT_TYPE_TO_TUNER_MAPPING[_config.PEFT_TYPE] = SpectralModel
    PEFT_TYPE_TO_PREFIX_MAPPING[_config.PEFT_TYPE] = SpectralModel.prefix
