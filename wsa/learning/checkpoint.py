"""A training's whole state on disk, so that a run that was killed goes on where it was."""

from __future__ import annotations

import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from wsa.files import atomic_path, remove_leftovers

KEPT = 2
SECONDS = 60.0
SHARE = 0.02  # of the time at most goes into saving, however large the state and slow the disk


class Checkpoints:
    """The last states of one training, newest first; they lie beside its results until it ends.

    A state is a mapping of tensors, numbers, text, lists and mappings: all that
    `torch.load(weights_only=True)` accepts, so that reading one runs no code.

    Args:
        folder: where the states lie.
        identity: all that decides the training's bits, by a name to say what differs. A state
            with another identity is reported and not used.
        seconds: how often to save, default once a minute; 0 saves after every step.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], seconds: float | None = None
    ) -> None:
        self.folder, self.identity = folder, identity
        self.seconds = SECONDS if seconds is None else seconds
        self._next = time.monotonic() + self.seconds
        remove_leftovers(folder)

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() >= self._next

    def save(self, state: dict[str, Any]) -> None:
        """Write `state`, atomically; the last two stay. Its "step" is the number of steps done.

        Raises:
            InputError: if the disk is full; the states that are there stay as they are.
        """
        begin = time.monotonic()
        # an open file, for its own error: torch's does not say that the disk is full
        target = self.folder / f"step-{state['step']:08d}.pt"
        with atomic_path(target) as path, path.open("wb") as file:
            torch.save({"identity": self.identity, **state}, file)
        states = self._newest_first()
        # `latest` refused these, else the training would have gone on from them
        later = [path for path in states if _step(path) > state["step"]]
        for path in [*later, *states[len(later) + KEPT :]]:
            path.unlink()
        now = time.monotonic()
        cost = now - begin if self.seconds else 0.0
        self._next = now + max(self.seconds, cost / SHARE)

    def latest(self) -> dict[str, Any] | None:
        """The newest state that is whole and belongs to this training; None if there is none.

        Any other is named in one printed line.
        """
        for path in self._newest_first():
            try:
                state = _load(path)
            except _DamagedError as damage:
                print(f"{path}: not used: damaged ({damage})", flush=True)
                continue
            found = state.pop("identity")
            names = self.identity.keys() | found.keys()
            other = sorted(name for name in names if found.get(name) != self.identity.get(name))
            if not other:
                return state
            print(f"{path}: not used: made with another {', '.join(other)}", flush=True)
        return None

    def remove(self) -> None:
        """Remove all states: the training's results are on disk."""
        for path in self._newest_first():
            path.unlink()
        if self.folder.exists():
            self.folder.rmdir()

    def kept(self) -> str:
        """The end of a message that says which state is kept; empty if there is none yet."""
        states = self._newest_first()
        return f"; the state after step {_step(states[0])} is kept" if states else ""

    def _newest_first(self) -> list[Path]:
        """By the step in the name: a clock may be set back, or differ between two machines."""
        states = (path for path in self.folder.glob("step-*.pt") if path.stem[5:].isdecimal())
        return sorted(states, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


# what the two readers raise for a file that is cut short or overwritten
_UNREADABLE = (
    *(OSError, EOFError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, pickle.UnpicklingError),
)


class _DamagedError(Exception):
    """A file is not what was saved."""


def _load(path: Path) -> dict[str, Any]:
    try:
        # torch does not compare the checksums that it writes
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise _DamagedError(f"the checksum of {damaged} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise _DamagedError((str(error) or repr(error)).splitlines()[0]) from None
