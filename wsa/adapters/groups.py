"""The parameters of an adapted model as groups for an optimizer."""

from __future__ import annotations

from torch import nn

from wsa.adapters.saved import is_gate


def parameter_groups(
    model: nn.Module, learning_rate: float, gate_learning_rate: float
) -> list[dict]:
    """All that trains, the gates with a learning rate of their own; no weight decay on vectors.

    AdamW moves a parameter by about its learning rate a step. A gate must be able to go from 1 to
    0, and back if its direction proves useful: choose the rate so that it sums to about 3 over
    the steps, that is 6 / steps with linear decay and 3 / steps with a constant rate.

    Args:
        model: a model with adapters.
        learning_rate: of everything but the gates.
        gate_learning_rate: of the gates.

    Returns:
        Groups as `torch.optim.AdamW` and its kin take them.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((is_gate(name), parameter.ndim < 2), []).append(parameter)
    return [
        {"params": parameters, "lr": gate_learning_rate if gate else learning_rate}
        | ({"weight_decay": 0.0} if vector else {})
        for (gate, vector), parameters in groups.items()
    ]
