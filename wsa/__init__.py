"""The Weighted Spectral Adapter and Spectral-Adapter-A as PEFT methods, and their benchmark.

    import wsa
    model = peft.get_peft_model(model, wsa.WSAConfig(r=16, target_modules="all-linear"))
    ...                              # train; the ℓ1 term is in the model's loss
    wsa.effective_rank(model)        # module → directions in use
    wsa.prune(model)                 # drops the others
    wsa.recompress(model, 4, batches)  # any low-rank adapter, cut by estimated loss
    wsa.export(model, "as-lora")     # an ordinary LoRA adapter, or the merged model

Nothing is imported until it is used. Any of these names enters the methods in PEFT; to load a
saved adapter with PEFT alone, `import wsa.adapters` first.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "SpectralConfig": "wsa.adapters",
    "WSAConfig": "wsa.adapters",
    "prune": "wsa.adapters.pruning",
    "effective_rank": "wsa.adapters.pruning",
    "export": "wsa.adapters.export",
    "parameter_groups": "wsa.adapters.groups",
    "ChooseDirections": "wsa.adapters.callback",
    "recompress": "wsa.adapters.recompress",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wsa' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
