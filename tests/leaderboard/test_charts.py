"""The pictures in a real browser: read in both schemes and on a phone, chosen, pointed at."""

from __future__ import annotations

import json
import re
import struct

import pytest
from tests.helpers.results import make_suite
from tests.leaderboard.page import Page
from tests.leaderboard.tasks import make
from tests.leaderboard.waiting import until
from wsa.layout import Layout
from wsa.leaderboard.plots.hero import hero
from wsa.leaderboard.plots.parts.intervals import Bar, intervals
from wsa.leaderboard.plots.parts.pictures import Mark, marks_of
from wsa.leaderboard.results import read_suite
from wsa.leaderboard.view import SuiteView

# Every visible text of every picture: its words, its size on the screen, its contrast with what is
# painted behind it (WCAG 2.2: relative luminance), and its box.
TEXTS = """
const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number);
  return [n.slice(0, 3), n[3] ?? 1]; };
const over = (top, share, under) => top.map((c, i) => share * c + (1 - share) * under[i]);
const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
  return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b; };
const opacity = (e) => { let share = 1; for (; e && e.tagName !== 'svg'; e = e.parentElement)
  share *= Number(getComputedStyle(e).opacity); return share; };
const found = [];
for (const d of document.querySelectorAll('details')) d.open = true;
for (const svg of document.querySelectorAll('figure svg')) {
  if (!svg.getClientRects().length || svg.closest('[hidden]')) continue;
  svg.scrollIntoView({block: 'center'});
  const shapes = [...svg.querySelectorAll('path, rect, circle')];
  for (const text of svg.querySelectorAll('text')) {
    const box = text.getBoundingClientRect();
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    let behind = parse(getComputedStyle(document.body).backgroundColor)[0];
    if (!text.classList.contains('halo')) for (const shape of shapes) {
      const fill = getComputedStyle(shape).fill;
      if (fill === 'none' || !(shape.compareDocumentPosition(text) & 4)) continue;
      const point = new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse());
      if (!shape.isPointInFill(point)) continue;
      const [colour, share] = parse(fill);
      behind = over(colour, share * opacity(shape), behind);
    }
    const [colour, share] = parse(getComputedStyle(text).fill);
    const [a, b] = [light(over(colour, share * opacity(text), behind)), light(behind)];
    const scale = text.getScreenCTM().a || Math.abs(text.getScreenCTM().b);
    found.push({figure: svg.closest('figure').id, words: text.textContent,
      contrast: (Math.max(a, b) + .05) / (Math.min(a, b) + .05),
      size: parseFloat(getComputedStyle(text).fontSize) * scale,
      named: text.getAttribute('font-weight') === '600',
      box: [box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY],
      page: document.documentElement.clientWidth});
  }
}
return found;
"""


def texts(browser, url: str, width: int, scheme: str) -> list[dict]:
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get("about:blank")
    browser.get(url)
    found = browser.execute_script(TEXTS)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("path", ["tiny/index.html", "tiny/methods/wsa.html"])
def test_the_words_of_pictures_can_be_read(browser, site, path, width, scheme):
    found = texts(browser, site.url(path), width, scheme)
    assert len(found) > 20
    pale = [(t["figure"], t["words"], t["contrast"]) for t in found if t["contrast"] < 4.5]
    assert not pale
    small = [(t["figure"], t["words"], t["size"]) for t in found if t["size"] < 10.5]
    assert not small
    cut = [(t["figure"], t["words"]) for t in found
           if t["box"][0] < -0.5 or t["box"][2] > t["page"] + 0.5]  # fmt: skip
    assert not cut


@pytest.mark.parametrize("width", [1440, 390])
def test_names_in_pictures_do_not_lie_over_each_other(browser, site, width):
    found = texts(browser, site.url("tiny/index.html"), width, "light")
    for picture in ("hero-tiny", "accuracy-parameters", "learning"):
        boxes = [t for t in found if t["figure"] == picture]
        assert sum(t["named"] for t in boxes) >= (4 if picture != "learning" else 0)
        for i, one in enumerate(boxes):
            for other in boxes[i + 1 :]:
                a, b = one["box"], other["box"]
                across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
                assert across <= 1 or down <= 4, (picture, one["words"], other["words"])


def test_a_cost_is_chosen_and_the_address_carries_it(browser, site):
    browser.get("about:blank")
    browser.get(site.url("tiny/index.html"))

    def shown() -> list[str]:
        figures = browser.find_elements("css selector", "#pictures-costs ~ .side-by-side > figure")
        costs = [f for f in figures if f.get_attribute("id").startswith("accuracy-")]
        return [f.get_attribute("id") for f in costs if f.is_displayed()]

    assert "accuracy-parameters" in shown() and "accuracy-memory" not in shown()
    for button in browser.find_elements("css selector", ".choice button"):
        if button.text == "Peak memory":
            browser.execute_script("arguments[0].click()", button)
    assert "accuracy-memory" in shown() and "accuracy-parameters" not in shown()
    address = browser.current_url
    browser.get("about:blank")
    browser.get(address)
    assert "accuracy-memory" in shown() and "accuracy-parameters" not in shown()


def test_a_mark_says_its_numbers_to_whoever_points_at_it(browser, site):
    browser.get("about:blank")
    browser.get(site.url("tiny/index.html"))
    said = browser.execute_script(
        """const mark = document.querySelector(
          '#accuracy-parameters svg.for-wide g path[transform]');
        mark.scrollIntoView({block: 'center'});
        const box = mark.getBoundingClientRect();
        mark.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true,
          clientX: box.left + 3, clientY: box.top + 3}));
        const tip = document.querySelector('.tip');
        return [tip.hidden, tip.textContent];"""
    )
    assert said[0] is False
    assert "\nn: 3" in said[1] and "\naccuracy, %: " in said[1] and "\nparameters kept: " in said[1]


def test_the_image_for_links_has_the_size_they_are_shown_with(site):
    data = site.layout.hero("tiny").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (1200, 630)
    assert not site.layout.hero("unmeasured").exists()


def test_a_method_that_does_not_prune_has_no_arrow(site):
    table = Page(site.layout.suite_page("tiny")).table("What pruning does")[1:]
    states: dict[str, list[str]] = {}
    for row in table:
        states.setdefault(row[0], []).append(row[1])
    assert states["WSA r=16"] == ["as trained", "pruned"]
    assert sorted(map(tuple, states.values())).count(("–",)) == len(states) - 1
    records = json.loads(site.layout.tables_json("tiny").read_text())
    kept = {m["method"]: m["parameters_kept"] for m in records["methods"]}
    pruned = next(row for row in table if row[1] == "pruned")
    assert float(pruned[2].replace(",", "")) == round(kept["wsa"])


def test_the_claimed_band_is_where_the_claims_apply(site, pairs):
    own = site.layout.suite_page("tiny").read_text()
    assert "claimed: 94.3" in own
    assert "claimed:" not in pairs.source("index.html").partition("</figure>")[0]


def test_a_picture_of_errors_and_of_nothing(numbers):
    (picture,) = hero(
        SuiteView(read_suite(numbers.suite, numbers.layout), marks_of([numbers.suite]))
    )
    assert "Less is better" in picture.caption and "mean squared error" in picture.title
    empty = make_suite("empty")
    assert hero(SuiteView(read_suite(empty, Layout()), marks_of([empty]))) == []


def test_intervals_wider_than_the_differences_are_seen_to_end():
    bars = [Bar(Mark(str(i), "ink"), "", i / 10, i / 10 - 2, i / 10 + 2) for i in range(5)]
    bars.append(Bar(Mark("two seeds", "ink"), "", 0.2, -50.0, 50.0))
    drawn = str(intervals("gaps", "Gaps", "", bars, "points", zero=True).drawing)
    ends = [
        (float(x1), float(x2)) for x1, x2 in re.findall(r'x1="([\d.]+)%" x2="([\d.]+)%"', drawn)
    ]
    for near, (start, end) in enumerate(ends[:-1]):
        assert 0 < start < end < 100, near
    assert drawn.count("path d=") == 2, "the widest alone leaves the picture, on both sides"


def test_a_step_within_noise_is_not_on_the_front(tmp_path):
    close = make(tmp_path, "close", {"full": 93.1, "lora": 93.0, "head_only": 75.0})
    table = close.page("index.html").table("Parameters")[1:]
    front = {row[0]: row[-1] for row in table}
    titles = {name: m.title for name, m in close.suite.methods.items()}
    assert front[titles["head_only"]] == "yes" and front[titles["lora"]] == "yes"
    assert front[titles["full"]] == "no"


def test_a_method_looks_alike_whatever_stands_beside_it():
    suite = make_suite("one")
    turned = suite.model_copy(
        update={"name": "two", "methods": dict(reversed(suite.methods.items()))}
    )
    alone = {n: (m.variable, m.marker) for n, m in marks_of([suite]).items()}
    for suites in ([turned], [turned, suite], [suite, turned]):
        assert {n: (m.variable, m.marker) for n, m in marks_of(suites).items()} == alone
    drawn = [look for name, look in alone.items() if suite.methods[name].kind not in
             ("majority", "head_only")]  # fmt: skip
    assert len({colour for colour, _ in drawn}) == len(drawn)


def test_two_rows_are_chosen_and_put_side_by_side(browser, site):
    browser.get("about:blank")
    browser.get(site.url("tiny/index.html"))
    for key in ("head_only.unpruned", "wsa.pruned"):
        box = browser.find_element("css selector", f"th[data-compare='{key}'] input")
        browser.execute_script("arguments[0].click()", box)
    browser.find_element("css selector", ".compare-bar a").click()
    assert browser.current_url.endswith("tiny/compare.html?a=head_only.unpruned&b=wsa.pruned")
    section = browser.find_element("id", "pair")
    until(section.is_displayed)
    records = json.loads(site.layout.tables_json("tiny").read_text())["comparisons"]
    (pair,) = [
        p for p in records
        if {(p["method_a"], p["state_a"]), (p["method_b"], p["state_b"])}
        == {("head_only", "unpruned"), ("wsa", "pruned")}
    ]  # fmt: skip
    turn = 1 if pair["method_a"] == "head_only" else -1
    ends = sorted(turn * pair["interval"][end] for end in ("low", "high"))
    said = section.text.replace("−", "-")
    assert f"{turn * pair['difference']:+.2f} points" in said
    assert f"{ends[0]:+.2f} to {ends[1]:+.2f}, n = 3 seeds" in said
    assert "wsa sentences tiny head_only wsa" in section.text
    link = section.find_elements("css selector", "li a")[0]
    count = int(link.text.split()[0])
    link.click()
    until(lambda: browser.find_elements("css selector", "#sentences tbody tr"))
    rows = browser.find_elements("css selector", "#sentences tbody tr")
    assert sum(row.is_displayed() for row in rows) == count


@pytest.fixture
def explore(browser, site):
    """Open the page, with what its address says."""

    def get(fragment: str = ""):
        browser.get("about:blank")
        browser.get(site.url("explore.html") + (f"#{fragment}" if fragment else ""))
        return browser

    return get


def shown(browser) -> list[list[str]]:
    """The cells of the rows that are listed."""
    return browser.execute_script(
        """return [...document.querySelectorAll('#explore tbody tr')].filter((row) => !row.hidden)
          .map((row) => [...row.cells].map((cell) => cell.textContent.trim()));"""
    )


def test_what_is_explored_is_in_the_address(explore):
    page = explore()
    assert len(shown(page)) == 5 and {row[2] for row in shown(page)} == {"–", "pruned"}
    box = page.find_element("css selector", "input[name=methods][value=lora]")
    box.send_keys(" ")  # the keyboard is enough
    page.execute_script(
        """const form = document.getElementById('explore-controls');
        form.cost.value = 'memory'; form.states.value = 'all';
        form.cost.dispatchEvent(new Event('change', {bubbles: true}));"""
    )
    rows = shown(page)
    assert len(rows) == 6 and "gates pruned" in {row[2] for row in rows}
    address = page.current_url
    assert explore(address.split("#")[1]).current_url == address
    assert shown(page) == rows
    marks = page.find_elements("css selector", "#explore-pictures g[data-tip]")
    assert len(marks) == len(rows)
    assert "Peak memory" in marks[0].get_attribute("data-tip")
    page.find_element("css selector", "button[type=reset]").click()
    assert len(shown(page)) == 5 and "#" not in page.current_url


def test_without_scripts_every_row_is_listed(explore, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        explore()
        rows = browser.find_elements("css selector", "#explore tbody tr")
        assert len(rows) == 7 and all(row.is_displayed() for row in rows)
        assert not browser.find_element("id", "explore-controls").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
