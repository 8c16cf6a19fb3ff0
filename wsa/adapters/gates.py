"""What a gate is worth, the same for tensors in training and arrays in files."""

from __future__ import annotations

from typing import TypeVar

Array = TypeVar("Array")  # a torch tensor or a numpy array


def gate_values(parameter: Array, gate: str) -> Array:
    """The gates g of shape (r,), from the trained parameter of shape (r,).

    For gate "singular_value" the parameter is s and g = tanh(s); else the parameter is g itself.
    """
    if gate != "singular_value":
        return parameter
    if hasattr(parameter, "tanh"):
        return parameter.tanh()
    import numpy

    return numpy.tanh(parameter)
