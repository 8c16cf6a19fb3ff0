"""Where and with what a stage ran: versions, processor, threads, the commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from wsa.records.run import Determinism, Environment

_ROOT = Path(__file__).parent.parent.parent
_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def environment(
    started: str,
    *,
    accelerator: str | None = None,
    trains: bool = False,
    nondeterministic: Iterable[str] = (),
) -> Environment:
    """Where the calling stage ran; call it when the stage ends.

    Args:
        started: `now()` at the stage's start.
        accelerator: the name of the GPU that computed, if one did.
        trains: whether the stage trained, so that differences of round-off have grown.
        nondeterministic: what ran without a deterministic kernel, see `learning.reproducible`.
    """
    import torch

    commit, clean = _git_state()
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return Environment(
        versions={"python": platform.python_version(), **versions},
        processor=processor(),
        accelerator=accelerator,
        threads=torch.get_num_threads(),
        blas=_blas(),
        platform=f"{platform.system()} {platform.machine()}",
        determinism=_determinism(accelerator, trains, list(nondeterministic)),
        git_commit=commit,
        git_clean=clean,
        started=started,
        finished=now(),
    )


def _determinism(accelerator: str | None, trains: bool, kernels: list[str]) -> Determinism:
    """What is known beforehand: that a GPU repeats its bits, `wsa verify` alone can show."""
    if kernels:
        return Determinism(
            level="statistical" if trains else "round-off",
            raised_by=f"deterministic kernels; torch says: {'; '.join(kernels)}",
        )
    if accelerator:
        return Determinism(
            level="round-off",
            raised_by="a second run with the same bits on the same GPU and versions, see wsa "
            "verify: torch had a deterministic kernel for everything",
        )
    return Determinism(level="bitwise", raised_by=None)


def _blas() -> str:
    """The linear algebra library and the vector instructions torch chose."""
    import torch

    text = torch.__config__.show()
    library = re.search(r"BLAS_INFO=(\w+)", text)
    name = library.group(1) if library else "unknown"
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def processor() -> str:
    """The processor's name, and its family where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*:\s*(.+)", text)
    family = re.search(r"cpu family\s*:\s*(\d+)\nmodel\s*:\s*(\d+)", text)
    label = name.group(1).strip() if name else platform.machine()
    return f"{label} (family {family.group(1)}, model {family.group(2)})" if family else label


def _git_state() -> tuple[str | None, bool | None]:
    """The commit of the project's checkout and whether its tracked files are as committed."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            capture_output=True, text=True, check=True, timeout=20,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout.strip()  # fmt: skip

    try:
        commit = git("rev-parse", "HEAD")
        return commit, git("status", "--porcelain", "--untracked-files=no") == ""
    except (OSError, subprocess.SubprocessError):
        return None, None
