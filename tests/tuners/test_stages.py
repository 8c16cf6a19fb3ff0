"""These tuners through the stages: their factors, their code, their numbers in the records."""

from __future__ import annotations

import json

import pytest
from tests.helpers.project import make_project, prepare
from wsa.adapters.factors import FactorCache
from wsa.identity import code_hash
from wsa.stages.evaluate import evaluate
from wsa.stages.factors import build_factor_index
from wsa.stages.train import train
from wsa.suite.schema import Method

MODULES, WIDTH = 4, 32  # query and value of two layers
ROWS = {
    "SVFT": ({"off_diagonals": 2}, 5 * WIDTH - 6),
    "LORA_XS": ({"r": 4}, 16),
    "SVDIFF": ({}, WIDTH),
    "SPECTRAL_R": ({"r": 4}, 32),
    "MILORA": ({"r": 4}, 4 * 2 * WIDTH),
    "VECTORFIT": ({}, 2 * WIDTH),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(make_project(tmp_path_factory.mktemp("stages"), methods=["lora"]))


@pytest.mark.parametrize("peft_type", ROWS)
def test_a_run_says_which_factors_and_code_it_is_of_and_what_it_trained(prepared, peft_type):
    suite, layout = prepared
    arguments, count = ROWS[peft_type]
    method = Method(
        title=peft_type, adapter={"peft_type": peft_type} | arguments, learning_rate=1e-2
    )
    suite = suite.model_copy(update={"methods": {"method": method}})
    assert suite.factor_rank("method") == "all" and suite.largest_rank == 0
    index = build_factor_index(suite.model, "all", layout)
    training = train(suite, "method", 0, layout)
    # the factors stage has made them, and the run has taken those
    factors = json.loads(index.read_text())
    assert training.factors == factors["digest"]
    keys = {module["key"] for module in factors["modules"].values()}
    assert {path.stem for path in layout.factors.glob("*.safetensors")} == keys
    assert FactorCache(layout.factors).digest(keys) == training.factors
    assert training.code == code_hash("train", (peft_type,)) != code_hash("train")
    assert training.trainable_parameters - training.head_parameters == MODULES * count
    result = evaluate(suite, "method", 0, layout)
    assert result.provenance.factors == training.factors
    assert result.parameters.kept == training.trainable_parameters
