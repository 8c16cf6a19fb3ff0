"""The page of several tasks together: each cell from the record, no average over tasks."""

from __future__ import annotations

import shutil

import pytest
from tests.helpers.results import make_suite
from tests.leaderboard.page import Page
from wsa.evidence.across import across
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.suite.schema import Collection


@pytest.fixture(scope="module")
def page(together) -> Page:
    return Page(together.site / "together/index.html")


def test_methods_by_tasks(page):
    head, first, second = page.table("in each task’s own metric")
    assert head[3:] == ["Films accuracy, %", "Similarity mean squared error, less is better"]
    assert first == ["Full fine-tuning", "1.251.00 to 1.90", "1 of 2",
                     "• 91.25 ± 0.51, rank 1", "0.7125 ± 0.0110, rank 2"]  # fmt: skip
    assert second == ["WSA r=16pruned", "1.75", "1 of 2",
                      "84.50 ± 1.25, rank 2", "• 0.6504 rank 1, 1 seed"]  # fmt: skip


def test_a_claim_is_shown_with_each_task_s_difference(page):
    _, films, similar = page.table("WSA r=16 minus Full fine-tuning, pruned")
    assert films == ["Filmspoints of accuracy", "−6.75", "−9.00 to −4.50", "0.0012", "0.0024",
                     "contradicted"]  # fmt: skip
    assert similar == ["Similaritymean squared error, less is better", "−0.0621", "–", "–", "–",
                       "undecided"]  # fmt: skip


def test_a_task_without_runs_shows_no_difference(page):
    _, films = page.table("WSA r=16 minus Full fine-tuning, as trained")
    assert films[1:] == ["–", "–", "–", "–", "not measured"]
    assert len(page.ids) == len(set(page.ids))


def test_the_picture_has_the_mean_ranks_and_the_ranks(page, together):
    assert ["Full fine-tuning", "", "1.25", "1.00 to 1.90"] in page.rows
    assert ["WSA r=16, pruned", "", "1.75", "–"] in page.rows
    head, first, second = page.table("Mean rank over the tasks")
    assert head == ["", "Films", "Similarity"]
    assert first == ["Full fine-tuning", "1.00", "2.00"]
    assert second == ["WSA r=16, pruned", "2.00", "1.00"]
    source = (together.site / "together/index.html").read_text()
    assert "One task says so, one does not." in source and "Two tasks are few." in source
    assert "<b>" not in source


def test_it_is_linked_from_the_front_and_from_its_members(together):
    link = "together/index.html"
    assert link in Page(together.index_page).links
    body = together.suite_page("films").read_text().split("</header>")[1]
    assert f'href="../{link}"' in body
    assert f'href="../{link}"' not in together.suite_page("other").read_text().split("</header>")[1]


def test_its_links_lead_somewhere(together, page):
    for link in page.links:
        if link.startswith(("https:", "data:", "#")):
            continue
        assert (together.site / "together" / link.split("#")[0]).is_file(), link


def test_without_collections_there_is_no_page(together, tmp_path):
    layout = Layout(results=together.results, resources=together.resources, site=tmp_path / "s")
    render([make_suite("films")], layout)
    assert not (layout.site / "together").exists()
    assert "Several tasks together" not in layout.index_page.read_text()


def test_what_the_evidence_says_of_two_tasks_is_shown(pairs, numbers, tmp_path):
    """From the runs to the page: tasks with metrics of their own, one of which is to be small."""
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    made = (pairs, numbers)
    for one in made:
        shutil.copytree(one.layout.results, layout.results, dirs_exist_ok=True)
    claim = {"id": "order", "kind": "order", "better": "full", "worse": "wsa", "sentence": "So.",
             "source": "someone", "states": ["pruned"]}  # fmt: skip
    collection = Collection.model_validate(
        {"name": "both", "title": "Both", "suites": [one.suite.name for one in made],
         "claims": [claim]}
    )  # fmt: skip
    suites = [one.suite for one in made]
    record = across(collection, suites, layout)
    render(suites, layout, [record])
    page = Page(layout.suite_page("both"))
    rows = {row[0]: row for row in page.table("in each task’s own metric")[1:]}
    assert list(rows)[0] == "Full fine-tuning" and rows["Full fine-tuning"][1].startswith("1.00")
    accuracy = pairs.spread(lambda is_, said: 100 * (is_ == said).mean(), "wsa", "pruned")
    error = numbers.spread(lambda is_, said: ((is_ - said) ** 2).mean(), "wsa", "pruned", places=4)
    shown = rows["WSA r=16pruned"]
    assert accuracy in shown[3].removeprefix("• ") and error in shown[4].removeprefix("• ")
    head, first, second = page.table("minus WSA r=16, pruned")
    assert first[1].startswith("+") and second[1].startswith("−"), "a smaller error is ahead"
    assert first[5] == second[5] == "supported"
