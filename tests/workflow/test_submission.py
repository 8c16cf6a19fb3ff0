"""The steps that check a pull request with a submission, as the workflow's file has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.helpers.project import ROOT, environment
from tests.submissions.conftest import archives, clones  # noqa: F401

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/submission.yml").read_text())
STEPS = {step["name"]: step["run"] for step in WORKFLOW["jobs"]["check"]["steps"] if "run" in step}
TAKE, CHECK, RENDER = [name for name in STEPS if name != "Install"]
ARCHIVE = "submissions/incoming/result.zip"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def pull_request(clones, archives, tmp_path):  # noqa: F811
    """A checkout of the branch to be merged into, and what makes a pull request to it.

    Returns:
        (folder, open): `open` takes a function that changes a clone, and returns the environment
        of the workflow.
    """
    origin = tmp_path / "origin"
    shutil.copytree(
        clones["here"].config.parent, origin,
        ignore=shutil.ignore_patterns("resources", "results", "site"),
    )  # fmt: skip
    shutil.copytree(clones["here"].results, origin / "published")
    for name in ("scripts", "workflows"):
        shutil.copytree(ROOT / ".github" / name, origin / ".github" / name)
    git(origin, "init", "--quiet", "--initial-branch=main")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message", "A project")
    base, folder = git(origin, "rev-parse", "HEAD"), tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", str(origin), str(folder))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "wsa").write_text(f'#!/bin/sh\nexec {sys.executable} -m wsa "$@"\n')
    (programs / "wsa").chmod(0o755)

    def open_(change) -> dict[str, str]:
        git(origin, "switch", "--quiet", "--create", "theirs")
        (origin / ARCHIVE).parent.mkdir(parents=True, exist_ok=True)
        change(origin)
        git(origin, "add", "--all")
        git(origin, "commit", "--quiet", "--message", "A result")
        head = git(origin, "rev-parse", "HEAD")
        git(origin, "switch", "--quiet", "main")
        git(origin, "update-ref", "refs/pull/7/head", head)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        return environment(folder) | {"NUMBER": "7", "BASE": base, "HEAD": head, "PATH": path}

    return folder, open_


def run(name: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A step of the workflow, in the shell that the host gives it."""
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", STEPS[name]], cwd=folder, env=env,
        capture_output=True, text=True,
    )  # fmt: skip


def test_what_reads_an_archive_cannot_write_and_runs_no_code_of_the_pull_request():
    check, comment = WORKFLOW["jobs"]["check"], WORKFLOW["jobs"]["comment"]
    assert WORKFLOW["permissions"] == {"contents": "read"} and "permissions" not in check
    checkout = check["steps"][0]["with"]
    assert checkout["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert checkout["persist-credentials"] is False
    assert not any("checkout" in step.get("uses", "") for step in comment["steps"])
    # what somebody else writes (a title, a branch's name) is in no command
    assert not any("${{" in step for step in STEPS.values())


@pytest.mark.workflow
def test_a_submission_is_checked_rerun_and_shown(pull_request, archives):  # noqa: F811
    folder, open_ = pull_request
    env = open_(lambda origin: shutil.copy(archives["bob"], origin / ARCHIVE))
    for name in (TAKE, CHECK, RENDER):
        done = run(name, folder, env)
        assert done.returncode == 0, f"{name}:\n{done.stdout}{done.stderr}"
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "same bits (1 of 2 runs)" in report and "| dora " in report
    page = (folder / "site/submissions.html").read_text(encoding="utf-8")
    assert "Bob" in page and "same bits (1 of 2 runs)" in page
    changed = git(folder, "status", "--porcelain", "--untracked-files=no")
    assert changed == ""  # of what was there, nothing


def with_code(origin):
    (origin / "wsa/cli.py").write_text("raise SystemExit('ran')")


def with_a_link(origin):
    (origin / ARCHIVE).symlink_to("/etc/passwd")


def with_nothing(origin):
    (origin / "submissions/incoming/notes.txt").write_text("a result")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_code, "this changes: wsa/cli.py"),
        (with_a_link, "is no plain file"),
        (with_nothing, "this changes: submissions/incoming/notes.txt"),
    ],
)
def test_a_pull_request_with_anything_else_is_refused(pull_request, change, reason):
    folder, open_ = pull_request
    done = run(TAKE, folder, open_(change))
    assert done.returncode == 1 and reason in done.stderr
    assert not (folder / ARCHIVE).exists()


@pytest.mark.workflow
def test_a_broken_submission_is_told_in_the_report(pull_request):
    folder, open_ = pull_request
    env = open_(lambda origin: (origin / ARCHIVE).write_bytes(b"PK"))
    assert run(TAKE, folder, env).returncode == 0
    assert run(CHECK, folder, env).returncode == 1
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "result.zip: refused" in report and "not a sound archive" in report
