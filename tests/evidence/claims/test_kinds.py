"""A kind of claim is one file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wsa
from tests.helpers.results import make_suite
from wsa.evidence.claims import KINDS
from wsa.evidence.claims.base import BaseClaim
from wsa.evidence.claims.order import OrderClaim
from wsa.evidence.claims.value import ValueClaim
from wsa.identity import code_hash

NEW_KIND = '''
"""Two seeds of a method hardly disagree."""

from typing import Literal

from wsa.evidence.claims.base import BaseClaim
from wsa.suite.strict import Name


class AgreementClaim(BaseClaim):
    kind: Literal["agreement"]
    method: Name
    at_most: float

    def methods_named(self):
        return (self.method,)

    def judge(self, runs):
        from wsa.evidence.comparisons import estimate
        from wsa.evidence.judgements import decided
        from wsa.evidence.statistics import CONTRADICTED, SUPPORTED

        found = estimate(runs, (self.method, "unpruned"))
        code = SUPPORTED if found.seed_disagreement <= self.at_most else CONTRADICTED
        return (
            decided(
                code, f"Seeds disagree on {found.seed_disagreement:.2f} %.", state=None,
                claimed=f"at most {self.at_most:g} %", unit="percent", test="none",
                seeds=found.seeds, runs=found.runs,
            ),
        )
'''
PROGRAM = """
import sys
from pathlib import Path
from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.records.evidence import Claims
from wsa.records.record import read_record

claim = {"id": "steady", "kind": "agreement", "method": "lora", "at_most": 0.0001,
         "sentence": "seeds hardly matter", "source": "a test"}
suite = make_suite(claims=[claim])
layout = Layout(results=Path(sys.argv[1]))
make_results(layout, suite, {"lora": 90.0}, sentences=100)
aggregate(suite, layout)
((judged,),) = [j.judgements for j in read_record(layout.claims_json("tiny"), Claims).claims]
print(judged.verdict)
print(code_hash("train"))
"""


def _python(*arguments: str, path: Path, cwd: Path) -> str:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, check=True, text=True, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(path)},
    ).stdout  # fmt: skip


def test_a_new_kind_is_one_new_file_and_retrains_nothing(tmp_path):
    package = Path(wsa.__file__).parent
    shutil.copytree(package, tmp_path / "wsa", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "tests" / "helpers", tmp_path / "tests" / "helpers")
    (tmp_path / "wsa" / "evidence" / "claims" / "agreement.py").write_text(NEW_KIND)
    printed = _python("-c", PROGRAM, str(tmp_path / "results"), path=tmp_path, cwd=tmp_path)
    assert printed.split() == ["contradicted", code_hash("train")]


def test_the_schema_of_suites_is_read_without_anything_heavy(tmp_path):
    program = "import sys, wsa.suite.schema; print(*sys.modules)"
    loaded = set(_python("-c", program, path=Path(wsa.__file__).parents[1], cwd=tmp_path).split())
    assert "wsa.evidence.claims.order" in loaded
    assert not loaded & {"numpy", "scipy", "pandas", "torch", "transformers", "peft"}


def test_every_kind_has_a_judge_and_a_name_of_its_own():
    assert {OrderClaim, ValueClaim} <= set(KINDS)
    names = [kind.model_fields["kind"].annotation.__args__ for kind in KINDS]
    assert len(set(names)) == len(KINDS) == 6
    for kind in KINDS:
        assert kind.judge is not BaseClaim.judge or "judge_all" in vars(kind)
        assert kind.__doc__


@pytest.mark.parametrize(
    ("labels", "metrics", "expected", "message"),
    [
        ("number", ["pearson"], 101, "Pearson correlation ×100 is not 101"),
        ("number", ["mean_squared_error"], 101, None),
        ("number", ["pearson"], -20, None),
        (["a", "b"], ["matthews"], -20, None),
        (["a", "b"], ["f1"], -20, "F1 is from 0 to 100 %"),
    ],
)
def test_a_claimed_value_must_be_one_of_the_metric(labels, metrics, expected, message):
    claim = {
        "id": "c", "kind": "value", "method": "lora", "expected": expected, "margin": 1,
        "sentence": "s", "source": "s",
    }  # fmt: skip
    data = {"labels": labels, "metrics": metrics}
    if message is None:
        assert make_suite(claims=[claim], data=data).claims[0].expected == expected
    else:
        with pytest.raises(ValueError, match=message):
            make_suite(claims=[claim], data=data)
