"""The trials on a suite's page: every one of them, the chosen ones, and what lies at an edge."""

from __future__ import annotations

import json
import re

import pytest
from tests.helpers.results import make_results
from tests.helpers.tuned import RANGES, make_trials, tuned_suite
from tests.leaderboard.accessibility import graves
from tests.leaderboard.page import carried
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.records.tuning import tuned
from wsa.stages.tune import tune

TRIALS = {
    "full": [90, 80, 70, 60],
    "lora": [60, 80, 90, 70],
    "spectral_a": [60, 80, 90, 70],
    "wsa": [60, {"unpruned": 90, "pruned": 55, "gate_only": 90}, 80, 70],
    "head_only": [60, 80, 90, 70],
}
ACCURACY = {"full": 92, "lora": 91, "spectral_a": 90, "wsa": 90, "head_only": 75, "majority": 51}


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    folder = tmp_path_factory.mktemp("tuning")
    layout = Layout(results=folder / "results", resources=folder / "res", site=folder / "site")
    suite = tuned_suite()
    make_trials(suite, layout, TRIALS)
    for method in RANGES:
        tune(suite, method, layout)
    suite = tuned(suite, layout)
    make_results(layout, suite, ACCURACY, sentences=120)
    aggregate(suite, layout)
    render([suite], layout)
    return layout


@pytest.fixture(scope="module")
def page(layout) -> str:
    return (layout.site / "tiny/index.html").read_text(encoding="utf-8")


def test_every_trial_stands_there_with_its_record(layout, page):
    section = page.split('id="pictures-tuning"')[1].split("<h2")[0]
    rows = re.findall(r"<th scope=row>(\w+\.\d)( \(chosen\))?", section)
    assert [name for name, _ in rows] == [f"{m}.{k}" for m in RANGES for k in (1, 2, 3, 4)]
    chosen = {name for name, mark in rows if mark}
    assert chosen == {"full.1", "lora.3", "spectral_a.3", "wsa.2", "head_only.3"}
    texts = carried(layout.downloads("tiny") / "records.js")
    for name, _ in rows:
        (key,) = re.findall(rf"data-record={re.escape(name)}/(\d+) ", section)
        record = json.loads(texts[f"{name}/{key}"])
        accuracy = 100 * record["states"]["unpruned"]["metrics"]["accuracy"]
        assert f"{accuracy:.2f}" in section
    assert "learning rate: least" in section


def test_the_picture_has_a_curve_for_each_method_and_its_numbers(page):
    figure = page.split('<figure id="tuning">')[1].split("</figure>")[0]
    assert "Accuracy against learning rate" in figure and "<svg" in figure
    numbers = figure.split("<details>")[1]
    assert numbers.count("<tr") == 1 + 4 * len(RANGES)
    assert numbers.count("chosen") == len(RANGES)


def test_the_finding_the_protocol_and_a_method_s_page_tell_of_it(layout, page):
    assert "the best of 4 trials has the least learning rate tried" in page
    assert "4 trials a method" in page
    method = (layout.site / "tiny/methods/lora.html").read_text(encoding="utf-8")
    assert "0.0001 to 0.01, 4 trials" in method and "tune.adapter.lora_alpha" in method


def test_a_suite_without_tuning_says_nothing_of_it(site):
    page = (site.folder / "tiny/index.html").read_text(encoding="utf-8")
    assert "pictures-tuning" not in page and "trials a method" not in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(layout, browser, axe, scheme):  # noqa: F811
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get((layout.site / "tiny/index.html").resolve().as_uri())
    assert not graves(browser, axe, contrast=True if scheme == "dark" else None)
