import csv
import json
import re
import statistics

import pandas as pd
import pytest
from tests.evidence.conftest import ACCURACY
from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.leaderboard.formats import latex


def _records(layout, suite, method):
    paths = layout.suite(suite.name).glob(f"runs/{method}/seed-*/result.json")
    return [json.loads(path.read_text()) for path in paths]


def test_every_number_of_the_table_follows_from_the_records(results, suite):
    aggregate(suite, results)
    with results.table_csv(suite.name).open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(suite.methods)
    for method, row in rows.items():
        records = _records(results, suite, method)
        accuracies = [100 * record["headline"] for record in records]
        assert int(row["n"]) == 3
        assert float(row["accuracy_mean"]) == pytest.approx(statistics.mean(accuracies))
        assert float(row["accuracy_std"]) == pytest.approx(statistics.stdev(accuracies), abs=1e-9)
        kept = [record["parameters"]["kept"] for record in records]
        assert float(row["parameters_kept"]) == pytest.approx(statistics.mean(kept))
        for run in row["runs"].split():
            assert (results.suite(suite.name) / run).is_file()
    ranks = [r["rank"]["effective_mean"] for r in _records(results, suite, "wsa")]
    assert float(rows["wsa"]["effective_rank_std"]) == pytest.approx(statistics.stdev(ranks))
    assert float(rows["wsa"]["accuracy_mean"]) == float(rows["wsa"]["pruned_mean"])
    assert rows["lora"]["pruned_mean"] == rows["lora"]["effective_rank_mean"] == ""


def test_one_row_a_run(results, suite):
    aggregate(suite, results)
    runs = pd.read_csv(results.runs_csv(suite.name))
    assert list(zip(runs["method"], runs["seed"], strict=True)) == suite.runs()
    record = json.loads((results.suite("tiny") / runs["run"][9]).read_text())
    assert runs["pruned_accuracy"][9] == pytest.approx(
        100 * record["states"]["pruned"]["metrics"]["accuracy"]
    )
    assert runs["predictions"][9] == record["predictions"]


def test_a_single_run_has_no_deviation_and_a_missing_method_no_number(layout, suite):
    make_results(layout, suite, {"lora": 94.0}, seeds=[2])
    aggregate(suite, layout)
    table = pd.read_csv(layout.table_csv(suite.name)).set_index("method")
    assert table.loc["lora", "n"] == 1 and pd.isna(table.loc["lora", "accuracy_std"])
    assert table.loc["full", "n"] == 0 and pd.isna(table.loc["full", "accuracy_mean"])
    lines = layout.table_md(suite.name).read_text().splitlines()
    lora = next(line for line in lines if line.startswith("| LoRA"))
    full = next(line for line in lines if line.startswith("| Full"))
    assert "1 of 3" in lora and "±" not in lora and "nan" not in lora
    assert "0 of 3" in full and "—" in full and "nan" not in full


def test_no_runs_at_all_still_give_tables(layout, suite):
    aggregate(suite, layout)
    assert len(pd.read_csv(layout.table_csv(suite.name))) == len(suite.methods)
    assert pd.read_csv(layout.runs_csv(suite.name)).empty


def test_people_read_mean_and_deviation(results, suite):
    aggregate(suite, results)
    accuracies = [100 * r["headline"] for r in _records(results, suite, "wsa")]
    shown = f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}"
    assert shown in results.table_md(suite.name).read_text()


def test_titles_stay_in_their_cells(results, suite):
    titles = {
        "full": "a|b \\ c\nd", "lora": "=cmd()", "wsa": "-1", "majority": "+x", "head_only": "'q",
    }  # fmt: skip
    methods = {
        name: method.model_copy(update={"title": titles.get(name, method.title)})
        for name, method in suite.methods.items()
    }
    aggregate(suite.model_copy(update={"methods": methods, "title": "T\n| x"}), results)
    lines = results.table_md(suite.name).read_text().splitlines()
    assert lines[0] == "# T \\| x"
    cells = {re.sub(r"\\.", "", line).count("|") for line in lines if line.startswith("|")}
    assert len(cells) == 1
    assert any(line.startswith("| a\\|b \\\\ c d ") for line in lines)
    with results.table_csv(suite.name).open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows["lora"]["title"] == "'=cmd()" and rows["wsa"]["title"] == "'-1"
    assert rows["full"]["title"] == titles["full"]
    for row in rows.values():
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    assert latex(titles["full"]) == r"a\textbar{}b \textbackslash{} c d"
    assert latex("[1]*") == "{[}1]{*}"


def test_same_runs_same_bytes(results, suite):
    def files():
        paths = (results.runs_csv, results.table_csv, results.table_md)
        return [path(suite.name).read_bytes() for path in paths]

    aggregate(suite, results)
    first = files()
    aggregate(make_suite(), results)
    assert files() == first
    assert set(ACCURACY) == set(suite.methods)
