"""The real workflow on a tiny suite: what runs, what reruns, what stays."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.helpers.project import ROOT, edit_yaml, make_project, snakemake, wsa
from wsa.records.record import SEAL

RUNS = "results/tiny/runs"


def jobs(output: str) -> dict[str, int]:
    """What snakemake's job table announces: rule → number of jobs."""
    table = output.split("Job stats:", 1)[-1].split("total", 1)[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def predictions(project: Path, method: str, seed: int) -> str:
    return json.loads((project / RUNS / method / f"seed-{seed}/result.json").read_text())[
        "predictions"
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project whose whole workflow has run once."""
    folder = make_project(tmp_path_factory.mktemp("workflow"))
    snakemake(folder)
    return folder


@pytest.mark.workflow
def test_one_command_ends_with_the_page_and_every_result(project):
    assert "<html" in (project / "site/index.html").read_text()
    assert (project / "site/tiny/index.html").exists()
    results = sorted(project.glob(f"{RUNS}/*/seed-*/result.json"))
    assert len(results) == 6 * 2
    table = (project / "results/tiny/table.md").read_text()
    assert "±" in table and table.count("2 of 2") == 6
    # the weights of full fine-tuning are gone, those of adapters stay
    assert not (project / RUNS / "full/seed-0/trained").exists()
    assert (project / RUNS / "lora/seed-0/trained/adapter_model.safetensors").exists()


@pytest.mark.workflow
def test_a_second_run_has_nothing_to_do(project):
    assert "Nothing to be done" in snakemake(project)


@pytest.mark.workflow
def test_the_users_own_command_works_without_a_gpu(project):
    assert "Nothing to be done" in snakemake(project, "--resources", "gpu=1")


@pytest.mark.workflow
def test_one_seed_reruns_alone_to_the_same_bits(project):
    before = {
        path: path.stat().st_mtime_ns for path in project.glob(f"{RUNS}/*/seed-*/result.json")
    }
    bits = predictions(project, "lora", 1)
    rerun = snakemake(project, "-R", f"{RUNS}/lora/seed-1/training.json")
    # seed 0 is the one whose inference is timed
    assert jobs(rerun) == {"train": 1, "evaluate": 1, "aggregate": 1, "site": 1, "all": 1}
    assert predictions(project, "lora", 1) == bits
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {project / RUNS / "lora/seed-1/result.json"}


@pytest.mark.workflow
def test_a_deleted_result_is_made_again(project):
    bits = predictions(project, "spectral_a", 1)
    (project / RUNS / "spectral_a/seed-1/result.json").unlink()
    made = jobs(snakemake(project))
    assert made == {"evaluate": 1, "aggregate": 1, "site": 1, "all": 1}
    assert predictions(project, "spectral_a", 1) == bits


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("file", "rules"),
    [
        ("wsa/leaderboard/templates/base.html", {"site"}),
        ("wsa/evidence/verdicts.py", {"aggregate", "site"}),
        ("wsa/stages/inference.py", {"inference", "aggregate", "site"}),
        (
            "wsa/stages/prune.py",
            {"prune", "evaluate", "inference", "thresholds", "aggregate", "site"},
        ),
        # the weights of full fine-tuning went after their evaluation, so they are trained again
        (
            "wsa/stages/evaluate.py",
            {"train_full", "evaluate", "inference", "thresholds", "aggregate", "site"},
        ),
        (
            "wsa/stages/train.py",
            {
                "train",
                "train_full",
                "prune",
                "evaluate",
                "inference",
                "thresholds",
                "aggregate",
                "site",
            },
        ),
    ],
)
def test_changed_code_reruns_its_stage_and_what_follows(project, file, rules):
    path = project / file
    text = path.read_text()
    comment = "<!-- changed -->" if file.endswith(".html") else "changed = True"
    path.write_text(f"{text}\n{comment}\n")
    try:
        assert set(jobs(snakemake(project, "-n"))) == rules | {"all"}
    finally:
        path.write_text(text)


@pytest.mark.workflow
def test_a_comment_reruns_nothing(project):
    path = project / "wsa/stages/train.py"
    text = path.read_text()
    path.write_text(f"# a comment\n{text}")
    try:
        assert "Nothing to be done" in snakemake(project, "-n")
    finally:
        path.write_text(text)


@pytest.mark.workflow
def test_a_claim_retrains_nothing_and_a_rate_retrains_its_method(project):
    suite = project / "config/suites/tiny.yaml"
    text = suite.read_text()
    edit_yaml(suite, title="Another title")
    assert set(jobs(snakemake(project, "-n"))) == {"aggregate", "site", "all"}
    suite.write_text(text.replace("lora_alpha: 4", "lora_alpha: 8"))
    planned = jobs(snakemake(project, "-n"))
    suite.write_text(text)
    assert planned["check"] == 1 and planned["train"] == 2 and planned["evaluate"] == 2


@pytest.mark.workflow
def test_on_a_cluster_every_run_is_one_job(project):
    dry = snakemake(project, "-n", "--forceall", "--workflow-profile", "profiles/slurm")
    groups = [
        " ".join(sorted(re.findall(r"^    rule (\w+):$", group, re.M)))
        for group in dry.split("Group job run")[1:]
    ]
    assert Counter(groups) == {
        "evaluate train_full": 2, "evaluate prune train": 2, "evaluate train": 8,
    }  # fmt: skip


@pytest.mark.workflow
def test_more_seeds_train_only_the_new_ones(project):
    planned = jobs(snakemake(project, "-n", "--config", "seeds=3"))
    assert planned["train"] + planned["train_full"] == 6  # one more seed of six methods
    assert planned["evaluate"] == 6


@pytest.mark.workflow
def test_runs_of_another_machine_are_taken_as_they_are(project, tmp_path):
    """As docs/clusters.md has it; where they were made is a finding."""
    here, there = tmp_path / "here", tmp_path / "there"
    for copy in (here, there):
        shutil.copytree(project, copy)
    run = f"{RUNS}/lora/seed-2"
    snakemake(there, "--config", "seeds=[2]", "--", f"{run}/result.json")
    record = json.loads((there / run / "result.json").read_text())
    del record[SEAL]
    for environment in record["provenance"]["environments"].values():
        environment["processor"] = "Another"
    (there / run / "result.json").write_text(json.dumps(record))
    shutil.copytree(there / run, here / run)

    mine = ("--config", "seeds=3")
    snakemake(here, *mine, "--touch", "--", f"{run}/result.json")
    before = (here / run / "training.json").read_bytes()
    # the other methods have no third seed
    assert jobs(snakemake(here, *mine, "-n"))["train"] == 4
    assert wsa(here, "aggregate", "tiny", "--seeds", "0,1,2").returncode == 0
    table = (here / "results/tiny/table.md").read_text()
    assert table.count("3 of 3") == 1 and table.count("2 of 3") == 5
    findings = json.loads((here / "results/tiny/findings.json").read_text())["findings"]
    mixed = [one for one in findings if "hardware (processor)" in one["message"]]
    assert mixed and mixed[0]["runs"] == ["runs/lora/seed-2/result.json"]
    assert (here / run / "training.json").read_bytes() == before


@pytest.mark.workflow
def test_a_second_copy_on_this_machine_gives_the_same_bits(project, tmp_path):
    other = make_project(tmp_path / "copy", methods=["lora", "wsa"])
    snakemake(other, *(f"{RUNS}/{method}/seed-0/result.json" for method in ("lora", "wsa")))
    for method in ("lora", "wsa"):
        assert predictions(other, method, 0) == predictions(project, method, 0)


def test_a_wrong_configuration_is_refused_before_anything_runs(tmp_path):
    project = make_project(tmp_path / "wrong")
    edit_yaml(project / "config/config.yaml", suites="tini")
    printed = snakemake(project, check=False)
    assert "did you mean 'tiny'?" in printed
    assert "Traceback" not in printed
    assert not (project / "resources").exists()


@pytest.mark.workflow
def test_a_method_that_does_not_fit_is_told_before_any_training(tmp_path):
    """Though it is the last to be checked: that waits for the factors, and two cores are free."""
    project = make_project(tmp_path / "wrong", methods=["full", "lora", "wsa"])
    suite = project / "config/suites/tiny.yaml"
    suite.write_text(suite.read_text().replace("gate: singular_value", "gate: gte"))
    printed = snakemake(project, check=False)
    assert "gate should be one of" in printed and "Traceback" not in printed
    assert not (project / RUNS).exists()


def test_the_workflow_is_lint_clean():
    lint = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
