"""Which device a stage computes on."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator


@functools.cache
def nvidia_smi(field: str) -> tuple[str, ...]:
    """What nvidia-smi says of every GPU of this machine (`name`, `uuid`); empty without any."""
    if shutil.which("nvidia-smi") is None:
        return ()
    try:
        output = subprocess.run(
            ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in output.splitlines() if line.strip())


def gpu_names() -> tuple[str, ...]:
    """The names of the GPUs, if this process may use any; found without importing torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return ()
    return nvidia_smi("name")


def device_for_stage():
    """The torch device: CUDA where torch sees one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def accelerator_name() -> str | None:
    """The name of the GPU that torch computes on; None on a CPU."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@contextlib.contextmanager
def nondeterministic_kernels() -> Iterator[list[str]]:
    """Collects what torch ran without a deterministic kernel, in its own words; see
    `learning.reproducible`.

    Yields:
        The list, which grows while the block runs.
    """
    found: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message="(?s).*determinis")
        show = warnings.showwarning

        def note(message: Warning | str, *where: object, **more: object) -> None:
            line = re.split(r", but you set|\. |\n", str(message))[0]
            if "determinis" not in line:
                show(message, *where, **more)
            elif line not in found:
                found.append(line)

        warnings.showwarning = note
        yield found
