"""Packs in the real workflow: one job trains several runs, and each goes on from there alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.helpers.project import edit_yaml, make_project, snakemake, wsa
from wsa.records.record import read_record
from wsa.records.run import Result

pytestmark = pytest.mark.workflow
RUNS = "results/tiny/runs/lora"
RESULTS = [f"{RUNS}/seed-{seed}/result.json" for seed in range(3)]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with three seeds, two of which are a pack, that are trained and evaluated."""
    folder = make_project(tmp_path_factory.mktemp("packed"), methods=["head_only", "lora"])
    edit_yaml(folder / "config/suites/tiny.yaml", seeds=[0, 1, 2], execution={"pack": 2})
    dry = snakemake(folder, "-n")
    # no pack for the third seed, nor for a method without an adapter
    assert re.search(r"^train_packed_tiny_lora_0 +1$", dry, re.M)
    assert re.search(r"^train +4$", dry, re.M) and re.search(r"^evaluate +6$", dry, re.M)
    snakemake(folder, *RESULTS)
    return folder


def packed_with(project: Path, seed: int) -> tuple[str, ...] | None:
    execution = read_record(project / RESULTS[seed], Result).provenance.execution
    return execution and execution.runs


def test_each_result_says_how_it_was_trained(project):
    pack = ("lora 0", "lora 1")
    assert [packed_with(project, seed) for seed in range(3)] == [pack, pack, None]
    assert "Nothing to be done" in snakemake(project, "-n", *RESULTS)


def test_a_seed_of_a_pack_is_made_again_by_itself(project):
    done = wsa(project, "train", "tiny", "lora", "1")
    assert done.returncode == 0, done.stderr
    dry = snakemake(project, "-n", *RESULTS)
    assert "train_packed" not in dry and re.search(r"^evaluate +1$", dry, re.M)
    snakemake(project, *RESULTS)
    assert [packed_with(project, seed) is None for seed in range(3)] == [False, True, True]


def test_without_execution_each_run_is_trained_again_by_itself(project):
    suite = project / "config/suites/tiny.yaml"
    text = suite.read_text()
    edit_yaml(suite, execution=None)
    try:
        dry = snakemake(project, "-n", *RESULTS)
        kept = snakemake(project, "-n", "--rerun-triggers", "mtime", "--", *RESULTS)
    finally:
        suite.write_text(text)
    assert "train_packed" not in dry and re.search(r"^train +2$", dry, re.M)
    assert "Nothing to be done" in kept
