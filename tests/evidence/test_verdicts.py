"""Verdicts, and one of each kind recomputed from the files by other means."""

import json
import math
import statistics

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats
from tests.evidence.conftest import a_suite
from tests.helpers.results import make_results
from wsa.evidence.aggregate import aggregate
from wsa.evidence.runs import read_results
from wsa.records.evidence import Claims, Inference
from wsa.records.record import read_record, write_record
from wsa.records.run import Result


def _judged(claims, claim, state=None):
    (found,) = [judged for judged in claims.claims if judged.claim.id == claim]
    if state is None:
        (judgement,) = found.judgements
        return judgement
    (judgement,) = [j for j in found.judgements if j.state == state]
    return judgement


@pytest.fixture(scope="module")
def claims(made):
    """The verdicts on the whole folder, as they are read back from claims.json."""
    suite = a_suite()
    aggregate(suite, made)
    return read_record(made.claims_json(suite.name), Claims)


def _right(layout, method, seed, state):
    """Which sentences a run got right, by sentence id, straight from the parquet file."""
    path = layout.results / "tiny" / "runs" / method / f"seed-{seed}" / "predictions.parquet"
    return {
        row["sentence_id"]: int(row["logit_1"] > row["logit_0"]) == row["label"]
        for row in pq.read_table(path).to_pylist()
        if row["state"] == state
    }


def test_every_kind_of_verdict_is_reached(claims):
    words = {(j.claim.id, i.state): i.verdict for j in claims.claims for i in j.judgements}
    assert words == {
        ("wsa-accuracy", "unpruned"): "undecided",
        ("wsa-accuracy", "pruned"): "contradicted",
        ("lora-accuracy", "unpruned"): "supported",
        ("full-beats-head", "unpruned"): "supported",
        ("wsa-beats-spectral", "unpruned"): "undecided",
        ("wsa-beats-spectral", "pruned"): "contradicted",
        ("effective-rank", None): "undecided",
        ("parameters", None): "supported",
        ("no-inference-cost", None): "not measured",
        ("run-time", None): "supported",
    }


def test_an_order_verdict_by_an_independent_computation(claims, made):
    """Loops over cells and numerical integration, from the files to Holm's p-values."""
    pairs = [
        (("full", "unpruned"), ("head_only", "unpruned")),
        (("wsa", "unpruned"), ("spectral_a", "unpruned")),
        (("wsa", "pruned"), ("spectral_a", "unpruned")),
    ]
    p_values, means = [], []
    for (a, state_a), (b, state_b) in pairs:
        rows = []
        for seed in (1, 2, 3):
            one, other = _right(made, a, seed, state_a), _right(made, b, seed, state_b)
            rows.append([int(one[key]) - int(other[key]) for key in sorted(one)])
        n, k = len(rows[0]), 3
        mean = sum(map(sum, rows)) / (n * k)
        of_rows = [sum(row) / n for row in rows]
        of_columns = [sum(column) / k for column in zip(*rows, strict=True)]
        seed_square = n * sum((r - mean) ** 2 for r in of_rows) / (k - 1)
        sentence_square = k * sum((c - mean) ** 2 for c in of_columns) / (n - 1)
        rest = sum(
            (rows[i][j] - of_rows[i] - of_columns[j] + mean) ** 2
            for i in range(k) for j in range(n)
        ) / ((k - 1) * (n - 1))  # fmt: skip
        seeds_part = max(seed_square, rest) / (n * k)
        sentences_part = max(sentence_square - rest, 0) / (n * k)
        total = seeds_part + sentences_part
        t, share = abs(mean) / math.sqrt(total), seeds_part / total
        # Student's t with two degrees of freedom in closed form, the other one from scipy
        tail_seeds = 0.5 - t / (2 * math.sqrt(2 + t * t))
        tail = share * tail_seeds + (1 - share) * (1 - stats.t.cdf(t, n - 1))
        p_values.append(2 * tail)
        means.append(100 * mean)
    first, second, third = sorted(range(3), key=lambda i: p_values[i])
    adjusted = {first: min(1, 3 * p_values[first])}
    adjusted[second] = max(adjusted[first], min(1, 2 * p_values[second]))
    adjusted[third] = max(adjusted[second], p_values[third])
    ids = [
        ("full-beats-head", "unpruned"),
        ("wsa-beats-spectral", "unpruned"),
        ("wsa-beats-spectral", "pruned"),
    ]
    for i, (claim, state) in enumerate(ids):
        judged = _judged(claims, claim, state)
        assert judged.estimate == pytest.approx(means[i])
        assert judged.p == pytest.approx(p_values[i], rel=1e-6, abs=1e-12)
        assert judged.p_adjusted == pytest.approx(adjusted[i], rel=1e-6, abs=1e-12)
        expected = "undecided"
        if adjusted[i] <= 0.05:
            expected = "supported" if means[i] > 0 else "contradicted"
        assert judged.verdict == expected
        excluded = judged.interval.low > 0 or judged.interval.high < 0
        assert excluded == (p_values[i] <= 0.05)


def test_a_value_verdict_by_scipy(claims, made):
    accuracies = []
    for seed in (1, 2, 3):
        right = _right(made, "wsa", seed, "pruned")
        accuracies.append(100 * sum(right.values()) / len(right))
    judged = _judged(claims, "wsa-accuracy", "pruned")
    interval = stats.ttest_1samp(accuracies, 0).confidence_interval(0.95)
    assert (judged.interval.low, judged.interval.high) == pytest.approx(tuple(interval))
    assert interval.high < 94.0  # so it is contradicted
    assert judged.measured == (
        f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} % (n = 3)"
    )


def test_a_verdict_leads_to_its_runs_and_says_it_in_words(claims, made):
    judged = _judged(claims, "wsa-beats-spectral", "pruned")
    assert len(judged.runs) == 6
    for path in judged.runs:
        read_record(made.suite("tiny") / path, Result)
    assert judged.sentence.startswith("wsa (pruned) is worse than spectral_a: \u2212")
    assert "95 % interval" in judged.sentence and "Holm over 3 comparisons" in judged.test
    undecided = _judged(claims, "wsa-beats-spectral", "unpruned")
    assert "cannot tell" in undecided.sentence and undecided.advice
    side = "ahead of" if undecided.estimate >= 0 else "behind"
    points = f"{abs(undecided.estimate):.2f}"
    assert undecided.sentence.startswith(
        f"wsa (unpruned) is {points} points {side} spectral_a (95 % interval \u2212"
    )
    assert undecided.comparison.rank_p is None and "0.1" in undecided.comparison.rank_test


def test_the_reach_of_the_gates_stands_beside_the_effective_rank(claims):
    """Σ lr = 2e-5 × 6315 / 2 = 0.0632 under linear decay: 79 % of it, as τ = 0.05 asks."""
    (note,) = _judged(claims, "effective-rank").notes
    assert "starts at 0" in note and "0.0632" in note and "79 %" in note


def test_gates_that_start_at_one_have_further_to_go(layout):
    suite = a_suite()
    methods = suite.model_dump()["methods"]
    methods["wsa"]["adapter"]["gate"] = "direction"
    suite = type(suite).model_validate(suite.model_dump() | {"methods": methods})
    make_results(layout, suite, {"wsa": 94.0}, sentences=60)
    (claim,) = [claim for claim in suite.claims if claim.id == "effective-rank"]
    note = claim.judge(read_results(suite, layout))[0].notes[-1]
    assert "starts at 1" in note and "out of reach" in note


def test_without_runs_nothing_is_measured_and_nothing_fails(layout, suite):
    claims = aggregate(suite, layout)
    assert {j.verdict for judged in claims.claims for j in judged.judgements} == {"not measured"}
    findings = json.loads(layout.findings_json("tiny").read_text())["findings"]
    assert len(findings) == 18 and layout.comparisons_csv("tiny").exists()


def test_one_seed_decides_nothing(layout, suite):
    make_results(
        layout, suite, {"full": 95, "head_only": 70, "wsa": 60, "lora": 94.9}, [2], sentences=200
    )
    claims = aggregate(suite, layout)
    for claim in ("full-beats-head", "lora-accuracy", "effective-rank"):
        judged = _judged(claims, claim, "unpruned" if claim != "effective-rank" else None)
        assert judged.verdict == "undecided" and "other seeds" in judged.sentence
        assert judged.interval is None and "n = 1" in judged.measured
    assert all(estimate.std is None for estimate in claims.estimates)


def test_missing_seeds_are_said(results, suite):
    results.run("tiny", "full", 3).result.unlink()
    claims = aggregate(suite, results)
    judged = _judged(claims, "full-beats-head", "unpruned")
    assert judged.seeds == 2 and judged.notes == ("From 2 of 3 seeds of full and head_only.",)
    assert judged.verdict == "undecided"  # two seeds are not enough, however large a difference
    assert _judged(claims, "run-time").advice == "The missing runs would decide it."


@pytest.mark.parametrize(
    ("hardware", "limit", "verdict"),
    [
        ("imaginary processor", 1800, "supported"),
        ("Imaginary", 60, "contradicted"),
        ("RTX A6000", 1800, "not measured"),
    ],
)
def test_a_budget_is_judged_on_its_own_hardware_only(made, suite, hardware, limit, verdict):
    claim = suite.claims[-1].model_copy(update={"hardware": hardware, "limit": limit})
    (judged,) = claim.judge(read_results(suite, made))
    assert judged.verdict == verdict
    seconds = 0.0
    for path in made.suite("tiny").glob("runs/*/seed-*/result.json"):
        record = json.loads(path.read_text())
        if record["method"] in ("full", "lora", "spectral_a", "wsa"):
            seconds += record["cost"]["train_seconds"] + 1.5 * len(record["states"])
    assert judged.estimate == pytest.approx(seconds)
    assert "Imaginary processor" in judged.sentence


@pytest.mark.parametrize(
    ("factor", "rounds", "verdict"),
    [
        (1.0, 8, "supported"),
        (1.3, 8, "contradicted"),
        (1.055, 8, "undecided"),
        (1.0, 1, "undecided"),
    ],
)
def test_inference_cost_is_judged_from_rounds(results, suite, factor, rounds, verdict):
    noise = np.random.default_rng(0).normal(1, 0.01, (2, rounds))
    base = 2.0 * noise[0]
    record = read_record(results.run("tiny", "wsa", 1).result, Result)
    seconds = {"base": tuple(base), "wsa": tuple(factor * base * noise[1])}
    write_record(
        results.inference_json("tiny"),
        Inference(
            suite="tiny", environment=record.provenance.environments["train"], sentences=872,
            seconds=seconds,
        ),
    )  # fmt: skip
    (judged,) = suite.claims[-2].judge(read_results(suite, results))
    assert judged.verdict == verdict and judged.more_seeds is None
    if rounds > 1:
        ratios = [b / a for a, b in zip(seconds["base"], seconds["wsa"], strict=True)]
        assert judged.estimate == pytest.approx(statistics.mean(ratios))


def test_what_was_not_timed_says_how_to_time_it(made, suite):
    (judged,) = suite.claims[-2].judge(read_results(suite, made))
    assert judged.verdict == "not measured" and "wsa inference tiny" in judged.advice


def test_broken_timing_is_not_measured_with_its_reason(results, suite):
    results.inference_json("tiny").write_text("{}")
    (judged,) = suite.claims[-2].judge(read_results(suite, results))
    assert judged.verdict == "not measured" and "inference.json cannot be used" in judged.sentence


def test_the_same_runs_give_the_same_bytes(made, claims):
    def files():
        paths = (made.claims_json, made.comparisons_csv, made.findings_json)
        return [path("tiny").read_bytes() for path in paths]

    first = files()
    aggregate(a_suite(), made)
    assert files() == first
