"""A real Slurm on this machine, for the length of a test: one node with one pretend GPU.

Slurm's own commands inside a job look for the configuration in /etc/slurm alone, so it is written
there, and removed afterwards. A Slurm that this machine already has is never touched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

HOME = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
OURS = "# of the tests of weighted-spectral-adapter\n"
NODE = "pretend"
SECONDS_TO_START = 60
SECONDS_TO_STOP = 40  # a cancelled job is killed after 30


def why_not() -> str | None:
    """What this machine lacks; None if nothing."""
    absent = [name for name in ("munged", "slurmctld", "slurmd", "srun") if not shutil.which(name)]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: slurmctld slurmd slurm-client munge)"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "not installed: snakemake-executor-plugin-slurm"
    if os.geteuid() != 0:
        return "Slurm's daemons can be started by root only"
    for file in FILES:
        if (HOME / file).exists() and not (HOME / file).read_text().startswith(OURS):
            return f"this machine has a Slurm of its own: {HOME / file}"
    return None


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """Run munged, slurmctld and slurmd until the block ends, however it ends.

    Where they do not start, as in some sandboxes, the tests are skipped with what they said.
    """
    folder.chmod(0o755)  # munged wants its folders closed to writing, not to reading
    made, existed = [], HOME.exists()
    daemons: list[subprocess.Popen] = []
    HOME.mkdir(exist_ok=True)
    try:
        for file, text in zip(FILES, _configuration(folder), strict=True):
            (HOME / file).write_text(OURS + text)
            made.append(HOME / file)
        for name, command in _commands(folder).items():
            with (folder / f"{name}.log").open("w") as log:
                daemons.append(
                    subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
                )
        _wait_until_idle(folder, daemons)
        yield
    finally:
        if len(daemons) == len(_commands(folder)):
            _end_jobs()
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in psutil.process_iter(["name", "create_time"]):
            if process.info["name"] == "slurmstepd":  # this machine has no Slurm but ours
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        for path in made:
            path.unlink()
        if not existed:
            HOME.rmdir()


def ask(*command: str) -> str:
    """What one of Slurm's commands prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def jobs() -> list[dict[str, str]]:
    """All jobs since the start, the finished ones too, as `scontrol show job` describes them."""
    lines = ask("scontrol", "--oneliner", "show", "job").splitlines()
    described = [
        dict(word.split("=", 1) for word in line.split() if "=" in word)
        for line in lines
        if line.startswith("JobId=")
    ]
    return described


def _end_jobs() -> None:
    with contextlib.suppress(subprocess.SubprocessError):
        ask("scancel", "--user", "root")
        deadline = time.monotonic() + SECONDS_TO_STOP
        while ask("squeue", "--noheader").strip() and time.monotonic() < deadline:
            time.sleep(0.2)


def _wait_until_idle(folder: Path, daemons: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    said = ""
    while time.monotonic() < deadline and all(daemon.poll() is None for daemon in daemons):
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True
        )
        said = done.stdout.strip() or done.stderr.strip()
        if said == "idle":
            return
        time.sleep(0.2)
    logs = "\n".join(f"{p.name}:\n{p.read_text()[-2000:]}" for p in sorted(folder.glob("*.log")))
    pytest.skip(f"Slurm does not start on this machine: {said}\n{logs}")


def _commands(folder: Path) -> dict[str, list[str]]:
    key = folder / "munge.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
    files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = [f"--{option}={folder / f'munged.{suffix}'}" for option, suffix in files.items()]
    return {
        "munged": ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
        "slurmctld": ["slurmctld", "-D", "-c"],
        "slurmd": ["slurmd", "-D", "-c", "-N", NODE],
    }


def _configuration(folder: Path) -> tuple[str, str]:
    """slurm.conf and gres.conf."""
    control, node = _free_port(), _free_port()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    main = f"""\
ClusterName=tests
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munged.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MinJobAge=86400
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={NODE} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={NODE} Default=YES MaxTime=INFINITE State=UP
"""
    return main, f"AutoDetect=off\nNodeName={NODE} Name=gpu File=/dev/null\n"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
