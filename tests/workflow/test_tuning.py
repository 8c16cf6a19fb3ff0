"""Trials in the real workflow: counted, run side by side, and a changed choice retrains one row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.helpers.project import edit_yaml, make_project, snakemake
from tests.leaderboard.page import carried
from wsa.cli import main
from wsa.suite.load import load_suite

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with two tuned methods whose whole workflow has run once."""
    folder = make_project(tmp_path_factory.mktemp("tuning"), methods=["head_only", "lora"])
    methods = load_suite("tiny", folder / "config").model_dump(mode="json")["methods"]
    methods["head_only"]["tune"] = {"head_learning_rate": [1e-3, 1e-1]}
    methods["lora"]["tune"] = {"learning_rate": [1e-3, 1e-1]}
    edit_yaml(
        folder / "config/suites/tiny.yaml", methods=methods, seeds=[0],
        tuning={"trials": 2, "holdout_sentences": 32},
    )  # fmt: skip
    dry = snakemake(folder, "-n")
    assert "tiny_tuning: 4 runs: about" in dry and "tiny: 2 runs: about" in dry
    assert re.search(r"^train +6$", dry, re.M) and re.search(r"^tune +2$", dry, re.M)
    # trials that differ in their rates alone fit or do not fit together
    assert re.search(r"^check +4$", dry, re.M)
    snakemake(folder)
    return folder


def trained(output: str) -> set[tuple[str, str]]:
    """The (suite, method) of every training that a dry run announces."""
    job = r"^rule train:.*?wildcards: suite=([^,]+), method=([^,]+),"
    return set(re.findall(job, output, re.M | re.S))


def test_the_page_shows_every_trial_and_a_second_run_has_nothing_to_do(project):
    page = (project / "site/tiny/index.html").read_text()
    records = carried(project / "site/tiny/downloads/records.js")
    for trial in ("head_only.1", "head_only.2", "lora.1", "lora.2"):
        (key,) = re.findall(rf"data-record=({re.escape(trial)}/\d+) ", page)
        record = json.loads(records[key])
        assert record["evaluated_on"] == "holdout"
    assert "Accuracy against learning rate" in page
    assert not (project / "site/tiny_tuning").exists()
    assert "Nothing to be done" in snakemake(project)


def test_another_suite_runs_at_the_values_found_and_has_no_trials_of_its_own(project):
    raw = {"extends": "tiny", "name": "other", "seeds": [7], "tuning": {"trials": 2, "of": "tiny"}}
    (project / "config/suites/other.yaml").write_text(yaml.safe_dump(raw))
    dry = snakemake(project, "-n", "--config", "suites=other")
    assert "other: 2 runs: about" in dry and "tiny_tuning" not in dry.split("SNAKEMAKE")[0]
    assert trained(dry) == {("other", "lora"), ("other", "head_only")}
    snakemake(project, "--config", "suites=other")
    record = json.loads((project / "results/other/runs/lora/seed-7/training.json").read_text())
    chosen = json.loads((project / "results/tiny/tuning/lora.json").read_text())
    values = {trial["method"]: trial["values"] for trial in chosen["trials"]}[chosen["chosen"]]
    tiny = json.loads((project / "results/tiny/runs/lora/seed-0/training.json").read_text())
    assert record["configuration"] == tiny["configuration"]
    page = (project / "site/other/index.html").read_text()
    assert "The values are those that suite <code>tiny</code> found" in page
    assert f"learning rate {values['learning_rate']:g}" in page
    folders = [f"--{name}={project / name}" for name in ("config", "resources", "results", "site")]
    assert main([*folders, "verify", "other", "--hashes"]) == 0


def test_a_lost_choice_is_made_again_from_the_trials_that_are_there(project):
    path = project / "results/tiny/tuning/lora.json"
    content = path.read_bytes()
    path.unlink()
    dry = snakemake(project, "-n")
    assert re.search(r"^tune +1$", dry, re.M) and ("tiny_tuning", "lora.1") not in trained(dry)
    snakemake(project, "--", "results/tiny/tuning/lora.json")
    assert path.read_bytes() == content


def test_other_ranges_run_other_trials_of_that_method_alone(project):
    path = project / "config/suites/tiny.yaml"
    kept = path.read_text()
    methods = yaml.safe_load(kept)["methods"]
    methods["lora"]["tune"] = {"learning_rate": [1e-3, 1e-2]}
    edit_yaml(path, methods=methods)
    dry = snakemake(project, "-n")
    path.write_text(kept)
    assert trained(dry) == {("tiny_tuning", "lora.1"), ("tiny_tuning", "lora.2"), ("tiny", "lora")}


def test_a_changed_choice_retrains_that_method_alone(project):
    path = project / "results/tiny/tuning/lora.json"
    kept = path.read_text()
    record = json.loads(kept)
    other = {"lora.1": "lora.2", "lora.2": "lora.1"}[record["chosen"]]
    path.write_text(json.dumps(record | {"chosen": other}))
    dry = snakemake(project, "-n")
    path.write_text(kept)
    assert trained(dry) == {("tiny", "lora")}
