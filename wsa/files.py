"""Reading and writing files so that a file is either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wsa import errors
from wsa.errors import InputError

_PART = ".part-"  # in the name of what is not whole yet, which begins with a dot


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    The content is flushed to disk before the rename, so that a crash leaves the old file or the
    new one, never a part. On an error the temporary file is removed and `path` is untouched; what
    a process left that was killed, the next one that writes `path` removes.
    """
    path = file_path(path)

    def make() -> Path:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}{_PART}", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        return Path(name)

    with _temporary(path, make) as temporary:
        with _full_disk_told(path):
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)


def file_path(path: Path | str) -> Path:
    """`path`; InputError if no file can take that place. For checks before long work."""
    path = _named(path)
    if path.is_dir():
        raise InputError("is a folder", file=path, remedy="name a file in it")
    return path


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and Inf are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_rows(path: Path | str, value: dict[str, Any]) -> None:
    """Write a mapping as JSON, atomically: a key a line, and each item of a list on its own."""

    def line(item: Any) -> str:
        return json.dumps(item, ensure_ascii=False, allow_nan=False)

    def cell(item: Any) -> str:
        if not (isinstance(item, list) and item):
            return line(item)
        return "[\n" + ",\n".join(f"    {line(own)}" for own in item) + "\n  ]"

    cells = ",\n".join(f"  {line(key)}: {cell(item)}" for key, item in value.items())
    write_text(path, f"{{\n{cells}\n}}\n")


def sha256_file(path: Path | str) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """The hexadecimal SHA-256 of `value` as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hashes(folder: Path, paths: list[Path]) -> dict[str, str]:
    """SHA-256 of `paths` and of the files in them, by their path below `folder`."""
    files: list[Path] = []
    for path in paths:
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return {str(file.relative_to(folder)): sha256_file(file) for file in files}


def check_files(folder: Path, hashes: dict[str, str], remake: Path) -> None:
    """Raise InputError unless the files of a record still have its hashes.

    Args:
        folder: what the names in `hashes` are relative to.
        hashes: name → SHA-256.
        remake: the file whose rerun makes them anew, for the message.
    """
    for name, expected in hashes.items():
        path = folder / name
        found = sha256_file(path) if path.is_file() else None
        if found != expected:
            raise InputError(
                "is not what its record says" if found else "is missing",
                file=path, remedy=f"remake it: {errors.remake(remake)}",
            )  # fmt: skip


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """A temporary folder beside `path` that replaces it when the block ends well."""
    path = _named(path)
    with passing_folder(path) as temporary:
        with _full_disk_told(path):
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)


@contextlib.contextmanager
def passing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, on the same disk, that is gone when the block ends."""

    def make() -> Path:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}{_PART}", dir=path.parent))

    with _temporary(path, make) as temporary:
        yield temporary


@contextlib.contextmanager
def _temporary(path: Path, make: Callable[[], Path]) -> Iterator[Path]:
    """What `make` makes beside `path`, held as long as the block runs and then removed.

    What other blocks for the same `path` left, whose processes are no more, is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, path.name)
    while True:
        temporary = make()
        lock = _lock(temporary, wait=True)
        if temporary.exists():
            break
        _unlock(lock)  # another process took it for abandoned before it was locked
    try:
        yield temporary
    finally:
        _remove(temporary)
        _unlock(lock)


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files and folders that no process holds any more.

    Every process locks what it writes, and the kernel lets go of the lock when the process ends,
    however it ends, so that nothing another process is writing is touched. On a file system
    without locks nothing is removed.

    Args:
        folder: where they lie.
        name: of the file or folder they were to become; default: of any.
    """
    of = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.{of}{re.escape(_PART)}\w+(\.\w+)?")
    for path in folder.glob(".*"):
        if pattern.fullmatch(path.name) and (lock := _lock(path, wait=False)) is not None:
            _remove(path)
            _unlock(lock)


def _lock(path: Path, *, wait: bool) -> int | None:
    """A handle that locks `path` until it is closed; None if that cannot be."""
    handle = None
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # it is gone, another process holds it, or the disk knows no locks
        _unlock(handle)
        return None
    return handle


def _unlock(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _named(path: Path | str) -> Path:
    """`path`; InputError unless it ends in a name: what is written takes its place as a whole."""
    path = Path(path)
    if path.name in ("", ".."):
        raise InputError("ends in no name, so nothing can be written there", file=path)
    return path


def remove_leftovers(folder: Path, keep: str | None = None) -> None:
    """Remove what a killed process left half-written in `folder`: temporary names begin with a dot.

    Only for a folder that no other process writes to.
    """
    for path in folder.glob(".*"):
        if path.name == keep:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_space(folder: Path, needed: int) -> None:
    """Raise InputError unless the disk of `folder` has `needed` bytes free."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"its disk has {free / 1e6:.0f} MB free, and {needed / 1e6:.0f} MB will be written",
            file=folder, remedy="make room, and give the same command again",
        )  # fmt: skip


@contextlib.contextmanager
def _full_disk_told(path: Path) -> Iterator[None]:
    """Say that the disk is full as an InputError, however the writing library says it."""
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        raise InputError(
            "the disk is full; what was there before is untouched", file=path,
            remedy="make room, and give the same command again",
        ) from error  # fmt: skip


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error says that the disk is full, in whatever way."""
    full = (errno.ENOSPC, errno.EDQUOT)
    while error is not None:
        # safetensors gives no errno, only its text
        if getattr(error, "errno", None) in full or f"(os error {errno.ENOSPC})" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
