"""What a training logs on its way: the learning curve, and the gates of a gated method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from wsa.files import atomic_path
from wsa.layout import RunFiles

_POINTS = 100  # rows of a curve
_GATE_POINTS = 20  # of which this many also keep every gate


class Curves:
    """The tables of one training.

    Args:
        learning_rate: of the body, before the schedule; None where there is none.
        rate: what the schedule multiplies it by at each step.

    Attributes:
        rows: of `curve.parquet`: step, loss (mean since the row before), learning_rate,
            sum_of_learning_rates, mean_gate (of |g|; NaN without gates).
        gates: of `gates.parquet`: step, module, direction, gate.
    """

    def __init__(self, learning_rate: float | None, rate: Float[np.ndarray, " steps"]) -> None:
        self.learning_rate, self.rate = learning_rate or 0.0, rate
        self.rows: list[dict] = []
        self.gates: list[dict] = []

    @property
    def logged_step(self) -> int:
        """The step of the last row; 0 before the first."""
        return self.rows[-1]["step"] if self.rows else 0

    def wants(self, step: int) -> bool:
        """Whether a row belongs after `step` steps."""
        return self._at(step, _POINTS) or self._at(step, _GATE_POINTS)

    def log(self, step: int, loss: float, gates: Mapping[str, torch.Tensor]) -> None:
        """Add what is wanted after `step` steps; `gates` are (r,) by module, empty without."""
        if self._at(step, _POINTS):
            mean_gate = torch.cat(list(gates.values())).abs().mean().item() if gates else np.nan
            self.rows.append(
                {
                    "step": step,
                    "loss": loss,
                    "learning_rate": float(self.learning_rate * self.rate[step - 1]),
                    "sum_of_learning_rates": float(self.learning_rate * self.rate[:step].sum()),
                    "mean_gate": float(mean_gate),
                }
            )
        if self._at(step, _GATE_POINTS):
            self.gates += [
                {"step": step, "module": module, "direction": direction, "gate": gate}
                for module, values in gates.items()
                for direction, gate in enumerate(values.tolist())
            ]

    def _at(self, step: int, points: int) -> bool:
        return step % max(1, len(self.rate) // points) == 0 or step == len(self.rate)

    def write(self, files: RunFiles) -> None:
        """Write both tables; empty ones where nothing was trained."""
        import pandas as pd

        columns = ["step", "loss", "learning_rate", "sum_of_learning_rates", "mean_gate"]
        with atomic_path(files.curve) as path:
            pd.DataFrame(self.rows, columns=columns).to_parquet(path, index=False)
        kinds = {"step": "int32", "direction": "int16", "gate": "float32"}
        with atomic_path(files.gates) as path:
            frame = pd.DataFrame(self.gates, columns=["step", "module", "direction", "gate"])
            frame.astype(kinds).to_parquet(path, index=False)
