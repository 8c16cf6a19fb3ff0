"""Classes of any number, numbers, further metrics and splits: from the files to the tables."""

import csv
import functools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from tests.evidence.conftest import edit_record
from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.evidence.findings import check
from wsa.evidence.runs import read_runs
from wsa.layout import Layout
from wsa.records.evidence import Claims, Findings, Tables
from wsa.records.record import read_record

TASKS = {
    "three classes": {
        "labels": ["no", "perhaps", "yes"], "metrics": ["f1_macro", "accuracy", "matthews"],
    },
    "rare class": {"metrics": ["f1", "matthews", "accuracy"]},
    "number": {"labels": "number", "metrics": ["pearson", "spearman", "mean_squared_error"]},
    "error": {"labels": "number", "metrics": ["mean_squared_error"]},
    "two splits": {
        "metrics": ["accuracy", "f1"],
        "reader": {"kind": "splits", "validation": ["matched", "mismatched"]},
    },
}  # fmt: skip
LEVELS = {"full": 90.0, "lora": 88.0, "wsa": 87.0, "head_only": 80.0, "majority": 50.0}
ORACLES = {
    "accuracy": lambda y, x: 100 * sk.accuracy_score(y, x),
    "f1": lambda y, x: 100 * sk.f1_score(y, x),
    "f1_macro": lambda y, x: 100 * sk.f1_score(y, x, average="macro"),
    "matthews": lambda y, x: 100 * sk.matthews_corrcoef(y, x),
    "pearson": lambda y, x: 100 * stats.pearsonr(y, x).statistic,
    "spearman": lambda y, x: 100 * stats.spearmanr(y, x).statistic,
    "mean_squared_error": sk.mean_squared_error,
}
CLAIM = {"source": "a test", "sentence": "as it says"}
CLAIMS = [
    {"id": "good-beats-bad", "kind": "order", "better": "full", "worse": "head_only"} | CLAIM,
    {"id": "bad-beats-good", "kind": "order", "better": "head_only", "worse": "full"} | CLAIM,
    {"id": "near", "kind": "order", "better": "wsa", "worse": "lora", "states": ["pruned"]} | CLAIM,
]


def _suite(name, **changes):
    return make_suite(claims=CLAIMS, data=TASKS[name], **changes)


@pytest.fixture(scope="module", params=TASKS)
def task_and_made(request, tmp_path_factory):
    """A task's name, its suite, and its results, aggregated; to read only."""
    suite = _suite(request.param)
    layout = Layout(results=tmp_path_factory.mktemp("tasks") / "results")
    make_results(layout, suite, LEVELS, sentences=300)
    aggregate(suite, layout)
    return request.param, suite, layout


_table = functools.cache(pd.read_parquet)  # of runs that no test changes


def _said(suite, layout, method, seed, state, split=None):
    """Labels and predictions, straight from the file."""
    files = layout.run(suite.name, method, seed)
    table = _table(files.further_predictions(split) if split else files.predictions)
    table = table[table["state"] == state]
    logits = table[[column for column in table if column.startswith("logit_")]].to_numpy(float)
    single = logits.shape[1] == 1
    return table["label"].to_numpy(float), logits[:, 0] if single else logits.argmax(1)


def test_every_estimate_follows_from_the_predictions(task_and_made):
    name, suite, layout = task_and_made
    claims = read_record(layout.claims_json("tiny"), Claims)
    metrics = TASKS[name]["metrics"]
    splits = [None, "mismatched"] if name == "two splits" else [None]
    assert list(dict.fromkeys(e.metric for e in claims.estimates)) == metrics
    assert list(dict.fromkeys(e.split for e in claims.estimates)) == splits
    assert len(claims.estimates) == 7 * len(metrics) * len(splits)  # wsa has three states
    for estimate in claims.estimates:
        if estimate.method == "majority":
            continue
        values = [
            ORACLES[estimate.metric](
                *_said(suite, layout, estimate.method, seed, estimate.state, estimate.split)
            )
            for seed in suite.seeds
        ]
        assert estimate.mean == pytest.approx(np.mean(values), rel=1e-5)
        assert estimate.std == pytest.approx(np.std(values, ddof=1), rel=1e-4, abs=1e-7)
        assert estimate.interval.low < estimate.mean < estimate.interval.high
        assert (estimate.seed_disagreement is None) == (suite.data.labels == "number")


def test_the_better_one_is_found_whichever_way_is_better(task_and_made):
    _, suite, layout = task_and_made
    claims = read_record(layout.claims_json("tiny"), Claims)
    words = {judged.claim.id: judged.judgements[0] for judged in claims.claims}
    assert words["good-beats-bad"].verdict == "supported"
    assert words["bad-beats-good"].verdict == "contradicted"
    sign = suite.data.task.headline.greater_is_better or -1
    for judged, better in ((words["good-beats-bad"], 1), (words["bad-beats-good"], -1)):
        ends = judged.interval, judged.comparison.interval, judged.comparison.bootstrap
        numbers = [judged.estimate, judged.comparison.difference]
        numbers += [end for interval in ends for end in (interval.low, interval.high)]
        assert {np.sign(number) for number in numbers} == {better * sign}
        likely = judged.comparison.probability_of_outperforming
        assert likely > 0.99 if better > 0 else likely < 0.01
        for test in judged.comparison.mcnemar:
            assert np.sign(test.only_a_right - test.only_b_right) == better
    if suite.data.labels == "number":
        assert words["near"].comparison.mcnemar == ()
        assert words["near"].comparison.disagreement is None


def test_tables_hold_every_metric_and_say_the_same(task_and_made):
    name, suite, layout = task_and_made
    headline, *more = TASKS[name]["metrics"]
    runs = pd.read_csv(layout.runs_csv("tiny"))
    assert list(runs.columns[:3]) == ["method", "seed", headline]
    for metric in (headline, *more):
        assert {f"unpruned_{metric}", f"pruned_{metric}"} <= set(runs.columns)
    labels, said = _said(suite, layout, "wsa", 2, "pruned")
    row = runs[(runs["method"] == "wsa") & (runs["seed"] == 2)].iloc[0]
    assert row[headline] == row[f"pruned_{headline}"]
    assert row[headline] == pytest.approx(ORACLES[headline](labels, said), rel=1e-5)
    table = pd.read_csv(layout.table_csv("tiny")).set_index("method")
    claims = read_record(layout.claims_json("tiny"), Claims)
    for e in claims.estimates:
        prefix = e.state if e.metric == headline else f"{e.state}_{e.metric}"
        if e.split:
            if e.state != ("pruned" if e.method == "wsa" else "unpruned"):
                continue
            prefix = f"{e.split}_{e.metric}"
        assert table.loc[e.method, f"{prefix}_mean"] == pytest.approx(e.mean, rel=1e-8)
        assert table.loc[e.method, f"{prefix}_std"] == pytest.approx(e.std, rel=1e-8, abs=1e-9)
    assert table.loc["wsa", f"{headline}_mean"] == table.loc["wsa", "pruned_mean"]
    tables = read_record(layout.tables_json("tiny"), Tables)
    assert [row.method for row in tables.methods] == list(suite.methods)
    for row in tables.methods:
        assert row.n == table.loc[row.method, "n"]
        if row.n:
            assert row.train_seconds == pytest.approx(table.loc[row.method, "train_seconds"])
    with layout.comparisons_csv("tiny").open() as file:
        pairs = list(csv.DictReader(file))
    assert len(pairs) == len(tables.comparisons)
    for line, pair in zip(pairs, tables.comparisons, strict=True):
        assert (line["method_a"], line["state_b"]) == (pair.method_a, pair.state_b)
        assert float(line["difference"]) == pytest.approx(pair.difference, rel=1e-8, abs=1e-9)


def test_nothing_is_found_wrong_with_sound_results(task_and_made):
    _, _, layout = task_and_made
    findings = read_record(layout.findings_json("tiny"), Findings).findings
    missing = [f for f in findings if f.message == "has not been run"]
    assert {f.about.split(",")[0] for f in missing} == {"spectral_a"}
    assert len(findings) == len(missing)


def test_a_metric_that_is_added_needs_no_run_again(tmp_path):
    layout = Layout(results=tmp_path / "results")
    before = make_suite(claims=CLAIMS)
    make_results(layout, before, LEVELS, sentences=120)
    after = make_suite(claims=CLAIMS, data={"metrics": ["accuracy", "f1", "matthews"]})
    claims = aggregate(after, layout)
    assert {e.metric for e in claims.estimates} == {"accuracy", "f1", "matthews"}
    assert not [f for f in check(read_runs(after, layout)) if f.message != "has not been run"]


def test_a_recorded_metric_that_the_predictions_do_not_give_is_found(tmp_path):
    layout = Layout(results=tmp_path / "results")
    suite = _suite("number")
    make_results(layout, suite, LEVELS, sentences=120)
    path = layout.run("tiny", "lora", 1).result
    edit_record(path, "states", "unpruned", "metrics", "spearman", value=0.9)
    (fault,) = [f for f in check(read_runs(suite, layout)) if f.about == "lora, seed 1"]
    assert "gives Spearman correlation" in fault.message and "says 0.900000" in fault.message


def test_a_broken_further_split_leaves_the_run(tmp_path):
    layout = Layout(results=tmp_path / "results")
    suite = _suite("two splits")
    make_results(layout, suite, LEVELS, sentences=120)
    layout.run("tiny", "lora", 1).further_predictions("mismatched").unlink()
    edit_record(layout.run("tiny", "lora", 2).result, "further", value={})
    runs = read_runs(suite, layout)
    assert runs.seeds(("lora", "unpruned")) == (1, 2, 3)
    assert runs.seeds(("lora", "unpruned"), split="mismatched") == (3,)
    found = {f.about: f.message for f in check(runs) if f.about.startswith("lora")}
    assert "there are no predictions" in found["lora, seed 1"]
    assert "not been evaluated on the split 'mismatched'" in found["lora, seed 2"]
    claims = aggregate(suite, layout)
    seeds = {(e.method, e.metric, e.split): e.seeds for e in claims.estimates}
    assert seeds["lora", "accuracy", None] == 3 and seeds["lora", "f1", "mismatched"] == 1


def test_predictions_for_another_number_of_classes_are_refused(tmp_path):
    layout = Layout(results=tmp_path / "results")
    make_results(layout, make_suite(), {"lora": 80.0}, [1], sentences=60)
    suite = make_suite(data=TASKS["three classes"])
    (fault,) = [f for f in check(read_runs(suite, layout)) if f.about == "lora, seed 1"]
    assert "2 logits a sentence, the data set asks for 3" in fault.message


def test_records_of_the_first_schema_are_still_judged(tmp_path):
    """As they were written: `accuracy` where `headline` and `metrics` stand now."""
    layout = Layout(results=tmp_path / "results")
    suite = make_suite(claims=CLAIMS)
    make_results(layout, suite, LEVELS, sentences=200)
    now = aggregate(suite, layout)
    for path in layout.suite("tiny").glob("runs/*/*/result.json"):
        record = json.loads(path.read_text())
        del record["record_sha256"], record["metric"], record["further"]
        record["accuracy"] = record.pop("headline")
        for state in record["states"].values():
            state["accuracy"] = state.pop("metrics")["accuracy"]
        path.write_text(json.dumps(record | {"schema_version": 1}))
    assert aggregate(suite, layout) == now


def test_same_runs_same_bytes(task_and_made):
    _, suite, layout = task_and_made
    files = [path for path in layout.suite("tiny").iterdir() if path.is_file()]
    before = [path.read_bytes() for path in files]
    aggregate(suite, layout)
    assert len(files) == 7 and [path.read_bytes() for path in files] == before
