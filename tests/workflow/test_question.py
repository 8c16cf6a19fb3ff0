"""The question's own suite, DeBERTa-v3-base on SST-2, with another model and other data in it."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.helpers.project import ROOT, make_project, snakemake, write_yaml
from tests.helpers.tiny import make_tiny_deberta
from wsa.suite.load import load_suite

# a folder with SST-2 as train.tsv and validation.tsv
SST2 = os.environ.get("WSA_SST2")


def run_question(project: Path, **protocol: int) -> dict[str, dict]:
    """All stages of the suite on the project's model and data; method → its result.

    A suite extends the question's and names another model and other data, nothing else; `protocol`
    may cut how much there is to train on.
    """
    # the pages show the question's own suite too, as one that is not measured
    for own in ("suites/deberta-v3-base_sst2", "models/deberta-v3-base"):
        shutil.copy(ROOT / f"config/{own}.yaml", project / f"config/{own}.yaml")
    for own in ("data", "literature"):
        shutil.copytree(ROOT / f"config/{own}", project / f"config/{own}", dirs_exist_ok=True)
    changes = {"model": "tiny", "data": "tiny"} | ({"protocol": protocol} if protocol else {})
    write_yaml(
        project / "config/suites/question.yaml",
        extends="deberta-v3-base_sst2", name="question", **changes,
    )  # fmt: skip
    printed = snakemake(project, "--config", "suites=question", "seeds=1", "allow_cpu=true")
    assert "question: 9 runs: about" in printed
    page = (project / "site/question/index.html").read_text()
    assert "94.3" in page and "95.63" not in page  # which is of DeBERTa-v3-base on SST-2 alone
    assert "95.63" in (project / "site/deberta-v3-base_sst2/index.html").read_text()
    judged = json.loads((project / "results/question/literature.json").read_text())
    assert "same question elsewhere" in judged["said"]
    runs = project / "results/question/runs"
    return {
        path.parent.parent.name: json.loads(path.read_text())
        for path in runs.glob("*/seed-0/result.json")
    }


@pytest.mark.workflow
def test_the_questions_suite_goes_through_every_stage_on_a_tiny_deberta(tmp_path):
    project = make_project(tmp_path / "question", deberta=True)
    results = run_question(project)
    suite = load_suite("question", project / "config")
    assert results.keys() == suite.methods.keys()
    assert set(results["wsa"]["states"]) == {"unpruned", "pruned", "gate_only"}
    # 3 epochs of 96 sentences in batches of 32
    assert {result["schedule"]["steps"] for result in results.values()} == {0, 9}
    assert results["full"]["schedule"]["head_learning_rate"] == 2e-5


@pytest.mark.slow
@pytest.mark.skipif(not SST2, reason="WSA_SST2 names no folder with SST-2's sentences")
def test_the_questions_suite_reads_real_sentences(tmp_path):
    project = make_project(tmp_path / "question", deberta=True)
    with (Path(SST2) / "train.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        sentences = [row["sentence"] for row in rows][:5000]
    shutil.rmtree(project / "model")
    make_tiny_deberta(project / "model", sentences=sentences, vocabulary=1000)
    write_yaml(
        project / "config/data/tiny.yaml",
        name="tiny", title="SST-2", source={"kind": "path", "path": SST2},
    )  # fmt: skip
    results = run_question(project, train_sentences=640)
    for name, result in results.items():
        assert result["states"]["unpruned"]["n"] == 872
        assert result["schedule"]["steps"] == (0 if name == "majority" else 60)
    # 444 of the 872 sentences are positive, the commoner label of the training sentences
    assert results["majority"]["headline"] == pytest.approx(444 / 872)
