"""Fresh Python processes for commands of the project, which need not import the libraries anew.

They are forks of a process that has imported the libraries and nothing else: of `wsa` each imports
the copy that its environment names. The process from which a workflow forks its stages is one too.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

_LIBRARIES = [
    "jinja2", "matplotlib.figure", "pandas", "peft", "pyarrow.parquet", "scipy.stats",
    "sklearn.metrics", "snakemake.cli", "transformers.models.bert.modeling_bert",
]  # fmt: skip
_STAGES = ["-P", "-m", "wsa.machine.forkserver"]  # how a workflow starts what forks its stages
_server_environment: dict[str, str] = {}


def run_python(
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    together: bool = False,
) -> subprocess.CompletedProcess[str]:
    """`python <arguments>` in a folder, where they are `-m module …` or `-c code …`.

    Args:
        arguments: what follows the interpreter.
        folder: where to run.
        environment: of the process. One that libraries may read differently makes it a process
            that imports them itself.
        together: standard output and error are one, in `stdout`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "out" if together else "err")
        process = start_python(arguments, folder, environment, out, err)
        process.join()
        printed, errors = out.read_text("utf-8"), err.read_text("utf-8")
    return subprocess.CompletedProcess(
        arguments, process.exitcode, printed, "" if together else errors
    )


def start_python(
    arguments: list[str],
    folder: Path,
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    *,
    session: bool = False,
) -> BaseProcess:
    """The same without a wait for its end; what it prints goes to files.

    Args:
        session: whether it leads a group of processes.
    """
    kind = "forkserver" if _fits(environment) else "spawn"
    process = multiprocessing.get_context(kind).Process(
        target=_run,
        args=(arguments, str(folder), dict(environment), [str(out), str(err)], session),
    )
    process.start()
    return process


def _fits(environment: Mapping[str, str]) -> bool:
    """Whether libraries imported by the server, which starts now at the latest, find the same."""
    if sys.platform != "linux":
        return False
    if not _server_environment:
        _server_environment.update(os.environ)
        forkserver.set_forkserver_preload(_LIBRARIES)
        forkserver.ensure_running()
    # of Python, of this project and its tests; what libraries and stages set in their process
    own = ("PYT", "WSA_", "JOURNAL", "TMPDIR")
    own += ("CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "KMP_INIT_AT_FORK", "CC", "CXX")
    one, other = (
        {name: value for name, value in variables.items() if not name.startswith(own)}
        for variables in (environment, _server_environment)
    )
    return one == other


def _run(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[str], session: bool
) -> None:
    for number, name in enumerate(files, start=1):
        _replace(number, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    if session:
        os.setsid()
    # what forks stages computes in one thread where nothing else is said
    if "snakemake.cli" in sys.modules and os.environ.get("OMP_NUM_THREADS") == "1":
        _standby()
    _become(arguments, folder, environment)


def _become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run the command in this process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    more = environment.get("PYTHONPATH", "")
    sys.path[:0] = [folder, *filter(None, more.split(os.pathsep))]
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
    kind, what, *sys.argv[1:] = arguments
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            assert kind == "-c", f"not python {kind}"
            sys.argv[0] = "-c"
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


def _replace(number: int, file: int) -> None:
    os.dup2(file, number)
    os.close(file)


def _standby() -> None:
    """Keep a fork of this process, as it is now, for a workflow that starts what forks its stages.

    The fork has a session of its own. Its standard input ends when this process closes it or ends.
    """
    here, there = socket.socketpair()
    process = os.fork()
    if process == 0:
        here.close()
        os.setsid()
        _stand_by(there)
    there.close()

    class Server:
        def __init__(self, command: list[str], env: Mapping[str, str], listener: int) -> None:
            request = json.dumps([command, os.getcwd(), dict(env)]).encode()
            socket.send_fds(here, [len(request).to_bytes(8, "big")], [listener])
            here.sendall(request)
            self.stdin = here

        def wait(self) -> None:
            os.waitpid(process, 0)

    class Popen(subprocess.Popen):
        def __new__(cls, command, *more, **options):
            if command[1:4] == _STAGES:
                return Server(command[2:], options["env"], *options["pass_fds"])
            return super().__new__(cls)

    subprocess.Popen = Popen


def _stand_by(workflow: socket.socket) -> None:
    """Wait for the workflow's command and become it; end if none comes."""
    message, files, *_ = socket.recv_fds(workflow, 8, 1)
    if not files:
        os._exit(0)
    with workflow.makefile("rb") as stream:
        command, folder, environment = json.loads(stream.read(int.from_bytes(message, "big")))
    os.set_inheritable(files[0], True)
    _replace(0, workflow.detach())
    sys.stdin = os.fdopen(0)
    for number in (1, 2):
        _replace(number, os.open(os.devnull, os.O_WRONLY))
    _become([*command[:2], str(files[0])], folder, environment)
