"""Several GPUs in one machine, pretended: every run has a device of its own."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.helpers.fresh import start_python
from tests.helpers.project import edit_yaml, environment, make_project, snakemake

DEVICES = ("0", "1", "2", "3")
SECONDS = 600  # for anything to happen

# put into a copy of the project: each training says when it begins and ends, and on what; and
# waits in the middle for the test's sign
WITNESS = """
import os, time
from pathlib import Path

_train = train

def train(suite, method, seed, *more):
    journal = Path(os.environ["JOURNAL"])

    def note(sign):
        line = f"{time.monotonic()} {os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']} {sign}\\n"
        with journal.open("a") as file:
            file.write(line)

    note("begins")
    while not journal.with_name("go").exists():
        time.sleep(0.05)
    _train(suite, method, seed, *more)
    note("ends")
"""


def entries(journal: Path) -> list[tuple[float, int, str, str]]:
    """Time, process, device and 'begins' or 'ends'."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [(float(t), int(p), d, s) for t, p, d, s in (line.split() for line in lines)]


def wait_for(journal: Path, count: int, workflows: list[BaseProcess]) -> None:
    """Wait until so many trainings have begun."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if sum(sign == "begins" for *_, sign in entries(journal)) >= count:
            return
        time.sleep(0.05)
    for workflow in workflows:
        os.killpg(workflow.pid, signal.SIGKILL)
    raise AssertionError([path.read_text() for path in journal.parent.glob("*/printed")])


def start(project: Path, journal: Path) -> BaseProcess:
    """The documented command, with every training as its target."""
    targets = [f"results/tiny/runs/lora/seed-{seed}/training.json" for seed in range(4)]
    variables = {
        "WSA_DEVICES": ",".join(DEVICES),
        "JOURNAL": str(journal),
        "TMPDIR": str(journal.parent),
    }
    return start_python(
        ["-m", "snakemake", "--cores", "8", "--resources", "gpu=4", "--", *targets],
        project,
        environment(project) | variables,
        project / "printed",
        project / "printed",
        session=True,
    )


@pytest.mark.workflow
def test_two_workflows_and_a_kill_never_put_two_runs_on_one_device(tmp_path):
    projects = [make_project(tmp_path / name, methods=["lora"]) for name in ("one", "other")]
    for project in projects:
        edit_yaml(project / "config/suites/tiny.yaml", seeds=[0, 1, 2, 3])
        with (project / "wsa/stages/train.py").open("a") as training:
            training.write(WITNESS)
    journal = tmp_path / "journal"

    first = start(projects[0], journal)
    wait_for(journal, 4, [first])  # four at once: none of them ends before the sign
    second = start(projects[1], journal)
    time.sleep(1)
    killed = time.monotonic()
    os.killpg(first.pid, signal.SIGKILL)  # all four at once, in the middle
    first.join()
    wait_for(journal, 8, [second])  # its devices are free again
    (tmp_path / "go").touch()
    snakemake(projects[0], "--unlock")
    again = start(projects[0], journal)
    for workflow, project in zip((second, again), projects[::-1], strict=True):
        workflow.join(SECONDS)
        assert workflow.exitcode == 0, (project / "printed").read_text()

    begun: dict[int, tuple[float, str]] = {}
    used: list[tuple[str, float, float]] = []
    for when, process, device, sign in entries(journal):
        if sign == "begins":
            begun[process] = (when, device)
        else:
            used.append((device, begun.pop(process)[0], when))
    assert len(begun) == 4 and len(used) == 8  # four were killed
    used += [(device, when, killed) for when, device in begun.values()]
    for device in DEVICES:
        spans = sorted((begin, end) for other, begin, end in used if other == device)
        assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:], strict=False))
    assert {device for device, _, _ in used} == set(DEVICES)
