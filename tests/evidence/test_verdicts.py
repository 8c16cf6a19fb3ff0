"""Every claim of a suite with its verdict."""

import json

from tests.evidence.conftest import a_suite, judged_in
from tests.helpers.results import make_results
from wsa.evidence.aggregate import aggregate


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
        judged = judged_in(claims, claim, "unpruned" if claim != "effective-rank" else None)
        assert judged.verdict == "undecided" and "other seeds" in judged.sentence
        assert judged.interval is None and "n = 1" in judged.measured
    assert all(estimate.std is None for estimate in claims.estimates)


def test_missing_seeds_are_said(results, suite):
    results.run("tiny", "full", 3).result.unlink()
    claims = aggregate(suite, results)
    judged = judged_in(claims, "full-beats-head", "unpruned")
    notes = ("From 2 of 3 seeds of Full fine-tuning and Head only.",)
    assert judged.seeds == 2 and judged.notes == notes
    assert judged.verdict == "undecided"  # two seeds are not enough, however large a difference
    assert judged_in(claims, "run-time").advice == "The missing runs would decide it."


def test_the_same_runs_give_the_same_bytes(made, claims):
    def files():
        paths = (made.claims_json, made.comparisons_csv, made.findings_json)
        return [path("tiny").read_bytes() for path in paths]

    first = files()
    aggregate(a_suite(), made)
    assert files() == first
