"""Tuners that no library has, beside the spectral family: a folder each, called as its PEFT type.

Importing this package enters them all in PEFT's mappings. A run's identity holds the code of its
own tuner and of no other (`wsa.identity`), so a new one leaves every other run as it is.
"""

import importlib
import pkgutil

import wsa.adapters  # noqa: F401  (the spectral family)

for _tuner in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_tuner.name}")
