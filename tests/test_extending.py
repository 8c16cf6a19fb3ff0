"""How many files a change may touch: a task is one YAML file, a metric an entry beside one.

Each is done to a copy of the project, through the command line.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score
from tests.helpers.fresh import run_python
from tests.helpers.project import COMMANDS, edit_yaml, environment, make_project, write_yaml
from tests.helpers.tiny import make_sentences

TRAIN, VALIDATION = 64, 32
pytestmark = pytest.mark.workflow
SOURCES = ("*.py", "*.yaml", "*.html")


def run(project: Path, code: str, *arguments: str) -> str:
    """Run `code` with the project's own copy of `wsa`; returns what it printed."""
    done = run_python(["-c", code, *arguments], project, environment(project))
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(project: Path, *lines: str) -> str:
    """`wsa <line>` for each of `lines`."""
    return run(project, COMMANDS, *lines)


def train_hash(project: Path) -> str:
    return run(project, "from wsa.identity import code_hash; print(code_hash('train'))").strip()


def sources(project: Path) -> dict[Path, bytes]:
    """Every file that a person writes."""
    folders = (project / "wsa", project / "config")
    return {
        path: path.read_bytes()
        for folder in folders
        for pattern in SOURCES
        for path in folder.rglob(pattern)
    }


def write_rows(folder: Path, header: list[str], rows: list[tuple]) -> None:
    folder.mkdir()
    for split, part in (("train", rows[:TRAIN]), ("validation", rows[TRAIN:])):
        lines = ["\t".join(map(str, cells)) for cells in [header, *part]]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def tasks() -> dict[str, tuple[list[str], list[tuple], dict[str, object]]]:
    """name → the columns of its files, their rows, and what its YAML says beside the source."""
    first = make_sentences(TRAIN + VALIDATION, seed=1)
    second = make_sentences(TRAIN + VALIDATION, seed=2)
    one = [text for text, _ in first]
    names = ["bad", "middling", "good"]
    thirds = [names[place % 3] for place in range(len(one))]
    numbers = [round((place * 7 % 40) / 8 - 2, 3) for place in range(len(one))]
    alike = [int(a == b) for (_, a), (_, b) in zip(first, second[1:] + second[:1], strict=True)]
    alike = [label if place % 5 else 1 - label for place, label in enumerate(alike)]
    other = [text for text, _ in second[1:] + second[:1]]
    return {
        "thirds": (
            ["Text", "Class"], list(zip(one, thirds, strict=True)),
            {"text": ["Text"], "label": "Class", "labels": names, "metrics": ["f1_macro"]},
        ),
        "numbers": (
            ["score", "sentence"], list(zip(numbers, one, strict=True)),
            {"label": "score", "labels": "number"},
        ),
        "pairs": (
            ["left", "right", "label"], list(zip(one, other, alike, strict=True)),
            {"text": ["left", "right"], "labels": ["different", "alike"]},
        ),
    }  # fmt: skip


def run_all(project: Path, task: str) -> pd.DataFrame:
    """Every stage of the project's suite on `task`; returns runs.csv."""
    edit_yaml(project / "config/suites/tiny.yaml", data=task, seeds=[0])
    commands(
        project, "fetch-model tiny", f"fetch-data {task}", f"tokenise tiny {task}",
        "check tiny lora", "train tiny lora 0", "evaluate tiny lora 0", "aggregate tiny",
    )  # fmt: skip
    return pd.read_csv(project / "results/tiny/runs.csv")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("copy"), methods=["lora"])


@pytest.mark.parametrize("task", tasks())
def test_another_task_is_one_file(copy, task):
    before, hashed = sources(copy), train_hash(copy)
    header, rows, says = tasks()[task]
    write_rows(copy / f"{task}-rows", header, rows)
    write_yaml(
        copy / f"config/data/{task}.yaml", name=task, title=task,
        source={"kind": "path", "path": f"{task}-rows"}, **says,
    )  # fmt: skip
    (row,) = run_all(copy, task).to_dict("records")
    changed = {path for path, text in sources(copy).items() if before.get(path) != text}
    assert changed == {copy / f"config/data/{task}.yaml", copy / "config/suites/tiny.yaml"}
    assert train_hash(copy) == hashed
    folder = copy / "results/tiny/runs/lora/seed-0"
    table = pd.read_parquet(folder / "predictions.parquet")
    assert len(table) == VALIDATION and row["sentences"] == VALIDATION
    assert [column for column in table if column.startswith("logit")] == [
        f"logit_{k}" for k in range({"thirds": 3, "numbers": 1, "pairs": 2}[task])
    ]
    if task == "numbers":
        expected = stats.pearsonr(table["label"], table["logit_0"]).statistic
        assert row["pearson"] == pytest.approx(100 * expected, abs=1e-4)
        assert {"unpruned_spearman", "unpruned_mean_squared_error"} <= row.keys()
    else:
        assert 0 <= row["f1_macro" if task == "thirds" else "accuracy"] <= 100


METRIC = """
        Metric(
            "balanced_accuracy", "balanced accuracy", "classes",
            lambda labels, said, classes: __import__("sklearn.metrics").metrics
            .balanced_accuracy_score(labels, said),
        ),
    )
}  # fmt: skip"""


def test_a_metric_is_an_entry_and_a_word_in_the_data_s_file_and_retrains_nothing(tmp_path):
    project = make_project(tmp_path / "copy", methods=["majority", "lora"])
    run_all(project, "tiny")
    folder = project / "results/tiny/runs/lora/seed-0"
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    digests = json.loads((folder / "training.json").read_text())
    hashed = train_hash(project)

    path = project / "wsa/task.py"
    entries, end = path.read_text().rsplit("\n    )\n}  # fmt: skip", 1)
    path.write_text(entries + METRIC + end)
    edit_yaml(project / "config/data/tiny.yaml", metrics=["accuracy", "balanced_accuracy"])
    commands(project, "aggregate tiny")

    (row,) = pd.read_csv(project / "results/tiny/runs.csv").to_dict("records")
    table = pd.read_parquet(folder / "predictions.parquet")
    said = table[["logit_0", "logit_1"]].to_numpy().argmax(1)
    expected = 100 * balanced_accuracy_score(table["label"], said)
    assert row["unpruned_balanced_accuracy"] == pytest.approx(expected)
    assert "unpruned_balanced_accuracy_mean" in pd.read_csv(project / "results/tiny/table.csv")
    assert {path: path.read_bytes() for path in kept} == kept
    assert train_hash(project) == hashed == digests["code"]
    # nothing asks for another training: pages and an evaluation take the runs as they are
    commands(project, "site tiny", "evaluate tiny lora 0")
    assert "alanced accuracy" in (project / "site/tiny/index.html").read_text()
    result = json.loads((folder / "result.json").read_text())
    assert result["states"]["unpruned"]["metrics"]["balanced_accuracy"] == pytest.approx(
        expected / 100
    )
