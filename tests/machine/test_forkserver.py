"""A stage that is forked is the stage that a process of its own would be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.helpers.project import COMMANDS, edit_yaml, environment, make_project, prepare
from wsa.archive.verify import make_run
from wsa.layout import Layout
from wsa.machine import forkserver
from wsa.records.record import SEAL
from wsa.suite.load import load_suite

SECONDS = 300  # for anything to happen
IMPORTS = 1.5  # processor seconds: a process with torch, transformers and PEFT takes three or more
# of a run: how long it took, and where
OWN = {"train_seconds", "evaluate_seconds", "sentences_per_second", "peak_memory_bytes"}
OWN |= {"started", "finished", SEAL}

REFUSED = ("train", "tiny", "nothing", "0")  # before anything is imported
REFUSAL = "wsa: suite 'tiny' has no method 'nothing'\n"

# put into a copy of the project: which process has read a suite last, and who started that
WITNESS = """
_load_suite = load_suite

def load_suite(*arguments):
    import os
    Path("witness").write_text(f"{os.getpid()} {os.getppid()}")
    return _load_suite(*arguments)
"""
WORKFLOW = """
import json, os, sys
from wsa.machine import forkserver, processes
os.environ |= {processes.WORKFLOW: str(os.getpid())} | dict.fromkeys(forkserver.THREADS, "1")
forkserver.start()
print(json.dumps(dict(os.environ)), flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


class Workflow:
    """A process that keeps a server, as snakemake would; ends with its block."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKFLOW], cwd=project, env=environment(project),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.environment = json.loads(self.process.stdout.readline())
        self.socket = Path(self.environment[forkserver.SOCKET])
        (self.server,) = psutil.Process(self.process.pid).children()

    def __enter__(self) -> Workflow:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stdin.close()
        self.process.wait(SECONDS)
        self.process.stdout.close()

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "wsa", *arguments],
            cwd=self.project, env=self.environment | more, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def witness(self) -> list[int]:
        """The process that has read a suite last, and the one that started that."""
        return [int(number) for number in (self.project / "witness").read_text().split()]

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str, bool]:
        """Status, what was printed, and whether it was forked."""
        with self.start(*arguments, **more) as process:
            printed, errors = process.communicate()
        forked = self.witness()[0] != process.pid
        return process.returncode, printed, errors, forked


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("project"), methods=["lora", "wsa"])
    prepare(folder)
    with (folder / "wsa/suite/load.py").open("a") as load:
        load.write(WITNESS)
    return folder


@pytest.fixture(scope="module")
def workflow(project):
    with Workflow(project) as workflow:
        yield workflow
    assert not workflow.socket.parent.exists()
    assert not workflow.server.is_running()


def facts(record: object) -> object:
    """A record without what differs from run to run."""
    if isinstance(record, dict):
        return {key: facts(value) for key, value in record.items() if key not in OWN}
    return [facts(value) for value in record] if isinstance(record, list) else record


def wait_until(happened) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stage_without_torch_is_forked_where_that_costs_no_import(workflow):
    """The first of these tests: the server that all of them share has imported nothing yet."""

    def forks() -> float:
        return workflow.server.cpu_times().children_user

    status, first, errors, forked = workflow.run("aggregate", "tiny")
    assert (status, forked) == (0, False), errors
    assert workflow.server.cpu_times().user < IMPORTS and forks() == 0
    workflow.run(*REFUSED)
    before = forks()
    assert workflow.run("aggregate", "tiny") == (0, first, errors, True)
    assert forks() > before > 0


def test_a_forked_run_has_the_bits_and_the_record_of_a_plain_one(project, workflow):
    stages = [f"{stage} tiny wsa 0" for stage in ("train", "prune", "evaluate")]
    for stage in stages:
        status, _, errors, forked = workflow.run("--results", "forked", *stage.split())
        assert (status, forked) == (0, True), errors
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *(f"--results plain {stage}" for stage in stages)],
        cwd=project, env=workflow.environment | {forkserver.SOCKET: ""},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    forked, plain = (
        Layout(project / "config", project / "resources", project / name).run("tiny", "wsa", 0)
        for name in ("forked", "plain")
    )
    assert forked.predictions.read_bytes() == plain.predictions.read_bytes()
    for kind in ("result", "training", "pruning"):
        one, two = (json.loads(getattr(files, kind).read_text()) for files in (forked, plain))
        assert facts(one) == facts(two)


def test_a_run_that_is_made_again_is_forked(project, workflow, monkeypatch):
    monkeypatch.chdir(project)
    layout = Layout(project / "config", project / "resources", project / "again", project / "site")
    make_run(load_suite("tiny", layout.config), ("lora", 0), layout, workflow.environment)
    assert workflow.witness()[1] == workflow.server.pid
    assert layout.run("tiny", "lora", 0).result.exists()


@pytest.mark.parametrize("reason", ["another environment", "changed code"])
def test_a_refused_command_says_the_same_in_a_process_of_its_own(project, workflow, reason):
    *forked, was_forked = workflow.run(*REFUSED)
    assert was_forked
    assert forked[:2] == [2, ""] and forked[2].startswith(REFUSAL)
    if reason == "another environment":
        *plain, was_forked = workflow.run(*REFUSED, HF_HUB_OFFLINE="1")
    else:
        source = project / "wsa/errors.py"
        text, times = source.read_text(), source.stat()
        source.write_text(f"# changed\n{text}")
        *plain, was_forked = workflow.run(*REFUSED)
        source.write_text(text)
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not was_forked
    assert plain == forked


def test_a_stage_ends_with_the_process_that_was_called_and_goes_on_to_the_same_bits(
    project, workflow
):
    shutil.copy(project / "config/suites/tiny.yaml", project / "config/suites/long.yaml")
    edit_yaml(project / "config/suites/long.yaml", name="long", seeds=[0], protocol={
        "epochs": 20, "batch_size": 16, "batching": "sorted_windows", "window_batches": 4,
        "max_length": 32, "schedule": "linear", "weight_decay": 0.01, "head_learning_rate": 5.0e-3,
    })  # fmt: skip
    train = ("train", "long", "lora", "0", "--checkpoint-seconds", "0")
    layout = Layout(project / "config", project / "resources", project / "results")
    files = layout.run("long", "lora", 0)
    weights = files.trained / "adapter_model.safetensors"

    def at_work() -> list[psutil.Process]:
        return [one for one in workflow.server.children() if one.status() != "zombie"]

    def interrupted(victim: str, number: int) -> int:
        before = set(files.checkpoints.glob("*")) if files.checkpoints.exists() else set()
        with workflow.start(*train) as called:
            wait_until(
                lambda: files.checkpoints.exists() and set(files.checkpoints.glob("*")) - before
            )
            (stage,) = at_work()
            os.kill(called.pid if victim == "called" else stage.pid, number)
            called.wait(SECONDS)
            wait_until(lambda: not at_work())
        assert not files.training.exists()
        return called.returncode

    assert workflow.run("--results", "whole", *train)[0] == 0
    whole = Layout(layout.config, layout.resources, project / "whole").run("long", "lora", 0)
    assert interrupted("called", signal.SIGTERM) == -signal.SIGTERM
    assert interrupted("called", signal.SIGKILL) == -signal.SIGKILL
    assert interrupted("stage", signal.SIGKILL) == -signal.SIGKILL
    status, _, errors, forked = workflow.run(*train)
    assert (status, forked) == (0, True), errors
    assert json.loads(files.training.read_text())["continued_at"]
    assert weights.read_bytes() == (whole.trained / weights.name).read_bytes()


def test_without_its_server_a_stage_is_a_process_of_its_own(project):
    with Workflow(project) as workflow:
        workflow.server.kill()
        wait_until(lambda: not workflow.server.is_running() or workflow.server.status() == "zombie")
        status, _, errors, forked = workflow.run(*REFUSED)
        assert (status, forked) == (2, False)
        assert errors.startswith(REFUSAL)
    assert not workflow.socket.parent.exists()


def test_the_server_ends_with_a_workflow_that_is_killed(project):
    with Workflow(project) as workflow:
        workflow.process.kill()
        workflow.server.wait(SECONDS)
        wait_until(lambda: not workflow.socket.parent.exists())
