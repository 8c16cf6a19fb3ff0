"""Claims as the suites' files state them."""

import pytest
from pydantic import ValidationError
from tests.evidence.conftest import CLAIMS, HYPOTHESIS
from tests.helpers.results import make_suite
from wsa.suite.load import load_suite


def test_the_hypothesis_claims_stand_in_its_own_suite():
    suite = load_suite("deberta-v3-base_sst2")
    claims = {claim.id: claim for claim in suite.claims}
    assert len(claims) == 9
    expected = {"wsa-accuracy": 94.3, "spectral-accuracy": 93.7, "lora-accuracy": 93.0}
    assert {key: claims[key].expected for key in expected} == expected
    assert set(claims["wsa-accuracy"].states) == {"unpruned", "pruned"}
    # no measured number may bear out two different claims
    values = sorted(expected.values())
    gap = min(b - a for a, b in zip(values, values[1:], strict=False))
    assert all(2 * claims[key].margin <= gap + 1e-9 for key in expected)
    assert (claims["effective-rank"].low, claims["effective-rank"].high) == (6, 7)
    assert claims["run-time"].limit == 30 * 60
    assert all(claim.sentence and claim.source for claim in suite.claims)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "order", "better": "full", "worse": "lorra"}, "did you mean 'lora'"),
        ({"kind": "budget", "quantity": "total_seconds", "limit": 9, "hardware": "x",
          "methods": ["wsaa"]}, "did you mean 'wsa'"),
        ({"kind": "ratio", "quantity": "parameters_kept", "method": "wsa", "reference": "base",
          "high": 1}, "only inference_seconds"),
        ({"kind": "value", "method": "wsa", "expected": 940, "margin": 1}, "from 0 to 100 %"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_judged_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        make_suite(claims=[{"id": "a-claim"} | HYPOTHESIS | changes])


def test_a_claim_is_named_once():
    with pytest.raises(ValidationError, match="named twice"):
        make_suite(claims=[CLAIMS[0] | HYPOTHESIS, CLAIMS[0] | HYPOTHESIS])
