"""The pages in a real browser: sorting, filtering, sharing, downloading, and nothing going wrong.

Needs Debian's packages chromium and chromium-driver; skipped where they are missing.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.helpers.results import make_suite
from tests.leaderboard.accessibility import graves
from tests.leaderboard.conftest import HOSTILE
from tests.leaderboard.waiting import until
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.leaderboard.compact import compact
from wsa.records.evidence import Claims
from wsa.records.record import read_record, write_record
from wsa.records.run import Result

PAGES = (
    "index.html",
    "explore.html",
    "reading.html",
    "tiny/index.html",
    "tiny/compare.html",
    "tiny/methods/lora.html",
    "tiny/methods/wsa.html",
    "literature/index.html",
    "literature/methods/lora.html",
    "literature/tables/second-1.html",
    "unmeasured/index.html",
    "unmeasured/compare.html",
    "unmeasured/methods/wsa.html",
)


@pytest.fixture(scope="session")
def opened(browser, site):
    """Open a page of the site, from disk."""

    def get(path: str, fragment: str = ""):
        browser.get("about:blank")
        browser.get(site.url(path) + (f"#{fragment}" if fragment else ""))
        return browser

    return get


def column(browser, table: str, name: str) -> list[str]:
    """The texts of a column's visible cells."""
    return browser.execute_script(
        """const table = document.getElementById(arguments[0]);
        const heads = [...table.tHead.rows[0].cells];
        const index = heads.findIndex((head) => head.dataset.column === arguments[1]);
        return [...table.tBodies[0].rows].filter((row) => !row.hidden)
          .map((row) => row.cells[index].dataset.value ?? row.cells[index].textContent.trim());""",
        table, name,
    )  # fmt: skip


def click_head(browser, name: str) -> str:
    """Click a heading of the leaderboard; its aria-sort afterwards."""
    head = browser.find_element("css selector", f"#leaderboard th[data-column={name}]")
    head.find_element("tag name", "button").click()
    return head.get_attribute("aria-sort")


def test_sort_by_any_column(opened):
    page = opened("tiny/index.html")
    for name in ("accuracy", "kept", "seconds", "memory"):
        directions = {click_head(page, name), click_head(page, name)}
        assert directions == {"ascending", "descending"}
        page.refresh()  # the view is in the address
        values = [float(value) for value in column(page, "leaderboard", name)]
        assert values in (sorted(values), sorted(values, reverse=True)) and len(values) == 7


def test_rows_without_a_number_come_last_either_way(opened):
    page = opened("tiny/index.html")
    for _ in range(2):
        click_head(page, "rank")
        assert column(page, "leaderboard", "rank")[0] != "–"
        assert column(page, "leaderboard", "rank")[-1] == "–"


def test_filter_by_family_and_by_words(opened):
    page = opened("tiny/index.html")
    page.find_element("css selector", "select[name=family] option[value=full]").click()
    assert column(page, "leaderboard", "method") == ["Full fine-tuning"]
    page.find_element("css selector", ".controls[data-for=leaderboard] .reset").click()
    page.find_element("css selector", "input[type=search]").send_keys("wsa pruned")
    assert set(column(page, "leaderboard", "method")) == {"WSA r=16"}
    assert set(column(page, "leaderboard", "state")) == {"pruned", "gates pruned"}
    status = page.find_element("css selector", ".count[data-for=leaderboard]")
    assert status.text == "2 of 7 rows"


def test_choose_columns(opened):
    page = opened("tiny/index.html")
    visible = "return document.querySelector('th[data-column=memory]').offsetParent !== null"
    assert page.execute_script(visible)
    page.find_element("css selector", ".controls summary").click()
    page.find_element("css selector", ".controls input[value=memory]").click()
    assert not page.execute_script(visible)
    page.refresh()
    assert not page.execute_script(visible)


def test_share_a_view_by_its_address(opened):
    page = opened("tiny/index.html")
    click_head(page, "kept")
    page.find_element("css selector", "select[name=state] option[value=headline]").click()
    address = page.current_url
    methods = column(page, "leaderboard", "method")
    assert page.find_element("css selector", "a.view-link").get_attribute("href") == address
    page.get("about:blank")
    page.get(address)
    assert column(page, "leaderboard", "method") == methods and len(methods) == 5
    head = page.find_element("css selector", "th[data-column=kept]")
    assert head.get_attribute("aria-sort") == "ascending"


def test_open_a_run_from_a_row(opened):
    page = opened("index.html")
    page.find_element("css selector", "a[aria-label='WSA r=16, seed 2']").click()
    assert page.find_element("tag name", "h1").text == "WSA r=16"
    folded = page.find_elements("css selector", "details.run")
    assert [one.get_attribute("open") is not None for one in folded] == [False, True, False]
    assert page.find_element("id", "seed-2").is_displayed()


def test_a_record_is_shown_from_disk(opened, site):
    page = opened("tiny/methods/wsa.html", "seed-2")
    page.find_element("css selector", "#seed-2 a[data-record]").click()
    until(lambda: page.current_url.startswith("blob:"))
    shown = page.find_element("tag name", "body").text
    record = site.layout.run("tiny", "wsa", 2).result.read_text(encoding="utf-8")
    assert json.loads(shown) == json.loads(record)


def sentences_of(page, seed: int) -> list[list[str]]:
    """The cells of the sentences listed for a run, once they are there."""
    folded = page.find_element("css selector", f"details[data-run='{seed}']")
    page.execute_script("arguments[0].open = true", folded)
    rows = until(lambda: folded.find_elements("css selector", "tbody tr"))
    return page.execute_script(
        "return arguments[0].map((row) => [...row.cells].map((cell) => cell.textContent))", rows
    )


def test_the_sentences_of_a_run_are_listed(opened, site):
    """Wrong here and right with others; as the predictions themselves say."""

    def right(method, seed, state):
        table = pd.read_parquet(site.layout.run("tiny", method, seed).predictions)
        table = table[table["state"] == state].sort_values("sentence_id")
        logits = table[["logit_0", "logit_1"]].to_numpy(float)
        sure = 100 / (1 + np.exp(-abs(logits[:, 1] - logits[:, 0])))
        return (logits.argmax(1) == table["label"].to_numpy()), sure

    here, sure = right("wsa", 1, "pruned")
    mostly = {name: sum(right(name, k, "unpruned")[0].astype(int) for k in (1, 2, 3)) >= 2
              for name in ("full", "head_only", "lora")}  # fmt: skip
    expected = {
        f"{i} {HOSTILE}": (f"{sure[i]:.0f}", {name for name in mostly if mostly[name][i]})
        for i in np.flatnonzero(~here & np.any(list(mostly.values()), axis=0))
    }
    rows = sentences_of(opened("tiny/methods/wsa.html", "seed-1"), 1)
    assert {row[0]: (row[2], set(row[3].split(", "))) for row in rows} == expected
    counts = [len(row[3].split(", ")) for row in rows]
    assert counts == sorted(counts, reverse=True)


def test_compare_two_methods_from_a_count(opened):
    page = opened("tiny/compare.html")
    link = page.find_element("css selector", "a[href='#sentences.right=full&sentences.wrong=wsa']")
    count = int(link.text)
    link.click()
    until(lambda: column(page, "sentences", "sentence"))
    assert len(column(page, "sentences", "sentence")) == count > 0
    chosen = page.find_element("css selector", "select[name=wrong]").get_attribute("value")
    assert chosen == "wsa"


def written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def test_download(opened, browser, site, tmp_path):
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    page = opened("tiny/index.html")
    page.find_element("css selector", "a[href='downloads/table.csv']").click()
    until(lambda: written(tmp_path / "table.csv"))
    assert (tmp_path / "table.csv").read_bytes() == site.layout.table_csv("tiny").read_bytes()


def test_what_is_shown_is_what_is_saved(opened, browser, tmp_path):
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    page = opened("tiny/index.html", "leaderboard.find=wsa&leaderboard.hide=runs%2Cmemory")
    page.find_element("css selector", ".controls[data-for=leaderboard] button.save").click()
    until(lambda: written(tmp_path / "leaderboard.csv"))
    with (tmp_path / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:4] == ["Method", "State", "Accuracy %, mean ± std", "95 % interval"]
    assert not any("Memory" in name or "Runs" in name for name in head)
    assert [row[0] for row in rows] == ["WSA r=16"] * 3
    assert all(re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d", row[2]) for row in rows)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_quiet_and_asks_nothing_of_the_network(opened, path):
    check_quiet(opened(path))


def check_quiet(page) -> None:
    page.get_log("browser"), page.get_log("performance")
    page.refresh()
    assert page.get_log("browser") == []
    for entry in page.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            assert message["params"]["request"]["url"].startswith(("file:", "data:"))
        assert message["method"] != "Network.loadingFailed", message
    assert page.execute_script("return window.broken") is None


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(browser, site, path):
    assert width_on_a_phone(browser, site.url(path)) <= 360


def width_on_a_phone(browser, url: str) -> int:
    phone = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get(url)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    return wide


@pytest.mark.parametrize(
    ("path", "scheme"),
    [(path, "light") for path in PAGES]
    + [
        (path, "dark")
        for path in ("index.html", "explore.html", "tiny/compare.html", "tiny/methods/wsa.html")
    ],
)
def test_axe_finds_nothing_serious(opened, browser, axe, path, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert not graves(opened(path), axe, contrast=True if scheme == "dark" else None)


@pytest.mark.parametrize(
    ("made", "path"),
    [
        ("pairs", "pairs/index.html"),
        ("pairs", "pairs/methods/wsa.html"),
        ("pairs", "pairs/compare.html"),
        ("numbers", "numbers/index.html"),
        ("numbers", "numbers/compare.html"),
        ("numbers", "numbers/methods/wsa.html"),
        ("together", "together/index.html"),
    ],
)
def test_pages_of_other_tasks_are_as_good(browser, axe, made, path, request):
    found = request.getfixturevalue(made)
    layout = found if isinstance(found, Layout) else found.layout
    url = (layout.site / path).resolve().as_uri()
    assert width_on_a_phone(browser, url) <= 360
    check_quiet(browser)
    assert not graves(browser, axe, contrast=False)  # in the colours of the pages above


def test_without_javascript_everything_but_the_controls_is_there(opened, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = opened("tiny/index.html")
        rows = page.find_elements("css selector", "#leaderboard tbody tr")
        assert len(rows) == 7 and all(row.is_displayed() for row in rows)
        assert not page.find_element("css selector", ".controls").is_displayed()
        assert not page.find_elements("css selector", "thead button")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_without_javascript_a_page_says_where_the_sentences_are(opened, browser, site):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = opened("tiny/compare.html")
        words = page.find_element("css selector", "[data-instead-of=sentences]")
        assert words.is_displayed() and "wsa sentences tiny" in words.text
        assert page.find_elements("css selector", "nav a[href='../index.html#suites']")
        page = opened("tiny/methods/wsa.html")
        assert "sentences.csv" in page.find_element("tag name", "main").text
        links = page.find_elements("css selector", "#seed-1 a, #runs ~ .scroll a[data-record]")
        archive = (site.layout.downloads("tiny") / "records.tar.gz").resolve().as_uri()
        assert sum(link.get_attribute("href") == archive for link in links) == 1 + 3
        page = opened("index.html", "suites")
        menu = page.find_elements("css selector", "#suites a")
        assert [link.get_attribute("textContent") for link in menu] == ["A tiny suite"] * 2
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_every_page_has_the_menu_of_suites(opened):
    page = opened("tiny/methods/wsa.html")
    page.find_element("css selector", ".masthead summary").click()
    links = page.find_elements("css selector", ".masthead .menu a")
    assert [link.get_attribute("aria-current") for link in links] == ["true", None]
    links[1].click()
    assert page.current_url.endswith("/unmeasured/index.html")


def test_hostile_text_is_read_as_it_was_written(opened):
    page = opened("tiny/methods/lora.html")
    assert page.find_element("tag name", "h1").get_attribute("textContent") == HOSTILE
    assert page.execute_script("return window.broken") is None


def test_sorting_works_from_the_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    page = opened("tiny/index.html")
    button = page.find_element("css selector", "th[data-column=accuracy] button")
    button.send_keys(Keys.ENTER)
    head = page.find_element("css selector", "th[data-column=accuracy]")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_compact_page_is_the_page_itself(browser, tmp_path):
    """Elements, attributes and shown text: a browser reads both alike."""
    page = (
        "<!doctype html>\n<title>a</title>\n<body>\n<table>\n<caption>b</caption>\n<thead>\n"
        "<tr><td></td><th>c</th></tr>\n</thead>\n<tbody>\n<tr>\n<th>d</th>\n<td>e f</td>\n"
        '</tr>\n<tr data-of="x\ny"><th>g</th><td><a>h</a>\n<a>i</a></td></tr>\n</tbody>\n'
        "</table>\n<p>j\nk <b>l</b>\n<i>m</i>\n</p>\n<pre>n\n  o\n</pre>\n</body>\n"
    )
    script = """const said = (a) => a.name + a.value;
      const tree = (one) => [one.tagName, [...one.attributes].map(said), one.innerText,
        [...one.children].map(tree)];
      return tree(document.body);"""
    found = []
    for name, text in (("wide", page), ("compact", compact(page))):
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        browser.get((tmp_path / f"{name}.html").as_uri())
        found.append(browser.execute_script(script))
    assert found[0] == found[1]
    assert len(compact(page)) < 0.8 * len(page)


@pytest.mark.slow
def test_a_page_of_a_thousand_runs_opens_in_a_second(opened, site, tmp_path, browser):
    """1,000 records of one method, without predictions and curves: the table is what is big."""
    layout = Layout(results=tmp_path / "r", resources=tmp_path / "d", site=tmp_path / "s")
    suite = make_suite("large", seeds=range(1000))
    suite = suite.model_copy(update={"methods": {"full": suite.methods["full"]}})
    run = read_record(site.layout.run("tiny", "full", 1).result, Result)
    for seed in suite.seeds:
        record = run.model_copy(update={"suite": "large", "seed": seed})
        write_record(layout.run("large", "full", seed).result, record)
    claims = Claims(suite="large", evaluated_on="validation", claims=(), estimates=())
    write_record(layout.claims_json("large"), claims)
    render([suite], layout)
    browser.get((layout.site / "large/index.html").as_uri())
    assert len(column(browser, "runs", "seed")) == 1000
    took = browser.execute_script(
        "const t = performance.timing; return t.domInteractive - t.navigationStart"
    )
    assert took < 1000
