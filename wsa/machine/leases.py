"""Which device a stage computes on, where several stages and several workflows run side by side.

A device is leased by a lock on a file that all users of the machine see; the kernel lets go of it
when the process dies, whatever it dies of.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from wsa.machine.devices import nvidia_smi

# names of pretend devices, with commas, for a machine without a GPU
PRETEND = "WSA_DEVICES"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_SECONDS_BETWEEN_TRIES = 0.5


def devices() -> tuple[str, ...]:
    """The devices that a stage may compute on: of those of this machine, what CUDA may see.

    Returns:
        The UUIDs of GPUs, which name the same card in every process, or the names in `WSA_DEVICES`.
    """
    pretend = os.environ.get(PRETEND)
    there = tuple(pretend.split(",")) if pretend else nvidia_smi("uuid")
    visible = os.environ.get(VISIBLE)
    if visible is None or not there:
        return there
    named: list[str] = []
    for entry in visible.split(","):
        device = _named(entry.strip(), there)
        if device is None:  # CUDA, too, reads no further than the first that is none
            break
        named.append(device)
    return tuple(named)


def _named(entry: str, there: tuple[str, ...]) -> str | None:
    """The device that an entry of `CUDA_VISIBLE_DEVICES` means: an index, a UUID or its start."""
    if entry.isdigit() and int(entry) < len(there):
        return there[int(entry)]
    if entry.startswith("MIG-"):  # a part of a GPU, which nvidia-smi does not list as one
        return entry
    return next((device for device in there if entry and device.startswith(entry)), None)


@contextlib.contextmanager
def leased_device() -> Iterator[str | None]:
    """Hold one of `devices()`, the only one that CUDA then sees; waits while all are taken.

    Call it before torch is imported: CUDA reads its environment only once. A single device that
    was named beforehand, by Slurm or by hand, is leased like any other, so that two workflows
    that were given the same one take turns. Yields the device, or None where there is none.
    """
    choices = devices()
    if not choices:
        yield None
        return
    with contextlib.ExitStack() as stack:
        device = _lease(choices, stack)
        if len(choices) > 1 or VISIBLE not in os.environ:
            os.environ[VISIBLE] = device
        print(f"device {device} (of {len(choices)})", flush=True)
        yield device


def _lease(choices: tuple[str, ...], stack: contextlib.ExitStack) -> str:
    """Take the first free device, for as long as `stack` is open."""
    from filelock import FileLock, Timeout

    waits = False
    while True:
        for device in choices:
            with contextlib.suppress(Timeout):
                lock = FileLock(lock_file(device), mode=0o666)  # for every user
                stack.enter_context(lock.acquire(blocking=False))
                return device
        if not waits:
            print(f"waiting for a device: {', '.join(choices)} taken by other runs", flush=True)
            waits = True
        time.sleep(_SECONDS_BETWEEN_TRIES)


def lock_file(device: str) -> Path:
    """The file that is locked while `device` is taken."""
    return Path(tempfile.gettempdir()) / f"wsa-device-{device.replace('/', '-')}.lock"
