"""Do runs take at most so long?"""

import json

import pytest
from wsa.evidence.runs import read_results


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
