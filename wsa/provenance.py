"""What decides a number besides its inputs: code, versions, processor, threads."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from wsa.records import Determinism, Environment

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.cache
def source_hash(module: str) -> str:
    """SHA-256 of what `module` and all project modules it imports compute.

    Comments, formatting and docstrings do not count, so that writing about the code reruns
    nothing. Imports inside functions count like any other.

    Args:
        module: dotted name, such as `wsa.training`.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (read := _read_module(name)) is not None:
            found.add(name)
            waiting += read[1]
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + _read_module(name)[0] + b"\0")
    return digest.hexdigest()


@functools.cache
def _read_module(name: str) -> tuple[bytes, list[str]] | None:
    """The syntax tree of a module of this project, without docstrings, and what it may import."""
    path = _module_path(name)
    if path is None:
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [name.rpartition(".")[0]]
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        _drop_docstring(node)
    return ast.dump(tree).encode(), imports


def _module_path(name: str) -> Path | None:
    if name.split(".")[0] != "wsa":
        return None
    path = _ROOT / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or not body:
        return
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body.pop(0)


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
        nondeterministic: what ran without a deterministic kernel, see `devices.reproducible`.
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
