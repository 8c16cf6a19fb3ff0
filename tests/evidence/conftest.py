import json
import shutil

import pyarrow.parquet as pq
import pytest
from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.files import sha256_json
from wsa.layout import Layout
from wsa.records.evidence import Claims
from wsa.records.record import SEAL, read_record

ACCURACY = {
    "full": 95.5,
    "lora": 94.9,
    "spectral_a": 94.0,
    "wsa": {"unpruned": 94.4, "pruned": 86.0, "gate_only": 93.0},
    "head_only": 80.0,
    "majority": 50.0,
}
HYPOTHESIS = {"source": "the hypothesis", "sentence": "as it says"}
CLAIMS = [
    {
        "id": "wsa-accuracy", "kind": "value", "method": "wsa", "states": ["unpruned", "pruned"],
        "expected": 94.3, "margin": 0.3,
    },
    {"id": "lora-accuracy", "kind": "value", "method": "lora", "expected": 94.9, "margin": 3.0},
    {"id": "full-beats-head", "kind": "order", "better": "full", "worse": "head_only"},
    {
        "id": "wsa-beats-spectral", "kind": "order", "better": "wsa", "worse": "spectral_a",
        "states": ["unpruned", "pruned"],
    },
    {
        "id": "effective-rank", "kind": "interval", "method": "wsa", "quantity": "effective_rank",
        "low": 6, "high": 7,
    },
    {
        "id": "parameters", "kind": "ratio", "quantity": "parameters_kept", "method": "wsa",
        "reference": "spectral_a", "low": 0.5, "high": 1.33,
    },
    {
        "id": "no-inference-cost", "kind": "ratio", "quantity": "inference_seconds",
        "method": "wsa", "reference": "base", "high": 1.05,
    },
    {
        "id": "run-time", "kind": "budget", "quantity": "total_seconds", "limit": 1800,
        "hardware": "Imaginary processor", "methods": ["full", "lora", "spectral_a", "wsa"],
    },
]  # fmt: skip


def a_suite(**changes):
    """The suite of these tests, with all its claims."""
    return make_suite(claims=[claim | HYPOTHESIS for claim in CLAIMS], **changes)


def edit_record(path, *keys, value):
    """Write `value` at `keys` of a record, and the hash that goes with it."""
    record = json.loads(path.read_text())
    record.pop(SEAL)
    node = record
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(json.dumps(record | {SEAL: sha256_json(record)}))


def judged_in(claims, claim, state=None):
    (found,) = [judged for judged in claims.claims if judged.claim.id == claim]
    if state is None:
        (judgement,) = found.judgements
        return judgement
    (judgement,) = [j for j in found.judgements if j.state == state]
    return judgement


def right_in(layout, method, seed, state):
    """Which sentences a run got right, by sentence id, straight from the parquet file."""
    path = layout.results / "tiny" / "runs" / method / f"seed-{seed}" / "predictions.parquet"
    return {
        row["sentence_id"]: int(row["logit_1"] > row["logit_0"]) == row["label"]
        for row in pq.read_table(path).to_pylist()
        if row["state"] == state
    }


@pytest.fixture
def suite():
    return a_suite()


@pytest.fixture
def layout(tmp_path) -> Layout:
    """Folders that are empty yet."""
    return Layout(results=tmp_path / "results")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Layout:
    """All runs of the suite, three seeds of every method; made once, not to be changed."""
    layout = Layout(results=tmp_path_factory.mktemp("made") / "results")
    make_results(layout, a_suite(), ACCURACY)
    return layout


@pytest.fixture
def results(made, layout, suite) -> Layout:
    """A copy of all runs of the suite, to be changed at will."""
    shutil.copytree(made.results, layout.results)
    return layout


@pytest.fixture(scope="session")
def claims(made):
    """The verdicts on the whole folder, as they are read back from claims.json."""
    suite = a_suite()
    aggregate(suite, made)
    return read_record(made.claims_json(suite.name), Claims)
