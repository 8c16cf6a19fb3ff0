"""A stage as a process: it ends with the workflow that started it, and works alone on its run."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from wsa.errors import COMMAND, InputError
from wsa.files import remove_leftovers

# the workflow enters its own process id here for the commands that it starts
WORKFLOW = "WSA_WORKFLOW_PID"
LOCK = ".lock"
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_END = 30  # for a step of training and its state
# NFS keeps the locks of a computer that died for 90
_SECONDS_TO_WAIT = 120


def end_with_workflow() -> None:
    """Make this process end when the workflow that started it is gone, even by SIGKILL.

    The workflow starts each command through a shell, which outlives it, so the kernel's
    PR_SET_PDEATHSIG would watch the wrong process. A thread waits for the workflow itself. Does
    nothing for a command started by hand.
    """
    workflow = os.environ.get(WORKFLOW)
    if workflow is not None:
        threading.Thread(target=_end_with, args=(int(workflow),), daemon=True).start()


def _end_with(pid: int) -> None:
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        workflow = psutil.Process(pid)
        # a zombie is gone as well: its parent has not asked yet how it ended
        while workflow.is_running() and workflow.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    command = os.environ.get(COMMAND, "snakemake --cores 1")
    with contextlib.suppress(OSError):  # who would read it may be gone as well
        print(
            f"the workflow is gone, so this stage stops; to go on: {command} --unlock && {command}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    end_this_process()


def end_this_process() -> None:
    """End by SIGTERM, which lets a step of training end and be saved, or else without it."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_END)
    os._exit(128 + signal.SIGTERM)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, so that no two processes write the same run.

    A process that was killed lets go of it, whatever it was doing; what it left half-written is
    removed here.

    Raises:
        InputError: another process still holds the lock after two minutes.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        try:
            lock.acquire(timeout=1)
        except Timeout:
            print(f"{folder}: waiting for the process that is at work here", flush=True)
            lock.acquire(timeout=_SECONDS_TO_WAIT)
    except Timeout:
        raise InputError(
            "another process is at work on this run", file=folder,
            remedy=f"wait until it ends; to see which it is: fuser -v {folder / LOCK}, or on a "
            "cluster: squeue --me",
        ) from None  # fmt: skip
    with lock:
        remove_leftovers(folder, keep=LOCK)
        yield
        lock.release()


class SignalNoted:
    """Notes SIGTERM or SIGINT instead of ending at once, so that a loop can end its step.

    A second signal ends the process as usual. Without effect outside the main thread.

    Attributes:
        number: of the signal that came; None as long as none did.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> SignalNoted:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self.number = number
        self.__exit__()

    def obey(self) -> None:
        """End this process by the signal that came."""
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)
