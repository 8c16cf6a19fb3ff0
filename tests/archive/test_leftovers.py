"""What a killed stage left is gone after its next start; live processes keep what they write."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.project import ROOT, environment
from wsa.cli import main
from wsa.files import atomic_folder, atomic_path, passing_folder

WRITER = """
import sys, time
from pathlib import Path
from wsa import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as path:
    print(path, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer():
    """Start a process that writes a path until it is killed; returns it and its temporary path."""
    started = []

    def start(kind: str, path: Path) -> tuple[subprocess.Popen, Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, kind, str(path)],
            env=environment(ROOT), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["atomic_path", "atomic_folder", "passing_folder"])
def test_what_a_killed_process_left_goes_and_what_a_live_one_writes_stays(tmp_path, writer, kind):
    path = tmp_path / "out.bin"
    live, kept = writer(kind, path)
    killed, left = writer(kind, path)
    _, other = writer("atomic_path", tmp_path / "other.bin")
    killed.kill()
    killed.wait()
    assert left.exists()
    (tmp_path / ".out.bin.20260101").touch()  # a person's own
    for write in (atomic_path, atomic_folder, passing_folder):
        with write(tmp_path / "out.bin"):
            assert not left.exists()
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    assert kept.exists() and other.exists() and live.poll() is None
    assert {p.name for p in tmp_path.iterdir()} == {kept.name, other.name, ".out.bin.20260101"}


def test_on_a_disk_without_locks_nothing_is_taken_for_left_over(tmp_path, monkeypatch):
    def none(handle, operation):
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with atomic_path(tmp_path / "out") as first, atomic_path(tmp_path / "out") as second:
        assert first.exists() and second.exists()
        second.write_text("whole")
        first.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


STAGES = {
    "resources/models/tiny": ("fetch-model", "tiny"),
    "resources/data/tiny": ("fetch-data", "tiny"),
    "resources/tokens/tiny__tiny.safetensors": ("tokenise", "tiny", "tiny"),
    "resources/factors/abc.safetensors": ("factors", "tiny", "4"),
    "results/tiny/table.md": ("aggregate", "tiny"),
    "results/tiny/claims.json": ("aggregate", "tiny"),
}


@pytest.mark.parametrize("path", STAGES)
def test_the_next_start_of_a_stage_removes_what_the_last_left(project, writer, path):
    target = project / path
    kinds = ["passing_folder", "atomic_folder"] if target.is_dir() else ["atomic_path"]
    for kind in kinds:
        killed, left = writer(kind, target)
        killed.kill()
        killed.wait()
        assert left.parent == target.parent and left.exists()
    roots = (f"--{root}={project / root}" for root in ("config", "resources", "results", "site"))
    assert main([*roots, *STAGES[path]]) == 0
    assert not list(target.parent.glob(".*"))
