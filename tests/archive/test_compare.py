import json
import shutil

import pytest
from tests.evidence.conftest import edit_record
from tests.helpers.results import make_results, make_suite
from wsa.archive.compare import compare
from wsa.errors import InputError
from wsa.layout import Layout


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One suite's results, and the same suite run with other chance and one worse method."""
    suite = make_suite()
    found = []
    for name, lora, rng_seed in (("here", 94.8, 0), ("there", 85.0, 1)):
        layout = Layout(results=tmp_path_factory.mktemp(name))
        levels = {"full": 95.0, "lora": lora, "majority": 50.0}
        make_results(layout, suite, levels, rng_seed=rng_seed)
        found.append(layout.suite(suite.name))
    return found


@pytest.fixture
def copies(folders, tmp_path):
    """Two copies of the first folder."""
    found = [tmp_path / "a", tmp_path / "b"]
    for path in found:
        shutil.copytree(folders[0], path)
    return found


def _sameness(comparison):
    return {row.method: row.sameness for row in comparison.rows}


def test_copies_have_the_same_bits(copies):
    found = compare(*copies)
    assert set(_sameness(found).values()) == {"same bits"} and found.conditions == ()
    assert found.status() == found.status(same_bits=True) == 0


def test_noise_and_difference_are_told_apart(folders):
    found = compare(*folders)
    assert _sameness(found) == {
        "full": "within noise", "lora": "different", "majority": "same bits",
    }  # fmt: skip
    assert found.status() == 1
    (lora,) = [row for row in found.rows if row.method == "lora"]
    accuracies = [
        [
            json.loads((folder / f"runs/lora/seed-{k}/result.json").read_text())["headline"]
            for k in (1, 2, 3)
        ]
        for folder in folders
    ]
    assert lora.points == pytest.approx(100 * (sum(accuracies[1]) - sum(accuracies[0])) / 3)
    assert lora.p <= 0.05
    table = found.table()
    assert "different" in table and "within noise" in table


def test_within_noise_is_not_the_same_bits(copies, folders):
    shutil.rmtree(copies[1] / "runs")
    shutil.copytree(folders[1] / "runs" / "full", copies[1] / "runs" / "full")
    shutil.rmtree(copies[0] / "runs" / "lora")
    shutil.rmtree(copies[0] / "runs" / "majority")
    found = compare(*copies)
    assert found.status() == 0 and found.status(same_bits=True) == 1


def test_one_seed_is_compared_by_mcnemar(folders, tmp_path):
    for name, folder in zip("ab", folders, strict=True):
        for method in ("full", "lora"):
            shutil.copytree(
                folder / "runs" / method / "seed-1", tmp_path / name / "runs" / method / "seed-1"
            )
    assert _sameness(compare(tmp_path / "a", tmp_path / "b")) == {
        "full": "within noise", "lora": "different",
    }  # fmt: skip


def test_missing_and_broken_runs_are_no_agreement(copies):
    shutil.rmtree(copies[1] / "runs" / "lora" / "seed-3")
    (copies[1] / "runs" / "full" / "seed-1" / "result.json").write_text("{")
    shutil.rmtree(copies[0] / "runs" / "majority")
    found = compare(*copies)
    assert _sameness(found) == {"full": "unreadable", "lora": "missing", "majority": "missing"}
    assert found.status() == 1
    details = {row.method: row.detail for row in found.rows}
    assert "seeds 3 in one folder only" in details["lora"] and "only in b" in details["majority"]
    assert "result.json: damaged" in details["full"]


def test_other_conditions_are_said(copies):
    for path in copies[1].glob("runs/*/*/result.json"):
        place = ("provenance", "environments", "train", "versions", "torch")
        edit_record(path, *place, value="2.12.0")
    found = compare(*copies)
    assert found.status() == 0
    assert found.conditions == ("the version of torch: 2.13.0 / 2.12.0, 2.13.0",)
    assert "made otherwise" in found.table()


def test_folders_that_cannot_be_compared(copies, tmp_path):
    with pytest.raises(InputError, match="holds no runs"):
        compare(copies[0], tmp_path / "nowhere")
    for path in copies[1].glob("runs/*/*/result.json"):
        edit_record(path, "suite", value="another")
    with pytest.raises(InputError, match="runs of another suite"):
        compare(*copies)


@pytest.mark.parametrize(
    ("data", "seeds"),
    [
        ({"labels": ["a", "b", "c"], "metrics": ["f1_macro"]}, (1, 2, 3)),
        ({"labels": "number"}, (1, 2, 3)),
        ({"labels": "number", "metrics": ["mean_squared_error"]}, (1, 2, 3)),
        ({"labels": "number"}, (1,)),
        ({"labels": ["a", "b", "c"], "metrics": ["accuracy"]}, (1,)),
    ],
)
def test_any_task_is_compared_by_its_own_headline(tmp_path, data, seeds):
    suite, values = make_suite(data=data), {}
    for name, lora, rng_seed in (("a", 80.0, 0), ("b", 55.0, 0)):
        layout = Layout(results=tmp_path / name)
        make_results(layout, suite, {"full": 90.0, "lora": lora}, seeds, rng_seed, sentences=400)
        values[name] = [
            json.loads(layout.run("tiny", "lora", seed).result.read_text())["headline"]
            for seed in seeds
        ]
    metric = suite.data.task.headline
    found = compare(tmp_path / "a" / "tiny", tmp_path / "b" / "tiny")
    assert _sameness(found) == {"full": "same bits", "lora": "different"}
    (lora,) = [row for row in found.rows if row.method == "lora"]
    expected = metric.scale * (sum(values["b"]) - sum(values["a"])) / len(seeds)
    assert lora.points == pytest.approx(expected, rel=1e-4)
    assert (lora.points > 0) != metric.greater_is_better


def test_runs_of_another_metric_cannot_be_compared(copies):
    path = copies[1] / "runs/lora/seed-1/result.json"
    edit_record(path, "metric", value="f1")
    edit_record(path, "predictions", value="0" * 64)
    (lora,) = [row for row in compare(*copies).rows if row.method == "lora"]
    assert lora.sameness == "unreadable" and "accuracy, f1" in lora.detail
