"""Tasks of GLUE through every stage: three classes of pairs, a regression, uneven classes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sklearn
from tests.helpers.glue import CONFIG, JUDGED, write_glue
from tests.helpers.project import METHODS, write_yaml
from tests.helpers.tiny import make_tiny_bert
from tests.leaderboard.page import Page
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.learning.tokens import load_tokens
from wsa.records.evidence import Thresholds
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.sources import fetch_data, fetch_model
from wsa.stages.check import check_method
from wsa.stages.evaluate import evaluate
from wsa.stages.factors import build_factor_index
from wsa.stages.prune import prune
from wsa.stages.thresholds import sweep_thresholds
from wsa.stages.tokenise import tokenise
from wsa.stages.train import train
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite

TASKS = ("mnli", "stsb", "cola")
SPLITS = {"mnli": ("validation_matched", "validation_mismatched")}
SEEDS = (0, 1)


MEASURES = {
    "accuracy": sklearn.accuracy_score,
    "matthews": sklearn.matthews_corrcoef,
    "pearson": lambda labels, said: stats.pearsonr(labels, said).statistic,
    "spearman": lambda labels, said: stats.spearmanr(labels, said).statistic,
}


@dataclass(frozen=True)
class Made:
    """A suite on a task, with all its runs, tables and pages."""

    suite: Suite
    layout: Layout

    @property
    def splits(self) -> tuple[str, ...]:
        return SPLITS.get(self.suite.data.name, ("validation",))

    def result(self, method: str, seed: int) -> Result:
        return read_record(self.layout.run(self.suite.name, method, seed).result, Result)

    def predictions(self, method: str, seed: int, split: str) -> pd.DataFrame:
        files = self.layout.run(self.suite.name, method, seed)
        judged = split == self.splits[0]
        return pd.read_parquet(files.predictions if judged else files.further_predictions(split))

    def measured(self, metric: str, method: str, seed: int, state: str, split: str) -> float:
        """The metric by scikit-learn or scipy, from the logits alone."""
        table = self.predictions(method, seed, split)
        table = table[table["state"] == state]
        logits = table.filter(regex=r"^logit_\d+$").to_numpy(np.float64)
        said = logits[:, 0] if logits.shape[1] == 1 else logits.argmax(1)
        if len(set(said)) == 1 and metric in ("pearson", "spearman"):
            return 0.0  # a constant, which scipy has no correlation for
        return float(MEASURES[metric](table["label"].to_numpy(np.float64), said))

    def page(self, path: str) -> Page:
        return Page(self.layout.site / self.suite.name / path)


@pytest.fixture(scope="module", params=TASKS)
def made(request, tmp_path_factory) -> Made:
    task, folder = request.param, tmp_path_factory.mktemp(request.param)
    layout = Layout(*(folder / name for name in ("config", "resources", "results", "site")))
    write_glue(layout)
    layout.config.joinpath("data").mkdir(parents=True)
    shutil.copy(CONFIG / f"data/{task}.yaml", layout.config / "data")
    _write_suite(folder, task)
    suite = load_suite(f"tiny-{task}", layout.config)
    fetch_model(suite.model, layout)
    fetch_data(suite.data, layout)
    tokenise(suite.model, suite.data, layout)
    build_factor_index(suite.model, suite.largest_rank, layout)
    for method in suite.methods:
        check_method(suite, method, layout)
        for seed in suite.seeds:
            train(suite, method, seed, layout)
            if suite.method(method).gated:
                prune(suite, method, seed, layout)
            evaluate(suite, method, seed, layout)
    sweep_thresholds(suite, layout)
    aggregate(suite, layout)
    render([suite], layout)
    return Made(suite, layout)


def _write_suite(folder: Path, task: str) -> None:
    write_yaml(
        folder / "config/models/tiny.yaml", name="tiny", title="Tiny",
        source={"kind": "path", "path": str(make_tiny_bert(folder / "model"))},
        target_modules=["query", "value"], head_modules=["classifier", "pooler.dense"],
    )  # fmt: skip
    write_yaml(
        folder / f"config/suites/tiny-{task}.yaml", name=f"tiny-{task}", title=f"Tiny {task}",
        model="tiny", data=task, seeds=list(SEEDS),
        protocol={
            "epochs": 2, "batch_size": 16, "batching": "random", "max_length": 40,
            "schedule": "linear", "weight_decay": 0.01, "head_learning_rate": 5.0e-3,
        },
        methods={name: METHODS[name] for name in ("majority", "lora", "wsa")},
        claims=[
            {"id": "better", "kind": "order", "better": "wsa", "worse": "lora",
             "sentence": "WSA is better.", "source": "a test"},
        ],
    )  # fmt: skip


def states_of(made: Made, method: str) -> tuple[str, ...]:
    return ("unpruned", "pruned", "gate_only") if method == "wsa" else ("unpruned",)


def test_every_metric_is_what_the_predictions_give(made):
    names = [metric.name for metric in made.suite.data.task.metrics]
    for method in made.suite.methods:
        for seed in SEEDS:
            result = made.result(method, seed)
            assert result.metric == names[0]
            assert tuple(result.further) == made.splits[1:]
            by_split = {made.splits[0]: result.states}
            by_split |= {split: own.states for split, own in result.further.items()}
            for split, states in by_split.items():
                assert set(states) == set(states_of(made, method))
                for state, found in states.items():
                    assert list(found.metrics) == names and found.n == JUDGED
                    for name, value in found.metrics.items():
                        own = made.measured(name, method, seed, state, split)
                        assert value == pytest.approx(own, abs=1e-6), (method, split, name)
            quoted = result.states["pruned" if method == "wsa" else "unpruned"]
            assert result.headline == quoted.metrics[names[0]]


def test_the_head_has_the_task_s_outputs_and_the_labels_are_its_own(made):
    task = made.suite.data.task
    for split in made.splits:
        table = made.predictions("lora", 0, split)
        logits = [name for name in table.columns if name.startswith("logit_")]
        assert len(logits) == task.num_labels
        assert table["label"].dtype.kind == ("i" if task.classes else "f")
        rows = pd.read_parquet(made.layout.split(made.suite.data.name, split))
        own = table[table["state"] == "unpruned"].set_index("sentence_id")["label"]
        assert own.to_dict() == rows.set_index("id")["label"].to_dict()


def test_the_control_says_what_the_training_labels_say(made):
    train_labels = pd.read_parquet(made.layout.split(made.suite.data.name, "train"))["label"]
    table = made.predictions("majority", 0, made.splits[0])
    logits = table.filter(regex=r"^logit_\d+$").to_numpy()
    assert (logits == logits[0]).all()
    if made.suite.data.task.classes:
        assert logits[0].argmax() == train_labels.mode()[0]
    else:
        assert logits[0, 0] == pytest.approx(train_labels.mean(), abs=1e-6)


def test_training_moves_the_loss_and_the_predictions(made):
    curves = [
        pd.read_parquet(made.layout.run(made.suite.name, name, 0).curve) for name in ("lora", "wsa")
    ]
    assert all(len(curve) == 6 and np.isfinite(curve["loss"]).all() for curve in curves)
    table = made.predictions("lora", 0, made.splits[0])
    logits = table.filter(regex=r"^logit_\d+$").to_numpy()
    assert (logits != logits[0]).any()


def test_the_tables_have_every_metric_and_every_split(made):
    headline, *more = [metric.name for metric in made.suite.data.task.metrics]
    shown = {metric.name: metric.scale for metric in made.suite.data.task.metrics}
    table = pd.read_csv(made.layout.table_csv(made.suite.name)).set_index("method")
    for method in made.suite.methods:
        quoted = "pruned" if method == "wsa" else "unpruned"
        columns = {(headline, made.splits[0]): headline}
        columns |= {(name, made.splits[0]): f"{quoted}_{name}" for name in more}
        for split in made.splits[1:]:
            columns |= {(name, split): f"{split}_{name}" for name in (headline, *more)}
        for (name, split), column in columns.items():
            own = [shown[name] * made.measured(name, method, seed, quoted, split) for seed in SEEDS]
            assert table.loc[method, f"{column}_mean"] == pytest.approx(np.mean(own), abs=1e-4)
            assert table.loc[method, f"{column}_std"] == pytest.approx(
                np.std(own, ddof=1), abs=1e-4
            )
    assert ("validation_mismatched_accuracy_mean" in table) == (made.suite.data.name == "mnli")
    runs = pd.read_csv(made.layout.runs_csv(made.suite.name))
    assert {f"unpruned_{name}" for name in (headline, *more)} <= set(runs.columns)
    assert len(runs) == len(made.suite.methods) * len(SEEDS)


def test_the_thresholds_sweep_the_headline_metric(made):
    record = read_record(made.layout.thresholds_json(made.suite.name), Thresholds)
    assert record.sentences == JUDGED
    untouched = min(record.points, key=lambda point: point.threshold)
    unpruned = made.result("wsa", 0).states["unpruned"].metrics
    expected = unpruned[made.suite.data.task.headline.name]
    assert untouched.value == pytest.approx(expected, abs=1e-6)


def test_the_pages_show_the_task_and_no_trace_of_another(made):
    metric = made.suite.data.task.headline
    source = made.layout.suite_page(made.suite.name).read_text(encoding="utf-8")
    assert metric.title[1:] in source and "undecided" in source
    captions = " ".join(made.page("index.html").tables)
    if made.splits[1:]:
        assert "Other metrics and other validation splits" in captions
        assert "mismatched" in source
    elif len(made.suite.data.task.metrics) > 1:
        assert "Other metrics" in captions
    pages = sorted((made.layout.site / made.suite.name).rglob("*.html"))
    sections = [page.read_text(encoding="utf-8").count('id="seed-') for page in pages]
    assert sum(sections) == 6
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert ">nan<" not in text and ">None<" not in text, path
        if not made.suite.data.task.classes:
            assert "confusion" not in text.lower(), path


def test_the_tokens_of_pairs_are_two_segments(made):
    tokens = load_tokens(made.layout.tokens("tiny", made.suite.data.name))
    assert set(tokens) == {"train", *made.splits}
    pairs = len(made.suite.data.text) == 2
    for split in tokens.values():
        assert set(np.unique(split.segments)) == ({-1, 0, 1} if pairs else {-1, 0})
        assert (split.token_type_ids is not None) == pairs
