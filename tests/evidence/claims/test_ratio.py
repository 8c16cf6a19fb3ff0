"""Does a quantity, divided by another's, lie in an interval?"""

import statistics

import numpy as np
import pytest
from wsa.evidence.runs import read_results
from wsa.records.evidence import Inference
from wsa.records.record import read_record, write_record
from wsa.records.run import Result


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
