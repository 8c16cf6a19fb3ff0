"""From trials to the values that a method's seeds run with, and what a change of them means."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from tests.evidence.conftest import edit_record
from tests.helpers.project import edit_yaml, make_project, prepare
from tests.helpers.results import make_results
from tests.helpers.tuned import make_trials, tuned_raw, tuned_suite
from wsa.archive.verify import damages
from wsa.cli import main
from wsa.errors import InputError
from wsa.evidence.findings import check
from wsa.evidence.runs import read_runs
from wsa.layout import Layout
from wsa.records.tuning import MethodTuning, read_tuning, tuned
from wsa.stages.tune import tune
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite
from wsa.suite.tuning import trials_of

BEST = {"lora": [60, 80, 90, 70], "full": [90, 80, 70, 60]}


@pytest.fixture
def made(tmp_path):
    suite, layout = tuned_suite(), Layout(results=tmp_path / "results")
    make_trials(suite, layout, BEST)
    return suite, layout


def counted(layout: Layout, trial: str) -> float:
    """A trial's accuracy as trained, counted in its predictions."""
    path = layout.run("tiny_tuning", trial, 1000).predictions
    rows = [row for row in pq.read_table(path).to_pylist() if row["state"] == "unpruned"]
    said = [int(row["logit_1"] > row["logit_0"]) for row in rows]
    return sum(s == row["label"] for s, row in zip(said, rows, strict=True)) / len(rows)


def test_the_best_trial_is_chosen_and_an_edge_is_told(made):
    suite, layout = made
    record = tune(suite, "lora", layout)
    assert read_tuning(suite, "lora", layout) == record
    scores = {trial.method: counted(layout, trial.method) for trial in record.trials}
    assert [trial.states["unpruned"] for trial in record.trials] == list(scores.values())
    assert record.chosen == max(scores, key=scores.get) == "lora.3"
    assert "learning_rate" not in record.edges
    assert tune(suite, "full", layout).edges == {"learning_rate": "least"}
    method = tuned(suite, layout).methods["lora"]
    assert method.learning_rate == trials_of(suite).methods["lora.3"].learning_rate
    assert method.adapter == trials_of(suite).methods["lora.3"].adapter


def test_pruning_is_no_part_of_the_choice(made):
    suite, layout = made
    states = [(70, 70), (90, 50), (80, 80), (60, 60)]
    levels = [{"unpruned": a, "gate_only": a, "pruned": b} for a, b in states]
    make_trials(suite, layout, {"wsa": levels})
    record = tune(suite, "wsa", layout)
    assert record.chosen == "wsa.2" and record.best.states["pruned"] < 0.6


def test_of_equal_trials_it_is_the_middle_one(made):
    suite, layout = made
    make_trials(suite, layout, {"spectral_a": [90, 90, 90, 50]})
    for number in (1, 2, 3):
        path = layout.run("tiny_tuning", f"spectral_a.{number}", 1000).result
        edit_record(path, "states", "unpruned", "metrics", "accuracy", value=0.9)
    assert tune(suite, "spectral_a", layout).chosen == "spectral_a.2"


def test_trials_that_are_missing_or_of_another_range_are_named(made):
    suite, layout = made
    result = layout.run("tiny_tuning", "lora.2", 1000).result
    kept = result.read_bytes()
    result.unlink()
    with pytest.raises(InputError, match="lora.2") as error:
        tune(suite, "lora", layout)
    assert f"-R {result}" in str(error.value)
    assert not layout.tuning("tiny", "lora").exists()
    result.write_bytes(kept)
    tune(suite, "lora", layout)
    wider = suite.methods["lora"].model_copy(
        update={"tune": suite.methods["lora"].tune | {"learning_rate": (1e-5, 1e-1)}}
    )
    changed = suite.model_copy(update={"methods": suite.methods | {"lora": wider}})
    with pytest.raises(InputError, match="another configuration"):
        tune(changed, "lora", layout)
    with pytest.raises(InputError, match="other trials than the suite asks for"):
        read_tuning(changed, "lora", layout)
    assert tuned(changed, layout).waits_for_trials("lora")
    with pytest.raises(InputError, match="nothing to tune"):
        tune(suite, "majority", layout)


def test_the_findings_tell_of_edges_and_of_what_was_not_tuned(made):
    suite, layout = made
    for name in BEST:
        tune(suite, name, layout)
    suite = tuned(suite, layout)
    make_results(layout, suite, {"lora": 90, "full": 91, "majority": 51})
    found = {(f.about, f.severity): f for f in check(read_runs(suite, layout))}
    edge = found["full", "warning"]
    assert "the least learning_rate tried" in edge.message and "tune.learning_rate" in edge.remedy
    assert len(edge.runs) == 3
    assert "learning_rate" not in found["lora", "warning"].message
    assert "has not been tuned" in found["wsa", "error"].message
    # and nothing says that the runs are of another configuration
    assert not [f for f in found.values() if "another configuration" in f.message]


def test_a_tuning_that_is_not_what_its_trials_gave_is_damage(made):
    suite, layout = made
    for name in BEST:
        tune(suite, name, layout)
    suite = tuned(suite, layout)
    make_results(layout, suite, {"lora": 90})
    assert not list(damages(suite, layout))
    make_trials(suite, layout, {"lora": [61, 80, 90, 70]})
    (damage,) = damages(suite, layout)
    assert "trial lora.1 is not what its run gave" in damage
    path = layout.tuning("tiny", "lora")
    path.write_text(path.read_text().replace("lora.3", "lora.2"))
    assert "its content has changed" in "".join(damages(suite, layout))


def test_a_suite_may_have_the_values_that_another_s_trials_chose(made):
    suite, layout = made
    for name in BEST:
        tune(suite, name, layout)
    other = Suite.model_validate(tuned_raw(of="tiny") | {"name": "other"})
    assert other.tuned_in == "tiny" and other.waits_for_trials("lora")
    assert tuned(other, layout).run_digest("lora") == tuned(suite, layout).run_digest("lora")
    with pytest.raises(InputError, match="the trials of another") as error:
        tune(other, "lora", layout)
    assert "wsa tune tiny lora" in str(error.value)
    make_results(layout, tuned(other, layout), {"lora": 90, "full": 91, "majority": 51})
    found = {(f.about, f.severity): f for f in check(read_runs(tuned(other, layout), layout))}
    assert "the least learning_rate tried" in found["full", "warning"].message
    assert not [damage for damage in damages(tuned(other, layout), layout) if "tuning" in damage]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("tune"), methods=["head_only", "lora"])
    prepare(project)
    path = project / "config/suites/tiny.yaml"
    methods = load_suite("tiny", project / "config").model_dump(mode="json")["methods"]
    methods["head_only"]["tune"] = {"head_learning_rate": [1e-3, 1e-1]}
    methods["lora"]["tune"] = {"learning_rate": [1e-3, 1e-1]}
    edit_yaml(path, methods=methods, tuning={"trials": 2, "holdout_sentences": 32})
    return project


def test_a_method_trains_with_what_its_trials_chose_and_not_before(prepared, tmp_path, capsys):
    project = shutil.copytree(prepared, tmp_path / "project")
    folders = []
    for name in ("config", "resources", "results", "site"):
        folders += [f"--{name}", str(project / name)]

    def wsa(*arguments: str) -> int:
        return main([*folders, *arguments])

    assert wsa("train", "tiny", "lora", "0") == 2
    said = capsys.readouterr().err
    assert "'lora' has not been tuned yet" in said and "tuning/lora.json" in said
    assert not (project / "results/tiny/runs").exists()
    for number in ("1", "2"):
        assert wsa("train", "tiny_tuning", f"lora.{number}", "1000") == 0
        assert wsa("evaluate", "tiny_tuning", f"lora.{number}", "1000") == 0
    assert wsa("tune", "tiny", "lora") == 0
    assert wsa("train", "tiny", "lora", "0") == 0 and wsa("evaluate", "tiny", "lora", "0") == 0
    folder = project / "results/tiny"
    record = MethodTuning.model_validate(
        {k: v for k, v in json.loads((folder / "tuning/lora.json").read_text()).items()
         if k != "record_sha256"}
    )  # fmt: skip
    result = json.loads((folder / "runs/lora/seed-0/result.json").read_text())
    assert result["schedule"]["learning_rate"] == record.best.values["learning_rate"]
    held = json.loads(
        (project / "results/tiny_tuning/runs/lora.1/seed-1000/result.json").read_text()
    )
    assert held["evaluated_on"] == "holdout" and held["states"]["unpruned"]["n"] == 32
    assert result["evaluated_on"] == "validation"
    # of the others nothing is said yet, and a trial is a run that can be made again
    assert wsa("train", "tiny", "head_only", "0") == 2
    assert wsa("verify", "tiny_tuning", "--hashes") == 0
