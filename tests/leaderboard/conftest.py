"""A site made from made-up results, and a browser to look at it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from tests.helpers.literature import make_literature
from tests.helpers.results import make_results, make_suite
from tests.leaderboard import across
from tests.leaderboard.accessibility import axe_source
from tests.leaderboard.tasks import ACCURACY as BY_METHOD
from tests.leaderboard.tasks import CLASSES, Made, make
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.literature.orderings import judge_literature
from wsa.literature.schema import Literature
from wsa.records.evidence import ThresholdPoint, Thresholds
from wsa.records.record import read_record, write_record
from wsa.records.run import Result
from wsa.suite.schema import Suite

# Text that tries to break out of a page: a tag, quotes, markup of other languages, a mark that
# turns the writing direction, a word longer than a line.
HOSTILE = (
    "<script>window.broken=1</script>\"'><img src=x onerror=window.broken=1>&amp; $x_1$ {{7*7}} "
    "\u202eright-to-left\u202c \\textbf{x} 100% " + "verylongword" * 20
)
SENTENCES = 120
CLAIMED = {"source": "the hypothesis", "sentence": "As it says."}
CLAIMS = [
    {"id": "value", "kind": "value", "method": "wsa", "states": ["unpruned", "pruned"],
     "expected": 94.3, "margin": 0.3, **CLAIMED},
    {"id": "order", "kind": "order", "better": "full", "worse": "head_only", **CLAIMED},
]  # fmt: skip
# a published record whose texts are as bad
PUBLISHED = [
    {"method": "lora", "value": "94.95", "note": HOSTILE},
    {"method": "lora", "value": "95.5", "rank": 24, "variant": HOSTILE},
    {"method": "full", "value": "95.1", "rank": "", "parameters": "184M"},
    {"method": "lora", "value": "94.95", "table": "second-1", "copied_from": "first-1"},
    {"method": "dora", "value": "95.2", "table": "second-1"},
    {"method": "full", "value": "94.2", "rank": "", "table": "second-1"},
    {"method": "spectral_a", "value": "88.2", "task": "Pairs", "parameters": "1.33M"},
    {"method": "lora", "value": "89.5", "task": "Pairs", "parameters": "0.44M"},
    {"method": "lora", "value": "93.3", "task": "Pairs", "metric": "f1"},
]
TABLES = [
    {},
    {"table": "second-1", "paper": HOSTILE, "note": HOSTILE, "chosen_on": "other sentences",
     "second_hand": "in a note", "seeds": "", "statistic": "not stated"},
]  # fmt: skip
ACCURACY = {
    "full": 95.0,
    "lora": 93.0,
    "wsa": {"unpruned": 94.3, "pruned": 80.0, "gate_only": 94.0},
    "head_only": 75.0,
    "majority": 51.0,
}


@dataclass(frozen=True)
class Site:
    """A rendered site with what it was made from."""

    suites: list[Suite]
    layout: Layout
    literature: Literature

    @property
    def folder(self) -> Path:
        return self.layout.site

    def url(self, path: str) -> str:
        return (self.folder / path).resolve().as_uri()


def _titled(suite: Suite, method: str, title: str) -> Suite:
    methods = suite.methods | {method: suite.methods[method].model_copy(update={"title": title})}
    return suite.model_copy(update={"methods": methods})


# of one seed: threshold, mean effective rank, parameters kept, accuracy
SWEPT = [(0.0, 16.0, 1_478_018, 0.95), (0.02, 9.5, 1_117_634, 0.9), (0.05, 6.5, 951_476, 0.825),
         (1.0, 0.0, 592_130, 0.75)]  # fmt: skip


def write_thresholds(layout: Layout, suite: Suite) -> None:
    """A made-up `thresholds.json` of the method wsa."""
    run = read_record(layout.run(suite.name, "wsa", suite.seeds[0]).result, Result)
    record = Thresholds(
        suite=suite.name, seed=run.seed, evaluated_on="validation", sentences=SENTENCES,
        environment=run.provenance.environments["train"],
        points=[
            ThresholdPoint(
                method="wsa", threshold=tau, effective_rank=rank, kept_parameters=kept,
                value=value,
            )
            for tau, rank, kept, value in SWEPT
        ],
    )  # fmt: skip
    write_record(layout.thresholds_json(suite.name), record)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Site:
    """Two suites: one measured, with hostile texts and a method that has no runs; one not."""
    folder = tmp_path_factory.mktemp("site")
    layout = Layout(results=folder / "results", resources=folder / "res", site=folder / "site")
    suite = _titled(make_suite("tiny", claims=CLAIMS), "lora", HOSTILE)
    suite = suite.model_copy(update={"baseline": "wsa"})
    make_results(layout, suite, ACCURACY, sentences=SENTENCES)
    data = layout.data(suite.data.name)
    data.mkdir(parents=True)
    sentences = {
        "id": [f"validation-{i:05d}" for i in range(SENTENCES)],
        "sentence": [f"{i} {HOSTILE}" for i in range(SENTENCES)],
        "label": 0,
    }
    pd.DataFrame(sentences).to_parquet(data / "validation.parquet")
    aggregate(suite, layout)
    write_thresholds(layout, suite)
    suites = [suite, make_suite("unmeasured")]
    literature = make_literature(folder / "config", PUBLISHED, TABLES)
    judge_literature(literature, suite, layout)
    render(suites, layout, (), literature)
    return Site(suites, layout, literature)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Made:
    """Pairs of texts in three classes, with a second metric and a second validation split."""
    return make(
        tmp_path_factory.mktemp("pairs"), "pairs", BY_METHOD, labels=CLASSES,
        metrics=("accuracy", "f1_macro"), text=("premise", "hypothesis"),
        reader={"kind": "splits", "validation": ("matched", "mismatched")},
    )  # fmt: skip


@pytest.fixture(scope="session")
def numbers(tmp_path_factory) -> Made:
    """A number for every sentence; less of the headline metric is better."""
    return make(
        tmp_path_factory.mktemp("numbers"), "numbers", BY_METHOD, labels="number",
        metrics=("mean_squared_error", "pearson"),
    )  # fmt: skip


@pytest.fixture(scope="session")
def together(tmp_path_factory) -> Layout:
    """Several tasks together; one of the two suites that the site shows is among them."""
    return across.make(tmp_path_factory.mktemp("together"))


@pytest.fixture(scope="session")
def axe() -> str:
    return axe_source()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium that reports every request and every word on its console."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        "disable-dev-shm-usage", "window-size=1200,900",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    window = webdriver.Chrome(options=options, service=service)
    yield window
    window.quit()
