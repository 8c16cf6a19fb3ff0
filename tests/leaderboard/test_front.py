"""The front page: its words are what the records say, in every state that a site can be in."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from tests.helpers.project import ROOT
from tests.helpers.results import make_results, make_suite
from tests.leaderboard.page import Page
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import project as project_module
from wsa.leaderboard import render
from wsa.records.record import read_record, write_record
from wsa.records.run import Result
from wsa.suite.load import load_suites
from wsa.suite.settings import shown_suites

SAID = {"source": "the hypothesis", "sentence": "As it says."}
VALUE = {"id": "value", "kind": "value", "method": "wsa", "states": ["unpruned", "pruned"],
         "expected": 94.3, "margin": 0.3, **SAID}  # fmt: skip
ORDER = {"id": "order", "kind": "order", "better": "wsa", "worse": "spectral_a", **SAID}
ACCURACY = {"wsa": {"unpruned": 94.0, "pruned": 80.0, "gate_only": 93.0}, "spectral_a": 93.9}


def layout_in(folder: Path) -> Layout:
    return Layout(results=folder / "r", resources=folder / "d", site=folder / "s",
                  published=folder / "p")  # fmt: skip


def front(layout: Layout) -> tuple[str, str]:
    """The headline and what stands below it."""
    source = layout.index_page.read_text(encoding="utf-8")
    found = [re.search(f"<{tag}>(.*?)</", source, re.DOTALL)[1] for tag in ("h1", "p class=lede")]
    return tuple(re.sub(r"^<bdi>", "", text) for text in found)


def accuracies(layout: Layout, suite: str, method: str, state: str) -> list[float]:
    files = sorted(layout.suite(suite).glob(f"runs/{method}/*/result.json"))
    records = [json.loads(file.read_text()) for file in files]
    return [100 * record["states"][state]["metrics"]["accuracy"] for record in records]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_nothing_is_measured(tmp_path):
    layout = layout_in(tmp_path)
    render([make_suite(claims=[VALUE, ORDER])], layout)
    title, below = front(layout)
    assert title == "94.3 % is untested: Tiny model has not been run on Tiny data."
    assert below == "Nothing has been measured yet."
    assert Page(layout.index_page).table("Claimed by the hypothesis")[1][1:] == [
        "≈ 94.3", "–", "not measured"
    ]  # fmt: skip


def test_nothing_is_claimed(tmp_path):
    layout = layout_in(tmp_path)
    suite = make_suite()
    make_results(layout, suite, {"lora": 90.0, "full": 95.0}, sentences=60)
    aggregate(suite, layout)
    render([suite], layout)
    title, below = front(layout)
    assert title == "Does the Weighted Spectral Adapter do what was claimed for it?"
    assert below == "With Tiny model (184\u00a0M parameters) on tiny data was measured."
    assert "Claimed, published, measured" not in layout.index_page.read_text()


def test_another_suite_is_measured_and_the_claimed_one_is_not(tmp_path):
    layout = layout_in(tmp_path)
    small, own = make_suite("small", claims=[ORDER]), make_suite(claims=[VALUE])
    make_results(layout, small, ACCURACY, sentences=200)
    aggregate(small, layout)
    render([small, own], layout)
    title, below = front(layout)
    assert title.startswith("94.3 % is untested: ")
    found = json.loads(layout.claims_json("small").read_text())["claims"][0]["judgements"][0]
    lead = mean(accuracies(layout, "small", "wsa", "unpruned")) - mean(
        accuracies(layout, "small", "spectral_a", "unpruned")
    )
    side = "lead of WSA r=16 over" if lead >= 0 else "lag of WSA r=16 behind"
    low, high = found["interval"]["low"], found["interval"]["high"]
    assert found["verdict"] == "undecided"
    said = f"the {side} Spectral Adapter r=8 is undecided ({lead:+.2f} points, 95 % interval "
    said += f"{low:+.2f} to {high:+.2f})."
    assert said.replace("-", "−").replace("Spectral−Adapter", "Spectral-Adapter") in below
    lost = mean(accuracies(layout, "small", "wsa", "unpruned")) - mean(
        accuracies(layout, "small", "wsa", "pruned")
    )
    kept = json.loads(layout.tables_json("small").read_text())["methods"]
    rank = next(row["effective_rank"] for row in kept if row["method"] == "wsa")
    said = f"WSA r=16 keeps {rank:.2f} of 16 directions, and pruning costs {lost:.2f} points."
    assert said in below


def test_the_claimed_suite_is_measured(tmp_path):
    layout = layout_in(tmp_path)
    own = make_suite(claims=[VALUE, ORDER])
    make_results(layout, own, ACCURACY, sentences=400)
    aggregate(own, layout)
    render([make_suite("other"), own], layout)
    title, below = front(layout)
    judged = json.loads(layout.claims_json("tiny").read_text())["claims"][0]["judgements"]
    for one, label in zip(judged, ("as trained", "pruned"), strict=True):
        measured = mean(accuracies(layout, "tiny", "wsa", one["state"]))
        assert f"{one['verdict']} {label} ({measured:.2f} ± " in title
    assert title.startswith("94.3 % for WSA r=16 is ") and "With Tiny model" not in below


@pytest.mark.parametrize(("reach", "rank"), [(0.02, 0.0), (0.2, 0.0), (0.02, 6.5)])
def test_a_cause_is_given_where_no_gate_could_move_so_far(tmp_path, reach, rank):
    """The gates of a `singular_value` adapter start at 0 and are kept from 0.05 on."""
    layout = layout_in(tmp_path)
    claim = {"id": "rank", "kind": "interval", "method": "wsa", "quantity": "effective_rank",
             "low": 6, "high": 7, **SAID}  # fmt: skip
    suite = make_suite(claims=[claim])
    make_results(layout, suite, ACCURACY, sentences=60, effective_rank=rank)
    for path in layout.suite("tiny").glob("runs/wsa/*/result.json"):
        record = read_record(path, Result)
        rank_of = record.rank.model_copy(update={"sum_of_learning_rates": reach})
        write_record(path, record.model_copy(update={"rank": rank_of}))
    (judgement,) = aggregate(suite, layout).claims[0].judgements
    render([suite], layout)
    cause = "no gate could reach the threshold under this schedule"
    assert (cause.capitalize() in judgement.sentence) == (reach < 0.05)
    assert (f"because {cause}" in front(layout)[1]) == (reach < 0.05 and rank == 0)


def test_one_leaderboard_and_the_others_apart(tmp_path):
    layout = layout_in(tmp_path)
    suites = [make_suite("first"), make_suite("second")]
    for suite in suites:
        make_results(layout, suite, ACCURACY, sentences=60)
        aggregate(suite, layout)
    render(suites, layout)
    page = Page(layout.index_page)
    boards = [rows for caption, rows in page.tables.items() if "sentences: mean ±" in caption]
    assert len(boards) == 1 and len(boards[0]) == 1 + 4
    (other,) = [rows for caption, rows in page.tables.items() if "Each method in its" in caption]
    assert {row[0] for row in other[1:]} == {"WSA r=16, pruned", "Spectral Adapter r=8"}
    assert page.ids.count("leaderboard") == 1


def test_the_question_s_own_suite_is_always_there(tmp_path):
    config = ROOT / "config"
    shown = shown_suites(["minilm-l6_sst2"], config)
    assert shown == ["minilm-l6_sst2", "deberta-v3-base_sst2"]
    assert shown_suites(shown[::-1], config) == shown[::-1]
    assert shown_suites(["tiny"], tmp_path) == ["tiny"]


def test_what_changed_since_it_was_published(tmp_path):
    layout = layout_in(tmp_path)
    suite = make_suite(claims=[VALUE])
    make_results(layout, suite, ACCURACY, sentences=60)
    aggregate(suite, layout)
    shutil.copytree(layout.results, layout.published)
    render([suite], layout)
    assert "last published state" not in layout.index_page.read_text(), "nothing has changed"
    before = mean(accuracies(layout, "tiny", "wsa", "pruned"))
    make_results(layout, suite, {"wsa": 94.3, "lora": 90.0}, sentences=60, rng_seed=1)
    claims = aggregate(suite, layout)
    render([suite], layout)
    changed = layout.index_page.read_text().split('<h2 id="changed">')[1]
    after = mean(accuracies(layout, "tiny", "wsa", "pruned"))
    assert re.search(rf"WSA r=16, pruned: {before:.2f} ± .* → {after:.2f} ± ", changed)
    assert re.search(r"LoRA r=8: no runs → \d\d\.\d\d ± ", changed)
    assert "Spectral Adapter" not in changed, "what is as it was is not listed"
    words = {j.state: j.verdict for j in claims.claims[0].judgements}
    old = json.loads(layout.as_published.claims_json("tiny").read_text())
    for one in old["claims"][0]["judgements"]:
        arrow = f"{one['verdict']} → {words[one['state']]}"
        assert (arrow in changed) == (one["verdict"] != words[one["state"]])
    render([suite], layout.as_published)
    assert "last published state" not in layout.index_page.read_text(), "it is itself"


def test_a_link_is_shown_with_title_description_and_picture(tmp_path, monkeypatch):
    from email.message import Message

    layout = layout_in(tmp_path)
    suite = make_suite(claims=[VALUE])
    make_results(layout, suite, ACCURACY, sentences=60)
    aggregate(suite, layout)

    def tags(path: Path) -> dict[str, str]:
        found = re.findall(r'<meta property="og:(\w+)" content="(.*?)">', path.read_text())
        return dict(found)

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(project_module, "metadata", missing)
    render([suite], layout)
    front_tags = tags(layout.index_page)
    assert (front_tags["title"], front_tags["description"]) == front(layout)
    assert (layout.site / front_tags["image"]).read_bytes().startswith(b"\x89PNG")
    page = layout.site / "tiny/methods/wsa.html"
    assert (page.parent / tags(page)["image"]).is_file()
    assert "Source</a>" not in layout.index_page.read_text()

    known = Message()
    known["Version"] = "9.9"
    known["Project-URL"] = "Repository, https://example.org/code"
    known["Project-URL"] = "Homepage, https://example.org/site/"
    monkeypatch.setattr(project_module, "metadata", lambda name: known)
    render([suite], layout)
    assert tags(page)["image"] == "https://example.org/site/tiny/hero.png"
    assert "https://example.org/code" in Page(page).links and "wsa 9.9" in page.read_text()


def test_the_parts_of_a_judgement_agree_in_sign(tmp_path):
    """Of the published suites: difference, bootstrap, probability, McNemar's counts, the words."""
    layout = Layout(results=ROOT / "published", site=tmp_path / "s")
    names = ["minilm-l6_movie-snippets", "minilm-l6_sst2", "minilm-l6_zoo_tweets"]
    suites, _ = load_suites(names, ROOT / "config")
    render(suites, layout)
    seen = 0
    for suite in suites:
        source = layout.suite_page(suite.name).read_text(encoding="utf-8")
        for details in re.findall(r"<dl class=facts>(.*?)</dl>", source, re.DOTALL):
            text = re.sub(r"<[^>]+>", " ", details).replace("−", "-")
            if "McNemar" not in text:
                continue
            seen += 1
            gap = float(re.search(r"Estimate\s+(\S+) points", text)[1])
            low, high = re.search(
                r"bootstrap.*?(\S+)\s+to\s+(\S+) points", text, re.DOTALL
            ).groups()
            chance = float(re.search(r"outperforming.*?(0\.\d\d)\s*\(", text, re.DOTALL)[1])
            only = re.findall(r"seed \d+: (\d+) against (\d+)", text)
            balance = sum(int(a) - int(b) for a, b in only)
            assert float(low) < gap < float(high)
            assert (chance > 0.5) == (gap > 0) == (balance > 0) or abs(gap) < 0.1
    assert seen == 17


def test_people_read_titles_and_one_word_for_each_state(tmp_path):
    layout = Layout(results=ROOT / "published", site=tmp_path / "s")
    suites, _ = load_suites(["minilm-l6_movie-snippets"], ROOT / "config")
    render(suites, layout)
    for path in (layout.index_page, layout.suite_page(suites[0].name)):
        source = re.sub(r"<(style|script|code|svg).*?</\1>", "", path.read_text(), flags=re.DOTALL)
        text = re.sub(r"<[^>]+>", " ", source)
        for word in ("unpruned", "gate_only", "gate only", "spectral_a", "wsa_direction", "GiB"):
            assert word not in text, (path.name, word)
        assert "as trained" in text and "251,400" in text
        assert "251 k" not in text
    table = layout.table_md(suites[0].name).read_text()
    assert "251,400" in table and "peak memory GB" in table and "gates pruned %" in table


def test_claims_of_the_project_itself_are_not_called_the_hypothesis_s(tmp_path):
    layout = layout_in(tmp_path)
    own = {**ORDER, "source": "this project, before these runs"}
    suites = [make_suite("its", claims=[ORDER]), make_suite("ours", claims=[own])]
    suites[1] = suites[1].model_copy(update={"question": "Does our own question hold?"})
    for suite in suites:
        make_results(layout, suite, ACCURACY)
        aggregate(suite, layout)
    render(suites, layout)
    index = layout.index_page.read_text(encoding="utf-8")
    assert index.count("The hypothesis’s questions") == 1
    summaries = re.findall(r"<summary>(.*?)</summary>", index, re.DOTALL)
    assert ["Does our own question hold?" in words for words in summaries[-2:]] == [False, True]
    for suite, expected in zip(suites, (True, False), strict=True):
        page = layout.suite_page(suite.name)
        assert ("asks the same question" in page.read_text(encoding="utf-8")) == expected
        table = (page.parent / "downloads/claims.tex").read_text(encoding="utf-8")
        assert ("for another model" in table) == expected


def test_findings_name_methods_by_their_titles(tmp_path):
    layout = layout_in(tmp_path)
    suite = make_suite("low", claims=[ORDER])
    make_results(layout, suite, {**ACCURACY, "head_only": 90.0})
    aggregate(suite, layout)
    render([suite], layout)
    source = layout.suite_page("low").read_text(encoding="utf-8")
    warnings = re.search(r'id="?findings"?>(.*?)<h2', source, re.DOTALL)[1]
    titles = {name: method.title for name, method in suite.methods.items()}
    assert f"{titles['wsa']} (pruned) with " in warnings
    assert f"better than {titles['head_only']} (" in warnings
    assert f"<strong>{titles['wsa']} (pruned)" in warnings
