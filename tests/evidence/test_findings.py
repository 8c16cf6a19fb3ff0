"""What is wrong with results is found, said plainly, and never stops the others."""

import numpy as np
import pandas as pd
import pytest
from tests.evidence.conftest import a_suite, edit_record
from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.evidence.findings import check
from wsa.evidence.measure import Predictions
from wsa.evidence.runs import Runs, read_runs
from wsa.layout import Layout
from wsa.records.evidence import Findings
from wsa.records.predictions import (
    logits_of,
    predictions_hash,
    read_predictions,
    write_predictions,
)
from wsa.records.record import read_record

RUN = ("lora", 2)


def _remove(files):
    files.result.unlink()


def _truncate(files):
    files.result.write_text(files.result.read_text()[:100])


def _tampered(files):
    files.result.write_text(files.result.read_text().replace('"seed": 2', '"seed": 1'))


def _old_schema(files):
    edit_record(files.result, "schema_version", value=0)


def _another_run(files):
    edit_record(files.result, "seed", value=1)


def _no_predictions(files):
    files.predictions.unlink()


def _damaged_predictions(files):
    files.predictions.write_bytes(files.predictions.read_bytes()[:200])


def _rewrite(files, change, rehash=True):
    """Other predictions with, or without, the hash that goes with them."""
    table = change(pd.read_parquet(files.predictions))
    table.to_parquet(files.predictions, index=False)
    if rehash:
        edit_record(files.result, "predictions", value=predictions_hash(table))


def _nan_logits(files):
    _rewrite(files, lambda t: t.assign(logit_1=t["logit_1"].where(t.index != 5)), rehash=False)


def _other_sentences(files):
    _rewrite(files, lambda t: t.assign(sentence_id="other-" + t["sentence_id"]))


def _other_labels(files):
    _rewrite(
        files,
        lambda t: t.assign(
            label=1 - t["label"], logit_0=t["logit_1"].to_numpy(), logit_1=t["logit_0"].to_numpy()
        ),
    )


def _other_logits(files):
    _rewrite(files, lambda t: t.assign(logit_1=t["logit_1"] + 0.1), rehash=False)


def _other_accuracy(files):
    edit_record(files.result, "states", "unpruned", "metrics", "accuracy", value=0.5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove, "has not been run"),
        (_truncate, "result.json: damaged"),
        (_tampered, "its content has changed"),
        (_old_schema, "another schema version"),
        (_another_run, "says it is tiny lora 1"),
        (_no_predictions, "there are no predictions"),
        (_damaged_predictions, "predictions.parquet: damaged"),
        (_nan_logits, "logits are NaN or infinite"),
        (_other_sentences, "its sentences or labels differ from those of 17 other runs"),
        (_other_labels, "its sentences or labels differ from those of 17 other runs"),
        (_other_logits, "its content is not what result.json was written from"),
        (_other_accuracy, "result.json says 0.500000"),
    ],
)
def test_a_broken_run_is_named_with_its_remedy_and_the_others_are_judged(
    results, suite, damage, message
):
    damage(results.run("tiny", *RUN))
    runs = read_runs(suite, results)
    (finding,) = [finding for finding in check(runs) if finding.severity == "error"]
    assert message in finding.message
    assert finding.about == "lora, seed 2" and finding.runs == ("runs/lora/seed-2/result.json",)
    assert finding.remedy == f"snakemake --cores 1 -R {results.run('tiny', *RUN).result}"
    assert len(runs.results) == 17 and RUN not in runs.results
    assert runs.paths("lora") == ("runs/lora/seed-1/result.json", "runs/lora/seed-3/result.json")


def test_broken_runs_stop_neither_tables_nor_verdicts(results, suite):
    _truncate(results.run("tiny", "lora", 1))
    _nan_logits(results.run("tiny", "lora", 2))
    _remove(results.run("tiny", "lora", 3))
    _other_sentences(results.run("tiny", "wsa", 1))
    claims = aggregate(suite, results)
    seeds = {(e.method, e.state): e.seeds for e in claims.estimates}
    assert ("lora", "unpruned") not in seeds and seeds["wsa", "pruned"] == 2
    assert seeds["full", "unpruned"] == 3
    findings = read_record(results.findings_json("tiny"), Findings).findings
    assert [finding.about for finding in findings if finding.severity == "error"] == [
        "lora, seed 1", "lora, seed 3", "lora, seed 2", "wsa, seed 1"
    ]  # fmt: skip
    assert "has not been run" in results.findings_json("tiny").read_text()


def test_a_clean_folder_has_no_findings(made, suite):
    assert check(read_runs(suite, made)) == ()


@pytest.mark.parametrize(
    ("keys", "value", "severity", "message"),
    [
        (("provenance", "environments", "train", "versions", "torch"), "2.12.0", "warning",
         "the version of torch: 2.13.0 in 17 runs"),
        (("provenance", "environments", "train", "processor"), "Another", "warning",
         "hardware (processor): Imaginary processor in 17 runs"),
        (("provenance", "environments", "train", "accelerator"), "H200", "warning",
         "hardware (accelerator): none in 17 runs"),
        (("provenance", "data"), "f" * 64, "error", "the data"),
        (("provenance", "model"), "f" * 64, "error", "the model's weights"),
        (("provenance", "code", "train"), "f" * 64, "warning", "the code of the stage 'train'"),
        (("provenance", "configuration"), "f" * 64, "error", "another configuration"),
        (("schema_version",), 1, "note",
         "1 run was made with an earlier version of the records, at commit 000000000000"),
        (("evaluated_on",), "holdout", "error", "evaluated on the holdout sentences"),
        (("provenance", "environments", "train", "git_clean"), False, "note",
         "1 of 18 runs were made from a working tree with uncommitted changes"),
        (("provenance", "environments", "evaluate", "determinism"),
         {"level": "round-off", "raised_by": "one thread"}, "note",
         "equal inputs need not give equal bits"),
    ],
)  # fmt: skip
def test_a_run_that_was_made_otherwise_is_found(results, suite, keys, value, severity, message):
    edit_record(results.run("tiny", *RUN).result, *keys, value=value)
    (finding,) = check(read_runs(suite, results))
    assert finding.severity == severity and message in finding.message
    assert finding.runs == ("runs/lora/seed-2/result.json",)


def test_methods_that_do_not_beat_the_controls(layout, suite):
    levels = {"full": 95, "lora": 79, "spectral_a": 81.5, "head_only": 80, "majority": 50}
    levels["wsa"] = {"unpruned": 94, "pruned": 45, "gate_only": 40}
    make_results(layout, suite, levels)
    found = {(f.about, f.severity): f.message for f in check(read_runs(suite, layout))}
    assert "is not better than head_only" in found["lora", "warning"]
    assert "is not clearly better than head_only" in found["spectral_a", "note"]
    assert "is not better than majority" in found["wsa (pruned)", "warning"]
    assert set(found) == {("lora", "warning"), ("spectral_a", "note"), ("wsa (pruned)", "warning")}


def test_runs_the_suite_does_not_ask_for_are_named(results):
    suite = a_suite(seeds=(1, 2))
    (finding,) = [f for f in check(read_runs(suite, results)) if f.about == "suite"]
    assert finding.severity == "note" and len(finding.runs) == 6
    assert "lora seed-3" in finding.message


def _simulated(suite, rng, accuracies) -> Runs:
    by_run = {
        (method, "unpruned"): {
            seed: (rng.random(872) < p).astype(np.int8)
            for seed, p in zip(suite.seeds, levels, strict=True)
        }
        for method, levels in accuracies.items()
    }
    return Runs(suite, Layout(), predictions=Predictions(np.ones(872, np.int8), by_run))


def _far_out(runs: Runs) -> list[str]:
    """The runs that lie far from their siblings."""
    return [f.about for f in check(runs) if "far from its siblings" in f.message]


@pytest.mark.parametrize("count", [3, 5])
def test_a_seed_gone_wrong_is_found_and_an_ordinary_one_is_not(count):
    suite, rng = a_suite(seeds=range(count)), np.random.default_rng(0)
    rows = [name for name in suite.methods if name != "majority"]
    alarms = hits = 0
    for _ in range(100):
        levels = {name: 0.9 + 0.004 * rng.standard_normal(count) for name in rows}
        alarms += bool(_far_out(_simulated(suite, rng, levels)))
        levels["lora"][1] = 0.5
        hits += _far_out(_simulated(suite, rng, levels)) == ["lora, seed 1"]
    assert alarms <= 2  # of a hundred whole suites
    assert hits >= 98


def test_the_configuration_of_earlier_records_is_not_compared(results, suite):
    """Its digest was formed otherwise."""
    path = results.run("tiny", *RUN).result
    edit_record(path, "provenance", "configuration", value="f" * 64)
    edit_record(path, "schema_version", value=1)
    (finding,) = check(read_runs(suite, results))
    assert finding.severity == "note" and "earlier version" in finding.message


def test_a_run_pruned_at_another_threshold_is_to_be_pruned_again(results, suite):
    edit_record(results.run("tiny", "wsa", 3).result, "rank", "threshold", value=0.1)
    (finding,) = check(read_runs(suite, results))
    assert (finding.severity, finding.about) == ("error", "wsa, seed 3")
    assert finding.message == "was pruned at threshold 0.1, the suite's is 0.05"
    assert finding.remedy.endswith(f"-R {results.run('tiny', 'wsa', 3).pruning}")


@pytest.mark.parametrize(
    ("data", "always"),
    [({}, "'positive'"), ({"labels": ["a", "b", "c"]}, "'c'"), ({"labels": "number"}, "2")],
)
def test_a_collapsed_run_is_told_and_counts(layout, data, always):
    suite = make_suite(data=data)
    make_results(layout, suite, {"lora": 90.0, "majority": 50.0}, sentences=110)
    run = layout.run("tiny", "lora", 2)
    table = read_predictions(run.predictions)
    logits = [column for column in table if column.startswith("logit_")]
    table = table.assign(**{column: 0.0 for column in logits} | {logits[-1]: 2.0})
    digest = write_predictions(run.predictions, table)
    edit_record(run.result, "predictions", value=digest)
    task = suite.data.task
    metrics = task.measure(logits_of(table), table["label"].to_numpy())
    edit_record(run.result, "states", "unpruned", "metrics", value=metrics)
    claims = aggregate(suite, layout)
    findings = read_record(layout.findings_json("tiny"), Findings).findings
    (finding,) = [f for f in findings if "collapsed" in f.message]
    assert (finding.severity, finding.about) == ("warning", "lora, seed 2")
    assert finding.message.startswith(f"predicts {always} for every sentence")
    (lora, _) = [e for e in claims.estimates if e.metric == task.headline.name]
    assert lora.seeds == 3


@pytest.mark.parametrize(
    ("levels", "edges"),
    [((80, 90, 85), set()), ((80, 85, 90), {"lora"}), ((90, 85, 80), {"lora"})],
)
def test_a_sweep_whose_best_rate_lies_at_the_edge_is_told(layout, levels, edges):
    raw = make_suite(seeds=[1]).model_dump(mode="json")
    rows = {}
    for name, values in {"lora": levels, "full": (85, 91, 84)}.items():
        for rate, level in zip((1e-3, 2e-3, 4e-3), values, strict=True):
            method = raw["methods"][name] | {"learning_rate": rate}
            rows[f"{name}.{rate:g}"] = (method, float(level))
    methods = {name: method for name, (method, _) in rows.items()}
    suite = type(make_suite()).model_validate(
        raw | {"methods": methods, "protocol": raw["protocol"] | {"evaluate_on": "holdout"}}
    )
    make_results(layout, suite, {name: level for name, (_, level) in rows.items()})
    found = [f for f in check(read_runs(suite, layout)) if "edge of the tried" in f.message]
    assert {f.about for f in found} == edges
    for finding in found:
        at = "0.004" if levels[2] == 90 else "0.001"
        assert f": {at} of 0.001, 0.002, 0.004" in finding.message
        assert finding.runs == (f"runs/lora.{at}/seed-1/result.json",)


def test_seeds_that_answer_alike_are_told(suite):
    labels = np.ones(300, np.int8)

    def wrong_on(*sentences):
        said = labels.copy()
        said[list(sentences)] = 0
        return said

    by_run = {
        ("full", "unpruned"): {1: wrong_on(0), 2: wrong_on(0, 1)},
        ("lora", "unpruned"): {seed: wrong_on(*range(seed, seed + 30)) for seed in (1, 2)},
        ("wsa", "unpruned"): {seed: wrong_on(*range(30)) for seed in (1, 2)},
        ("majority", "unpruned"): {seed: labels for seed in (1, 2)},
    }
    found = check(Runs(suite, Layout(), predictions=Predictions(labels, by_run)))
    (told,) = [f for f in found if "very same answers" in f.message]
    assert told.about.startswith("wsa") and told.message.startswith("all 2 seeds of wsa")
