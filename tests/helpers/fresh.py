"""Fresh Python processes for commands of the project, which need not import the libraries anew.

They are forks of a process that has imported the libraries and nothing else: of `wsa` each imports
the copy that its environment names.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path

_LIBRARIES = [
    "jinja2", "matplotlib.figure", "pandas", "peft", "pyarrow.parquet", "scipy.stats",
    "sklearn.metrics", "snakemake.cli", "transformers.models.bert.modeling_bert",
]  # fmt: skip
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
    if sys.platform != "linux" or not _fits(environment):
        return subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT if together else subprocess.PIPE,
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        files = [f"{scratch}/out", f"{scratch}/{'out' if together else 'err'}"]
        process = multiprocessing.get_context("forkserver").Process(
            target=_run, args=(arguments, str(folder), dict(environment), files)
        )
        process.start()
        process.join()
        out, err = (Path(file).read_text(encoding="utf-8") for file in files)
    return subprocess.CompletedProcess(arguments, process.exitcode, out, "" if together else err)


def _fits(environment: Mapping[str, str]) -> bool:
    """Whether libraries imported by the server, which starts now at the latest, find the same."""
    if not _server_environment:
        _server_environment.update(os.environ)
        forkserver.set_forkserver_preload(_LIBRARIES)
        forkserver.ensure_running()
    # of Python and of this project; what stages and scikit-learn set in a process of theirs
    own = ("PYT", "WSA_", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "KMP_INIT_AT_FORK")
    one, other = (
        {name: value for name, value in variables.items() if not name.startswith(own)}
        for variables in (environment, _server_environment)
    )
    return one == other


def _run(arguments: list[str], folder: str, environment: dict[str, str], files: list[str]) -> None:
    for number, name in enumerate(files, start=1):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
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
