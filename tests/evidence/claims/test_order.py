"""Is one method better than another? Recomputed from the files by other means."""

import math

import numpy as np
import pytest
from scipy import stats
from tests.evidence.conftest import judged_in, right_in
from wsa.records.evidence import Tables
from wsa.records.record import read_record
from wsa.records.run import Result


def test_an_order_verdict_by_an_independent_computation(claims, made):
    """Loops over cells, from the files to Holm's p-values; three seeds are the first look."""
    pairs = [
        (("full", "unpruned"), ("head_only", "unpruned")),
        (("wsa", "unpruned"), ("spectral_a", "unpruned")),
        (("wsa", "pruned"), ("spectral_a", "unpruned")),
    ]
    p_values, means = [], []
    for (a, state_a), (b, state_b) in pairs:
        rows = []
        for seed in (1, 2, 3):
            one, other = right_in(made, a, seed, state_a), right_in(made, b, seed, state_b)
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
        t, unsure = abs(mean) / math.sqrt(total), (seeds_part - 2 / 3 * rest / (n * k)) / total
        # Student's t with two degrees of freedom in closed form, the other one from scipy
        tail_seeds = 0.5 - t / (2 * math.sqrt(2 + t * t))
        tail = 2.5 * unsure * tail_seeds + 1.2 * (1 - unsure) * (1 - stats.t.cdf(t, n - 1))
        p_values.append(min(2 * tail, 1))
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
        judged = judged_in(claims, claim, state)
        assert judged.estimate == pytest.approx(means[i])
        assert judged.p == pytest.approx(p_values[i], rel=1e-6, abs=1e-12)
        assert judged.p_adjusted == pytest.approx(adjusted[i], rel=1e-6, abs=1e-12)
        expected = "undecided"
        if adjusted[i] <= 0.05:
            expected = "supported" if means[i] > 0 else "contradicted"
        assert judged.verdict == expected
        excluded = judged.interval.low > 0 or judged.interval.high < 0
        assert excluded == (p_values[i] <= 0.05)


def test_a_verdict_leads_to_its_runs_and_says_it_in_words(claims, made):
    judged = judged_in(claims, "wsa-beats-spectral", "pruned")
    assert len(judged.runs) == 6
    for path in judged.runs:
        read_record(made.suite("tiny") / path, Result)
    assert judged.sentence.startswith(
        "WSA r=16 (pruned) is worse than Spectral Adapter r=8: \u2212"
    )
    assert "95 % interval" in judged.sentence and "Holm over 3 comparisons" in judged.test
    undecided = judged_in(claims, "wsa-beats-spectral", "unpruned")
    assert "cannot tell" in undecided.sentence and undecided.advice
    side = "ahead of" if undecided.estimate >= 0 else "behind"
    points = f"{abs(undecided.estimate):.2f}"
    assert undecided.sentence.startswith(
        f"WSA r=16 (as trained) is {points} points {side} Spectral Adapter r=8 "
        "(95 % interval \u2212"
    )
    assert undecided.comparison.rank_p is None and "0.1" in undecided.comparison.rank_test


def test_a_pair_is_shown_the_claims_way_round(claims, made):
    """comparisons.csv has each pair once; a judgement's own details must not contradict it."""
    tables = read_record(made.tables_json("tiny"), Tables)
    stored = {(p.method_a, p.state_a, p.method_b, p.state_b): p for p in tables.comparisons}
    turned = 0
    for judged in claims.claims:
        for judgement in judged.judgements:
            pair = judgement.comparison
            if pair is None:
                continue
            assert (pair.method_a, pair.method_b) == (judged.claim.better, judged.claim.worse)
            assert pair.difference == pytest.approx(judgement.estimate)
            for end in ("low", "high"):
                assert getattr(pair.interval, end) == pytest.approx(
                    getattr(judgement.interval, end)
                )
            assert pair.bootstrap.low < judgement.estimate < pair.bootstrap.high
            if abs(judgement.estimate) > 0.5:
                likely = pair.probability_of_outperforming
                assert np.sign(likely - 0.5) == np.sign(judgement.estimate)
            interval = pair.probability_interval
            assert interval.low <= pair.probability_of_outperforming <= interval.high
            gained = sum(test.only_a_right - test.only_b_right for test in pair.mcnemar)
            share = 100 * gained / pair.sentences / len(pair.seeds)
            assert share == pytest.approx(judgement.estimate)
            key = (pair.method_a, pair.state_a, pair.method_b, pair.state_b)
            if key not in stored:
                turned += 1
                other = stored[key[2:] + key[:2]]
                back = pair.turned()
                assert (back.interval, back.bootstrap) == (other.interval, other.bootstrap)
                assert (back.mcnemar, back.p) == (other.mcnemar, other.p)
                likely = other.probability_of_outperforming
                assert back.probability_of_outperforming == pytest.approx(likely)
    assert turned  # wsa > spectral_a stands the other way round in the suite
