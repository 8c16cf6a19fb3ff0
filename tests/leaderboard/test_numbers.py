"""results.json: what the records say, every number with its runs, as its schema has it."""

from __future__ import annotations

import gzip
import json
import tarfile
from statistics import fmean, stdev

import jsonschema
import pytest
from tests.leaderboard.conftest import PUBLISHED
from tests.leaderboard.page import Page
from wsa.cli import main
from wsa.records.evidence import Tables
from wsa.records.record import SEAL, read_record
from wsa.records.run import Result
from wsa.records.site import SiteResults


@pytest.fixture(scope="module")
def written(site) -> dict:
    return json.loads(gzip.decompress(site.layout.site_json.read_bytes()))


def records_of(site, written: dict, number: dict) -> list[Result]:
    """The records of a number's runs, out of the archive of their suite."""
    archives = {suite["suite"]: suite["records"] for suite in written["suites"]}
    found = []
    for run in (written["runs"][place] for place in number["runs"]):
        with tarfile.open(site.folder / archives[run["suite"]]) as archive:
            raw = json.loads(archive.extractfile(run["record"]).read())
        found.append(Result.model_validate({k: v for k, v in raw.items() if k != SEAL}))
        page, _, place = run["page"].partition("#")
        assert f'id="{place}"' in (site.folder / page).read_text(encoding="utf-8")
    return found


def test_it_is_as_its_schema_says(site, written):
    schema = json.loads(site.layout.site_schema.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written, schema)
    SiteResults.model_validate(written)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written | {"more": 1}, schema)


def test_every_number_leads_to_the_runs_it_is_the_mean_of(site, written):
    checked = 0
    for number in written["measured"]:
        runs = records_of(site, written, number)
        assert len(runs) == number["n"] == 3
        assert {(run.suite, run.method) for run in runs} == {(number["suite"], number["method"])}
        if number["quantity"] == "accuracy":
            values = [100 * run.states[number["state"]].metrics["accuracy"] for run in runs]
            assert number["value"] == pytest.approx(fmean(values))
            assert number["std"] == pytest.approx(stdev(values))
            assert number["unit"] == "%"
            checked += 1
        if number["quantity"] == "parameters_kept":
            assert number["value"] == pytest.approx(fmean(run.parameters.kept for run in runs))
            checked += 1
    assert checked == 7 + 5  # rows of the leaderboard, methods


def test_every_pair_is_there_with_its_runs(site, written):
    tables = read_record(site.layout.tables_json("tiny"), Tables)
    key = ("method_a", "state_a", "method_b", "state_b")
    there = {tuple(pair[k] for k in key): pair for pair in written["differences"]}
    assert len(there) == len(tables.comparisons) > 10
    for pair in tables.comparisons:
        found = there[tuple(getattr(pair, k) for k in key)]
        assert found["value"] == pytest.approx(pair.difference, rel=1e-8)
        assert found["n"] == len(pair.seeds) and len(found["runs"]) == 2 * found["n"]
        runs = [written["runs"][place] for place in found["runs"]]
        sides = [(m, seed) for m in (pair.method_a, pair.method_b) for seed in pair.seeds]
        assert [(run["method"], run["seed"]) for run in runs] == sides


def test_claimed_published_and_measured_stand_apart(written):
    assert {(c["method"], c["value"]) for c in written["claimed"]} == {("wsa", 94.3)}
    own = [one for one in PUBLISHED if "task" not in one and "copied_from" not in one]
    assert {p["value"] for p in written["published"]} == {float(one["value"]) for one in own}
    assert not {94.3, 94.95} & {number["value"] for number in written["measured"]}
    verdicts = {(v["claim"], v["state"]): v["verdict"] for v in written["verdicts"]}
    assert verdicts["order", "unpruned"] == "supported"
    assert {suite["suite"]: suite["sentences"] for suite in written["suites"]} == {
        "tiny": 120, "unmeasured": 0,
    }  # fmt: skip


def test_the_command_lists_what_the_page_counts(site, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("wsa.suite.load.load_suite", lambda *named: site.suites[0])
    roots = ["--results", site.layout.results, "--resources", site.layout.resources]
    assert main([*map(str, roots), "sentences", "tiny", "full", "wsa"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split("\t") == ["id", "is", "right with full", "right with wsa", "sentence"]
    right = [[int(cell.split(" of ")[0]) for cell in line.split("\t")[2:4]] for line in lines]
    assert all((a > 1.5) != (b > 1.5) for a, b in right)
    counts = Page(site.folder / "tiny/compare.html").table("the method of the column gets wrong")
    rows = {row[0]: dict(zip(counts[0], row, strict=True)) for row in counts}
    ahead = sum(a > b for a, b in right)
    for one, other, count in (("full", "wsa", ahead), ("wsa", "full", len(right) - ahead)):
        title = site.suites[0].methods[one].title
        assert rows[title][f"wrong with{other}"] == str(count)
    empty = ["--results", site.layout.results, "--resources", tmp_path]
    assert main([*map(str, empty), "sentences", "tiny", "full", "wsa"]) == 0
    assert "wsa fetch-data" in capsys.readouterr().out.splitlines()[0]
    assert main([*map(str, empty), "sentences", "tiny", "full", "wsaa"]) == 2
    assert "did you mean 'wsa'" in capsys.readouterr().err
