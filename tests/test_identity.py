"""What counts as a change of a stage's code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.project import ROOT, environment


@pytest.fixture
def project(tmp_path) -> Path:
    shutil.copytree(ROOT / "wsa", tmp_path / "wsa", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def hash_of(project: Path, module: str) -> str:
    code = f"from wsa.machine.environment import source_hash; print(source_hash({module!r}))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=project, env=environment(project), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_comments_and_docstrings_do_not_count(project):
    before = hash_of(project, "wsa.stages.train")
    path = project / "wsa/learning/batches.py"
    path.write_text(path.read_text().replace('"""Every sentence once', '"""Each sentence once'))
    append(path, "\n\n# a remark\n")
    assert hash_of(project, "wsa.stages.train") == before


def test_a_change_of_an_imported_module_counts(project):
    before = hash_of(project, "wsa.stages.train")
    append(project / "wsa/learning/batches.py", "\nCHANGED = True\n")
    assert hash_of(project, "wsa.stages.train") != before


def test_a_change_elsewhere_does_not_count(project):
    before = hash_of(project, "wsa.stages.train")
    append(project / "wsa/stages/evaluate.py", "\nCHANGED = True\n")
    assert hash_of(project, "wsa.stages.train") == before


def test_pruning_and_training_do_not_reach_the_pages(project):
    before = {stage: hash_of(project, f"wsa.{stage}") for stage in ("pruning", "training")}
    append(project / "wsa/leaderboard/__init__.py", "\nCHANGED = True\n")
    assert {stage: hash_of(project, f"wsa.{stage}") for stage in before} == before
