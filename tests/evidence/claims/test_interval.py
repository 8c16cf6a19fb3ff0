"""Does a quantity lie in an interval?"""

from tests.evidence.conftest import a_suite, judged_in
from tests.helpers.results import make_results
from wsa.evidence.runs import read_results


def test_the_reach_of_the_gates_stands_beside_the_effective_rank(claims):
    """Σ lr = 2e-5 × 6315 / 2 = 0.0632 under linear decay: 79 % of it, as τ = 0.05 asks."""
    (note,) = judged_in(claims, "effective-rank").notes
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
