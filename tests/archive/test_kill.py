"""A workflow that is killed again and again ends with the bits of one that was left alone."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.helpers.project import edit_yaml, environment, make_project, snakemake, wsa

# in the order of the workflow; training is where a run spends its time
STAGES = [
    *("fetch-model", "fetch-data", "tokenise", "factors", "check", "train", "prune", "evaluate"),
    *("train", "train", "evaluate"),
    *("inference", "thresholds", "aggregate", "site"),
]
VICTIMS = ("the whole group", "snakemake alone", "a stage alone")
SECONDS_TO_APPEAR = 900  # on a machine that others use
SECONDS_TO_VANISH = 60
SECONDS_BETWEEN_LOOKS = 0.05


def predictions(project: Path) -> dict[str, str]:
    """The hash of the predictions of every run."""
    return {
        str(path.parent.relative_to(project)): json.loads(path.read_text())["predictions"]
        for path in sorted(project.glob("results/tiny/runs/*/*/result.json"))
    }


def stages_of(workflow: psutil.Process) -> dict[str, psutil.Process]:
    """The stages that are at work: `wsa <stage> …` → its process."""
    found = {}
    for process in workflow.children(recursive=True):
        try:
            command = process.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if len(command) > 2 and Path(command[1]).name == "wsa":
            found[next((word for word in command[2:] if word in STAGES), "?")] = process
    return found


def started(project: Path) -> subprocess.Popen:
    """The documented command, in a session of its own as a terminal would give it."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=project,
        env=environment(project) | {"WSA_CHECKPOINT_SECONDS": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(stages: list[str], workflow: subprocess.Popen) -> str | None:
    """Wait until one of `stages` is at work; None if the workflow ended without any."""
    process = psutil.Process(workflow.pid)
    deadline = time.monotonic() + SECONDS_TO_APPEAR
    while workflow.poll() is None and time.monotonic() < deadline:
        at_work = stages_of(process)
        if stage := next((one for one in stages if one in at_work), None):
            return stage
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return None


def undisturbed(project: Path) -> dict[str, float]:
    """Run the workflow; returns for how many seconds each stage was at work, at its shortest."""
    workflow = started(project)
    process = psutil.Process(workflow.pid)
    seen: dict[tuple[str, int], list[float]] = {}
    while workflow.poll() is None:
        for stage, at_work in stages_of(process).items():
            seen.setdefault((stage, at_work.pid), []).append(time.monotonic())
        time.sleep(0.01)
    assert workflow.returncode == 0
    seconds: dict[str, float] = {}
    for (stage, _), times in seen.items():
        seconds[stage] = min(times[-1] - times[0], seconds.get(stage, math.inf))
    return seconds


def linger(stage: str, seconds: float, workflow: subprocess.Popen) -> None:
    """Wait for so long, or until `stage` has ended: the first of a workflow takes seconds longer
    than it would later, since it waits for what all of them import.
    """
    process = psutil.Process(workflow.pid)
    until = time.monotonic() + seconds
    while workflow.poll() is None and time.monotonic() < until and stage in stages_of(process):
        time.sleep(0.01)


def wait_for_step(project: Path, step: int, workflow: subprocess.Popen) -> None:
    """Wait until some training has saved a state after at least `step` steps."""
    deadline = time.monotonic() + SECONDS_TO_APPEAR
    while workflow.poll() is None and time.monotonic() < deadline:
        names = [path.name for path in project.glob("results/tiny/runs/*/*/checkpoints/step-*.pt")]
        if any(int(re.sub(r"\D", "", name)) >= step for name in names):
            return
        time.sleep(0.01)


def kill(workflow: subprocess.Popen, whom: str) -> list[psutil.Process]:
    """SIGKILL to one of `VICTIMS`; returns what snakemake had started."""
    process = psutil.Process(workflow.pid)
    children = process.children(recursive=True)
    match whom:
        case "the whole group":
            os.killpg(workflow.pid, signal.SIGKILL)
        case "snakemake alone":
            workflow.kill()
        case "a stage alone":  # as the kernel does when memory runs out
            next(iter(stages_of(process).values()), workflow).kill()
    workflow.wait()
    return children


def survivors(children: list[psutil.Process]) -> list[str]:
    """Those of `children` that are still there after a while."""
    _, alive = psutil.wait_procs(children, timeout=SECONDS_TO_VANISH)
    return [" ".join(p.cmdline()) for p in alive if p.is_running() and p.status() != "zombie"]


@pytest.mark.slow
@pytest.mark.parametrize("deberta", [False, True], ids=["bert", "deberta"])
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path, deberta, capsys):
    whole, project = (
        make_project(tmp_path / name, deberta=deberta, methods=["full", "lora", "wsa"])
        for name in ("whole", "killed")
    )
    for folder in (whole, project):
        edit_yaml(folder / "config/suites/tiny.yaml", seeds=[0])
    seconds = undisturbed(whole)
    seed = random.randrange(2**32)
    rng, moments = random.Random(seed), []
    for number in range(len(STAGES)):
        workflow = started(project)
        stage = wait_for(STAGES[number:], workflow)  # the first of them may have ended already
        if stage is None:
            if workflow.poll() is None:
                kill(workflow, "the whole group")
                pytest.fail(f"none of {STAGES[number:]} appeared in {SECONDS_TO_APPEAR} s")
            continue  # an earlier attempt had ended it before it was killed
        if stage == "train" and rng.random() < 0.7:  # most of its time goes into starting up
            wait_for_step(project, rng.randint(1, 12), workflow)
        else:
            linger(stage, rng.uniform(0, 0.9 * seconds[stage]), workflow)
        if workflow.poll() is not None:
            break
        at_work = ", ".join(stages_of(psutil.Process(workflow.pid)))
        whom = rng.choice(VICTIMS if at_work else VICTIMS[:2])
        left = survivors(kill(workflow, whom))
        moments.append(f"{whom} during {at_work or 'no stage'}")
        print(moments[-1], flush=True)
        assert not left, f"{moments[-1]}: still running: {left}"
        snakemake(project, "--unlock")
    snakemake(project)
    with capsys.disabled():
        print(f"\n{len(moments)} kills, seed {seed}:", *moments, sep="\n  ", flush=True)
    assert len(moments) >= 10
    assert len({moment.split(" during ")[1] for moment in moments}) >= 5
    assert predictions(project) == predictions(whole)
    assert "every file is what its record says" in wsa(project, "verify", "tiny", "--hashes").stdout
    records = [path.read_text() for path in project.glob("results/tiny/runs/*/*/training.json")]
    assert any(json.loads(record)["continued_at"] for record in records)
    assert not list(project.glob("results/tiny/runs/*/*/checkpoints"))
    assert not list(project.glob("results/tiny/runs/*/*/.*.*"))


@pytest.mark.slow
def test_a_stage_says_how_to_go_on_when_its_workflow_is_gone(tmp_path):
    project = make_project(tmp_path / "project", methods=["lora"])
    edit_yaml(project / "config/suites/tiny.yaml", seeds=[0])
    workflow = started(project)
    assert wait_for(["train"], workflow)
    assert survivors(kill(workflow, "snakemake alone")) == []
    log = (project / "logs/train/tiny/lora/seed-0.log").read_text()
    assert "the workflow is gone" in log
    assert "to go on: snakemake --cores 2 --unlock && snakemake --cores 2" in log
