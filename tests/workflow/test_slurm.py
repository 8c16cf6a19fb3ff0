"""The workflow on a real Slurm: to its page; and a job that is preempted and cancelled."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.helpers.project import edit_yaml, environment, make_project, wsa
from tests.helpers.slurm import ask, jobs, slurm, why_not

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(why_not() is not None, reason=f"no Slurm: {why_not()}"),
]
RUN = "results/tiny/runs/lora/seed-0"
SECONDS_TO_APPEAR = 600


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")):
        yield


# put into a copy of the project: a training can be slowed down, so that there is time to disturb it
SLOW = """
import os, time
_step = Loop.train_step
def _slow_step(self, checkpoints):
    time.sleep(float(os.environ.get("SECONDS_A_STEP", 0)))
    _step(self, checkpoints)
Loop.train_step = _slow_step
"""


# snakemake that asks every second which jobs have ended: the executor waits ten seconds longer each
# time that none has
IMPATIENT = """
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, to: None)
main()
"""


def start(project: Path, *arguments: str, **variables: str) -> subprocess.Popen:
    """The documented command; it looks for ended jobs more often than one would on a cluster."""
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "--workflow-profile", "profiles/slurm"]
        + ["--slurm-init-seconds-before-status-checks", "1", *arguments],
        cwd=project,
        env=environment(project) | {"WSA_DEVICES": "0,1,2"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def step(project: Path) -> int:
    """Of the newest state that the training has saved; -1 if there is none."""
    names = [path.name for path in (project / RUN / "checkpoints").glob("step-*.pt")]
    return max((int(re.sub(r"\D", "", name)) for name in names), default=-1)


def wait_for_step(project: Path, beyond: int, workflow: subprocess.Popen) -> int:
    """Wait until the training is beyond a step; which it then is at."""
    deadline = time.monotonic() + SECONDS_TO_APPEAR
    while workflow.poll() is None and time.monotonic() < deadline:
        if (now := step(project)) > beyond:
            return now
        time.sleep(0.05)
    workflow.terminate()
    raise AssertionError(f"no step beyond {beyond}: {jobs()}\n{workflow.communicate()[0]}")


def running() -> str:
    """The id of the job that runs."""
    (job,) = ask("squeue", "--noheader", "--states=running", "--format=%i").split()
    return job


def requeue(job: str, workflow: subprocess.Popen) -> None:
    """What preemption does; the workflow, which asks every second, does not see the moment in
    which the job counts as cancelled.
    """
    workflow.send_signal(signal.SIGSTOP)
    try:
        ask("scontrol", "requeue", job)
        deadline = time.monotonic() + SECONDS_TO_APPEAR
        while "PENDING" not in ask("squeue", "--noheader", "--jobs", job, "--format=%T"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        workflow.send_signal(signal.SIGCONT)
    # Slurm lets a requeued job wait for two minutes
    ask("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.fixture(scope="module")
def disturbed(cluster, tmp_path_factory) -> tuple[Path, int, int]:
    """A project that has run on the cluster, from its sources to its page, in two attempts.

    Returns:
        (project, step, step): after which step a training was preempted, and after which the job
        that went on with it was cancelled.
    """
    folder = make_project(tmp_path_factory.mktemp("project"), methods=["full", "lora"])
    edit_yaml(folder / "config/suites/tiny.yaml", seeds=[0], needs_gpu=True)
    edit_yaml(folder / "config/config.yaml", allow_cpu=True)  # the node's GPU is a pretence
    with (folder / "wsa/learning/loop.py").open("a") as loop:
        loop.write(SLOW)
    # slow enough to be caught in the middle, and every step is saved
    slowly = {"SECONDS_A_STEP": "0.5", "WSA_CHECKPOINT_SECONDS": "0"}
    workflow = start(folder, "--retries", "0", "--", f"{RUN}/result.json", **slowly)
    first = wait_for_step(folder, 1, workflow)
    requeue(running(), workflow)
    second = wait_for_step(folder, first + 2, workflow)
    ask("scancel", running())
    printed = workflow.communicate()[0]
    assert workflow.returncode != 0, printed
    assert 0 < step(folder) < 12
    assert not (folder / RUN / "training.json").exists()

    again = start(folder)
    printed = again.communicate()[0]
    assert again.returncode == 0, printed
    return folder, first, second


@pytest.fixture
def project(disturbed) -> Path:
    return disturbed[0]


def test_the_tiny_suite_runs_to_its_page(project):
    assert "<html" in (project / "site/index.html").read_text()
    assert len(list(project.glob("results/tiny/runs/*/seed-0/result.json"))) == 2
    assert (project / "results/tiny/inference.json").exists()
    assert not (project / "results/tiny/runs/full/seed-0/trained").exists()


def test_one_job_a_run_and_nothing_of_the_login_node(project):
    done = {job["JobId"]: job for job in jobs() if job["JobState"] == "COMPLETED"}
    rules = {key: job["Comment"].split("_wildcards_")[0] for key, job in done.items()}
    runs = ["rule_run_evaluate_train", "rule_run_evaluate_train_full"]
    others = ["rule_check", "rule_check", "rule_tokenise"]
    assert sorted(rules.values()) == sorted([*runs, *others, "rule_inference"])
    for key, rule in rules.items():
        asked = done[key].get("TresPerJob", "")
        assert asked == ("" if rule in others else "gres:gpu:1"), done[key]


def test_a_run_computes_on_the_device_that_slurm_chose(project):
    log = (project / "logs/train/tiny/lora/seed-0.log").read_text()
    assert "device 0 (of 1)" in log


def test_preempted_and_cancelled_it_ends_with_the_same_weights(disturbed):
    project, first, second = disturbed
    record = json.loads((project / RUN / "training.json").read_text())
    assert len(record["continued_at"]) == 2
    assert first <= record["continued_at"][0] < second <= record["continued_at"][1]
    assert not (project / RUN / "checkpoints").exists()
    done = wsa(project, "--results", "results/undisturbed", "train", "tiny", "lora", "0")
    assert done.returncode == 0, done.stderr
    weights = "trained/adapter_model.safetensors"
    undisturbed = project / RUN.replace("results", "results/undisturbed", 1) / weights
    assert (project / RUN / weights).read_bytes() == undisturbed.read_bytes()
