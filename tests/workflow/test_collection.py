"""The real workflow on a collection of two tiny suites: what is made, and what reruns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.helpers.project import edit_yaml, make_project, snakemake, write_yaml
from tests.helpers.tiny import write_tsv_data
from tests.workflow.test_workflow import jobs

pytestmark = pytest.mark.workflow
CLAIM = {
    "id": "better", "kind": "order", "better": "wsa", "worse": "lora", "states": ["pruned"],
    "sentence": "WSA is better.", "source": "a test",
}  # fmt: skip
EVALUATED = {"prune", "evaluate", "inference", "thresholds", "aggregate", "across", "site", "all"}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with a collection of two suites, whose whole workflow has run once."""
    folder = make_project(tmp_path_factory.mktemp("collection"), methods=["lora", "wsa"])
    config = folder / "config"
    write_tsv_data(folder / "other-rows", train=64, validation=40, seed=5)
    write_yaml(
        config / "data/other.yaml", name="other", title="Other rows",
        source={"kind": "path", "path": "other-rows"}, metrics=["matthews", "accuracy"],
    )  # fmt: skip
    edit_yaml(config / "suites/tiny.yaml", protocol=_short(config), seeds=[0])
    write_yaml(
        config / "suites/second.yaml", extends="tiny", name="second", title="Second", data="other"
    )
    write_yaml(
        config / "suites/both.yaml", name="both", title="Both together", claims=[CLAIM],
        suites=["tiny", "second"],
    )  # fmt: skip
    write_yaml(config / "config.yaml", suites="both")
    snakemake(folder)
    return folder


def _short(config: Path) -> dict:
    return yaml.safe_load((config / "suites/tiny.yaml").read_text())["protocol"] | {"epochs": 1}


def planned(project: Path, file: str, old: str, new: str) -> dict[str, int]:
    """What is planned once `old` is `new` in a file, which is put back."""
    path = project / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        return jobs(snakemake(project, "-n"))
    finally:
        path.write_text(text)


def test_the_collection_has_its_record_and_its_page(project):
    record = json.loads((project / "results/both/across.json").read_text())
    assert [suite["suite"] for suite in record["suites"]] == ["tiny", "second"]
    assert [suite["metric"] for suite in record["suites"]] == ["accuracy", "Matthews correlation"]
    assert {method["method"]: method["tasks"] for method in record["methods"]} == {
        "lora": 2, "wsa": 2,
    }  # fmt: skip
    assert [task["suite"] for task in record["orders"][0]["tasks"]] == ["tiny", "second"]
    page = (project / "site/both/index.html").read_text()
    assert "Both together" in page and "Other rows" in page
    for suite in ("tiny", "second"):
        assert (project / f"site/{suite}/index.html").exists()
        assert (project / f"results/{suite}/table.md").exists()
    assert "both/index.html" in (project / "site/index.html").read_text()
    assert "Nothing to be done" in snakemake(project, "-n")


def test_another_threshold_prunes_again_and_trains_nothing(project):
    found = planned(project, "config/suites/tiny.yaml", "threshold: 0.02", "threshold: 0.03")
    assert set(found) == EVALUATED
    # one method, in both suites: one extends the other
    assert found["prune"] == found["evaluate"] == 2
    assert found["aggregate"] == 2 and found["across"] == 1


def test_a_claim_makes_tables_and_pages_anew_and_no_run(project):
    found = planned(project, "config/suites/both.yaml", "WSA is better.", "Is WSA better?")
    assert set(found) == {"across", "site", "all"}
    path = project / "config/suites/tiny.yaml"
    text = path.read_text()
    edit_yaml(path, claims=[CLAIM])
    found = jobs(snakemake(project, "-n"))
    path.write_text(text)
    assert set(found) == {"aggregate", "across", "site", "all"}


def test_another_metric_evaluates_anew_and_trains_nothing(project):
    found = planned(project, "config/data/other.yaml", "- accuracy", "- f1")
    assert set(found) == EVALUATED - {"prune"} and found["evaluate"] == 2


def test_one_of_its_suites_alone_needs_nothing_more(project):
    assert "Nothing to be done" not in snakemake(project, "-n", "--config", "suites=[tiny,second]")
    found = jobs(snakemake(project, "-n", "--config", "suites=tiny"))
    assert set(found) <= {"site", "all"}
