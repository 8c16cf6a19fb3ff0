"""The page of several tasks together: each cell from the record, no average over tasks."""

from __future__ import annotations

from types import SimpleNamespace as Record

import pytest
from tests.helpers.results import make_results, make_suite
from tests.leaderboard.page import Page
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.records.evidence import Interval

CELLS = [
    # suite, method, state, seeds, mean, std, rank, within noise of the best
    ("films", "full", "unpruned", 3, 91.25, 0.51, 1.0, True),
    ("films", "wsa", "pruned", 3, 84.5, 1.25, 2.0, False),
    ("similar", "full", "unpruned", 3, 0.7125, 0.011, 2.0, False),
    ("similar", "wsa", "pruned", 1, 0.6504, None, 1.0, True),
]
KEYS = ("suite", "method", "state", "seeds", "mean", "std", "rank", "within_noise")


def record() -> Record:
    """As `wsa across` leaves it: two methods on two tasks, one of them elsewhere."""
    return Record(
        name="together",
        title="Two tasks <b>together</b>",
        suites=(
            Record(suite="films", title="Films", metric="accuracy", unit="%", sentences=872),
            Record(suite="similar", title="Similarity", metric="mean_squared_error", unit="",
                   sentences=1500),
        ),
        methods=(
            Record(method="wsa", title="WSA r=16", state="pruned", mean_rank=1.75,
                   rank_interval=None, within_noise=1, tasks=2),
            Record(method="full", title="Full fine-tuning", state="unpruned", mean_rank=1.25,
                   rank_interval=Interval(low=1.0, high=1.9), within_noise=1, tasks=2),
        ),
        cells=tuple(Record(**dict(zip(KEYS, cell, strict=True))) for cell in CELLS),
        orders=(
            Record(
                id="wsa-beats-full", sentence="WSA is better.", better="wsa", worse="full",
                state="pruned", verdict="undecided", said="One task says so, one does not.",
                tasks=(
                    Record(suite="films", difference=-6.75, interval=Interval(low=-9, high=-4.5),
                           p=0.0012, p_adjusted=0.0024, verdict="contradicted"),
                    Record(suite="similar", difference=-0.0621, interval=None, p=None,
                           p_adjusted=None, verdict="undecided"),
                ),
            ),
        ),
        notes=("Two tasks are few.",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Layout:
    folder = tmp_path_factory.mktemp("across")
    layout = Layout(results=folder / "r", resources=folder / "d", site=folder / "s")
    suite = make_suite("films")
    make_results(layout, suite, {"full": 91.0, "wsa": 85.0}, sentences=60)
    aggregate(suite, layout)
    render([suite, make_suite("other")], layout, [record()])
    return layout


@pytest.fixture(scope="module")
def page(made) -> Page:
    return Page(made.site / "together/index.html")


def test_methods_by_tasks(page):
    head, first, second = page.table("in each task’s own metric")
    assert head[3:] == ["Filmsaccuracy, %", "Similaritymean squared error, less is better"]
    assert first == ["Full fine-tuning", "1.251.00 to 1.90", "1 of 2",
                     "• 91.25 ± 0.51rank 1, 3 seeds", "0.7125 ± 0.0110rank 2, 3 seeds"]  # fmt: skip
    assert second == ["WSA r=16pruned", "1.75", "1 of 2",
                      "84.50 ± 1.25rank 2, 3 seeds", "• 0.6504rank 1, 1 seed"]  # fmt: skip


def test_a_claim_is_shown_with_each_task_s_difference(page):
    _, films, similar = page.table("WSA r=16 minus Full fine-tuning, pruned")
    assert films == ["Filmspoints of accuracy", "−6.75", "−9.00 to −4.50", "0.0012", "0.0024",
                     "contradicted"]  # fmt: skip
    assert similar == ["Similaritymean squared error, less is better", "−0.0621", "–", "–", "–",
                       "undecided"]  # fmt: skip


def test_the_picture_has_the_mean_ranks_and_the_ranks(page, made):
    _, first, second = page.table("Mean rank over the tasks")
    films, similar = "Films: 1.00, Similarity: 2.00", "Films: 2.00, Similarity: 1.00"
    assert first == ["Full fine-tuning", "", "1.25", "1.00", "1.90", films]
    assert second == ["WSA r=16", "pruned", "1.75", "–", "–", similar]
    source = (made.site / "together/index.html").read_text()
    assert "One task says so, one does not." in source and "Two tasks are few." in source
    assert "<b>" not in source


def test_it_is_linked_from_the_front_and_from_its_members(made):
    link = "together/index.html"
    assert link in Page(made.index_page).links
    body = made.suite_page("films").read_text().split("</header>")[1]
    assert f'href="../{link}"' in body
    assert f'href="../{link}"' not in made.suite_page("other").read_text().split("</header>")[1]


def test_its_links_lead_somewhere(made, page):
    for link in page.links:
        if link.startswith(("https:", "data:", "#")):
            continue
        assert (made.site / "together" / link.split("#")[0]).is_file(), link


def test_without_collections_there_is_no_page(made, tmp_path):
    layout = Layout(results=made.results, resources=made.resources, site=tmp_path / "s")
    render([make_suite("films")], layout)
    assert not (layout.site / "together").exists()
    assert "Several tasks together" not in layout.index_page.read_text()
