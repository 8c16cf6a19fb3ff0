"""Results in the forms that others read, checked by what reads them."""

from __future__ import annotations

import pandas as pd
import pytest
from huggingface_hub import ModelCard
from tests.helpers.results import make_results, make_suite
from wsa.cli import main
from wsa.layout import Layout
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.submissions.admit import admit
from wsa.submissions.export import export_csv, export_model_cards
from wsa.suite.load import load_suite


@pytest.fixture(scope="module")
def made(archives, clones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    here = clones["here"]
    layout = Layout(here.config, here.resources, here.results, folder / "site", folder / "admitted")
    admit(archives["bob"], layout, "the test", 0)
    return load_suite("tiny", layout.config), layout


def test_every_run_is_in_the_table_with_whose_it_is(made, tmp_path):
    suite, layout = made
    export_csv(suite, layout, tmp_path / "results.csv")
    table = pd.read_csv(tmp_path / "results.csv")
    assert len(table) == 2 * (1 + 1 + 1 + 3) + 2 * 3
    for row in table[table.who == "this project"].itertuples():
        result = read_record(layout.run("tiny", row.method, row.seed).result, Result)
        assert row.value == pytest.approx(result.states[row.state].metrics[row.metric])
        assert row.sentences == 48 and row.checked == "measured here"
    bobs = table[table.who == "Bob"]
    assert set(bobs.method) == {"majority", "head_only", "dora"}
    assert set(bobs.checked) == {"files agree"}


def test_the_hub_reads_the_cards(made, tmp_path):
    suite, layout = made
    export_model_cards(suite, layout, tmp_path / "cards")
    cards = {path.stem: ModelCard.load(path) for path in (tmp_path / "cards").iterdir()}
    assert {"majority", "head_only", "lora", "wsa"} < cards.keys() and len(cards) == 7
    for method in ("lora", "wsa"):
        data = cards[method].data
        assert data.model_name == f"tiny_{method}" and data.pipeline_tag == "text-classification"
        values = [
            read_record(layout.run("tiny", method, seed).result, Result).headline for seed in (0, 1)
        ]
        first, *others = data.eval_results
        assert first.metric_type == "accuracy" and first.dataset_split == "validation"
        assert first.metric_value == pytest.approx(sum(values) / 2)
        assert first.metric_args["seeds"] == [0, 1]
        assert len(others) == (2 if method == "wsa" else 0)


@pytest.mark.parametrize(
    ("data", "metric", "arguments"),
    [
        ({"labels": ["a", "b", "c"], "metrics": ["f1_macro"]}, "f1", {"average": "macro"}),
        ({"labels": "number", "metrics": ["spearman"]}, "spearmanr", {}),
    ],
)
def test_metrics_have_the_names_of_the_hub(tmp_path, data, metric, arguments):
    suite = make_suite(data=data)
    layout = Layout(results=tmp_path / "results", submissions=tmp_path / "submissions")
    make_results(layout, suite, {"lora": 80.0}, sentences=60)
    export_model_cards(suite, layout, tmp_path / "cards")
    (found,) = ModelCard.load(tmp_path / "cards/lora.md").data.eval_results
    assert found.metric_type == metric and arguments.items() <= found.metric_args.items()


def test_what_was_not_measured_cannot_be_exported(made, tmp_path, capsys):
    _, layout = made
    roots = [f"--config={layout.config}", f"--results={tmp_path}", f"--submissions={tmp_path}"]
    assert main([*roots, "export-results", "tiny", str(tmp_path / "a.csv")]) == 2
    assert "holds no run of this suite" in capsys.readouterr().err
