"""Stages as forks of one process that has imported what they need.

To import torch, transformers and PEFT, and to take them down again, costs a stage more processor
time than many a stage's own work. So whoever starts several, a workflow (`start`) or a command that
makes runs again (`kept`), keeps a server that imports them for the first stage that computes; `wsa`
then asks it for a fork that runs the stage with the arguments, folder, environment and open files
of its own process (`run_forked`). Whatever speaks against that, before the stage has begun, and the
stage runs where it was called.

A line each from the server: "begun", then how it ended, as `multiprocessing.Process.exitcode`. A
byte each to it: the number of a signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wsa.machine.processes import WORKFLOW, end_this_process

SOCKET = "WSA_FORKSERVER"
_LOADED = "loaded"  # a file beside the socket: the server has imported everything
BEGUN = b"begun\n"

# libraries read these when they are loaded; snakemake sets them to the threads of a job
THREADS = (
    "OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
# what differs from job to job, and nothing reads when it is loaded
_OF_A_JOB = {"_", "OLDPWD", "PATH", "PWD", "SHLVL", "TEMP", "TEMPDIR", "TMP", "TMPDIR", *THREADS}

# what stages import, also late
_MODULES = (
    "wsa.stages.check", "wsa.stages.evaluate", "wsa.stages.factors", "wsa.stages.inference",
    "wsa.stages.packed", "wsa.stages.prune", "wsa.stages.thresholds", "wsa.stages.tokenise",
    "wsa.stages.train", "wsa.learning.peft_types", "wsa.machine.estimates", "wsa.suite.load",
    "pandas", "peft.utils.transformers_weight_conversion", "psutil", "pyarrow.parquet",
    "scipy.stats", "sklearn.metrics",
)  # fmt: skip


# --- who starts stages ---------------------------------------------------------------------------


def start() -> None:
    """Keep a server for the stages that this process will start, until it ends."""
    import atexit

    keeping = contextlib.ExitStack()
    os.environ.update(keeping.enter_context(kept()))
    atexit.register(keeping.close)


@contextlib.contextmanager
def kept() -> Iterator[dict[str, str]]:
    """Keep a server for the stages that this process starts, until the block ends.

    Yields:
        what the environment of those stages has beside this process's own. They run where they
        are called all the same where a process cannot be trusted after a fork: on macOS.
    """
    import subprocess
    import tempfile

    added = {WORKFLOW: str(os.getpid())}
    if sys.platform != "linux":
        yield added
        return
    with tempfile.TemporaryDirectory(prefix="wsa-", ignore_cleanup_errors=True) as folder:
        path = str(Path(folder) / "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(path)
            except OSError:  # a path that is too long for a socket
                yield added
                return
            listener.listen(128)
            added[SOCKET] = path
            server = subprocess.Popen(
                # as `wsa` itself, it does not look for modules where it is called
                [sys.executable, "-P", "-m", __name__, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                env=os.environ | added | dict.fromkeys(THREADS, "1"),
                stdin=subprocess.PIPE,  # it ends when nobody holds the other end
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # what a terminal sends reaches a stage once, through `wsa`
            )
        try:
            yield added
        finally:
            server.stdin.close()
            server.wait()


# --- the process that was called -----------------------------------------------------------------


def run_forked(arguments: list[str], *, computes: bool) -> int | None:
    """Have the workflow's server run `wsa` with these arguments.

    A stage that a signal ended ends this process by that signal.

    Args:
        arguments: of `wsa`.
        computes: whether the stage needs torch. For one that does not, a server that has imported
            nothing yet is not made to.

    Returns:
        The exit status; None if nothing has begun, so that it can be run here.
    """
    path = os.environ.get(SOCKET)
    if path is None or WORKFLOW not in os.environ:
        return None
    if not computes and not Path(path).with_name(_LOADED).exists():
        return None
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answers:
        try:
            request = {
                "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ),
                "python": _python(),
            }  # fmt: skip
            connection.connect(path)
            socket.send_fds(connection, [b"\0"], [0, 1, 2])
            connection.sendall(json.dumps(request).encode() + b"\n")
            if answers.readline() != BEGUN:
                return None
        except OSError:
            return None
        return _wait(connection, answers)


def _wait(connection: socket.socket, answers: BinaryIO) -> int:
    """How the stage has ended; until then, the signals that come here go there."""

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(OSError):  # it has just ended
            connection.send(bytes([number]))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    status = None
    with contextlib.suppress(OSError):
        for line in answers:  # the last one counts
            status = int(line)
    if status is None:
        print("wsa: the process of this stage is gone, and nobody saw how", file=sys.stderr)
        return 128 + signal.SIGKILL
    if status < 0:
        with contextlib.suppress(OSError):  # nothing handles SIGKILL
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _python() -> list[str]:
    """Which interpreter and which copy of this package."""
    return [sys.prefix, __file__]


# --- the server ----------------------------------------------------------------------------------


def serve(listener: socket.socket) -> None:
    """Fork a stage for everyone who connects, until standard input ends and all stages have."""
    import multiprocessing
    from multiprocessing.connection import wait

    fork = multiprocessing.get_context("fork").Process
    environment, sources = dict(os.environ), None
    waits_for: list[object] = [sys.stdin, listener]
    stages: dict[int, tuple[multiprocessing.Process, socket.socket]] = {}
    while waits_for or stages:
        ready = set(wait([*waits_for, *stages]))
        for sentinel in stages.keys() & ready:
            stage, connection = stages.pop(sentinel)
            stage.join()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % stage.exitcode)
            stage.close()
        if sys.stdin in ready:
            listener.close()
            waits_for = []
        elif listener in ready:
            connection, _ = listener.accept()
            if sources is None:
                sources = _sources()
                _preload()
                Path(listener.getsockname()).with_name(_LOADED).touch()
            others = [listener, *(other for _, other in stages.values())]
            stage = fork(target=_stage, args=(connection, others, environment, sources))
            try:
                stage.start()
            except OSError:  # too many processes, or too little memory for one more
                connection.close()
            else:
                stages[stage.sentinel] = stage, connection


def _preload() -> None:
    import gc
    import importlib

    gc.disable()
    for name in _MODULES:
        importlib.import_module(name)
    gc.freeze()  # no collection in a fork writes to, and so copies, what it shares
    gc.enable()


def _sources() -> dict[str, tuple[int, int]]:
    """Changes with the code on disk: this package's, and what is installed beside it."""
    import sysconfig

    files = [*Path(__file__).parents[1].rglob("*.py"), Path(sysconfig.get_path("purelib"))]
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def _stage(
    connection: socket.socket,
    others: list[socket.socket],
    environment: dict[str, str],
    sources: dict[str, tuple[int, int]],
) -> None:
    """The forked process: does what the one that was called would do."""
    import tempfile
    import threading

    for other in others:  # who waits for the end of another stage would wait for this one's too
        other.close()
    files = socket.recv_fds(connection, 1, 3)[1]
    messages = connection.makefile("rb")
    request = json.loads(messages.readline())
    if not (
        request["python"] == _python()
        and _lasting(request["environment"]) == _lasting(environment)
        and _sources() == sources
        and _fit_threads(request["environment"])
    ):
        return
    os.chdir(request["folder"])
    connection.sendall(BEGUN)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.update(request["environment"])
    del os.environ[SOCKET]
    tempfile.tempdir = None
    sys.argv[:] = ["wsa", *request["arguments"]]
    threading.Thread(target=_obey, args=(messages,), daemon=True).start()

    from wsa.cli import main

    status = main(request["arguments"])
    with contextlib.suppress(OSError):  # if the server is gone, nobody else says it
        connection.sendall(b"%d\n" % status)
    sys.exit(status)


def _lasting(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in _OF_A_JOB}


def _fit_threads(environment: dict[str, str]) -> bool:
    """Compute with as many threads as libraries loaded in this environment would.

    Returns:
        Whether that is possible: the variables agree, and CUDA has not been started yet.
    """
    import threadpoolctl
    import torch

    threads = {environment.get(name, "") for name in THREADS}
    if len(threads) > 1 or not (text := threads.pop()).isdecimal() or torch.cuda._is_in_bad_fork():
        return False
    if text != "1":  # the server's own
        torch.set_num_threads(int(text))
        threadpoolctl.threadpool_limits(int(text))
    return True


def _obey(messages: BinaryIO) -> None:
    """Take the signals that come to the process that was called; end when it is gone."""
    with contextlib.suppress(OSError):
        while number := messages.read(1):
            os.kill(os.getpid(), number[0])
    end_this_process()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _listener:
        _folder = Path(_listener.getsockname()).parent
        try:
            serve(_listener)
        finally:
            import shutil

            shutil.rmtree(_folder, ignore_errors=True)
            os._exit(0)  # without taking down what was imported
