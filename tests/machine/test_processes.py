"""A stage works alone on its run, and ends with what started it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from wsa.errors import InputError
from wsa.machine import processes
from wsa.machine.processes import alone, end_with_workflow

HOLD = """
import sys, time
from pathlib import Path
from wsa.machine.processes import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_start_waits_and_says_so(tmp_path, holder, capsys, monkeypatch):
    monkeypatch.setattr(processes, "_SECONDS_TO_WAIT", 0.5)
    with pytest.raises(InputError) as caught, alone(tmp_path):
        pass
    assert f"{tmp_path}: waiting for the process that is at work here" in capsys.readouterr().out
    assert "another process is at work on this run" in str(caught.value)
    assert f"fuser -v {tmp_path / '.lock'}" in str(caught.value)


def test_a_killed_process_lets_go(tmp_path, holder):
    (tmp_path / ".training.json.x7.json").write_text("half")
    (tmp_path / ".trained.y8").mkdir()
    (tmp_path / "result.json").write_text("whole")
    holder.kill()
    holder.wait()
    with alone(tmp_path):  # what was left half-written goes
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "result.json"]
    with alone(tmp_path):
        pass


CHILD = """
import time
from wsa.machine.processes import end_with_workflow
end_with_workflow()
print("started", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("through", [[], ["bash", "-c", '"$@" 2>&1 | cat', "bash"]])
def test_a_stage_ends_when_its_workflow_is_killed(through):
    """Also through a shell and a pipe, which outlive the workflow."""
    workflow = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stage = subprocess.Popen(
        [*through, sys.executable, "-c", CHILD],
        env=os.environ | {processes.WORKFLOW: str(workflow.pid), "WSA_COMMAND": "snakemake -c2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert stage.stdout.readline() == "started\n"
    workflow.kill()  # and nobody asks how it ended: it stays, as a zombie
    printed = stage.communicate(timeout=60)[0]
    workflow.wait()
    assert "the workflow is gone, so this stage stops" in printed
    assert "to go on: snakemake -c2 --unlock && snakemake -c2" in printed


def test_a_stage_ends_when_nobody_reads_what_it_says_any_more():
    workflow = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    stage = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=os.environ | {processes.WORKFLOW: str(workflow.pid)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert stage.stdout.readline() == "started\n"
    stage.stdout.close()  # as when the `tee` of a rule is gone
    workflow.kill()
    workflow.wait()
    assert stage.wait(timeout=40) == -15


def test_a_stage_whose_workflow_is_gone_already_ends():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    stage = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=os.environ | {processes.WORKFLOW: str(gone.pid)},
        capture_output=True,
        timeout=20,
    )
    assert stage.returncode == -15


def test_a_command_by_hand_has_no_workflow(monkeypatch):
    monkeypatch.delenv(processes.WORKFLOW, raising=False)
    end_with_workflow()


PEAK = """
import torch
from wsa.learning.loop import _peak_memory
print(_peak_memory(torch.device("cpu")))
"""


def test_the_memory_of_whoever_started_a_stage_is_not_the_stages():
    heavy = f"""
import subprocess, sys
held = b"x" * {2**30}
subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", heavy, PEAK], capture_output=True, text=True, check=True
    )
    assert 2**26 < int(done.stdout) < 2**30
