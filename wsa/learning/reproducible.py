"""What would change bits from run to run."""

from __future__ import annotations

import os

import torch


def reproducible(threads: int) -> None:
    """Fix it: the number of threads, and kernels that are not deterministic."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
