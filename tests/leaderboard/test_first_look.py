"""What a reader sees first and on a small screen, in a real browser, on published results.

Needs Debian's packages chromium and chromium-driver; skipped where they are missing.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from tests.helpers.project import ROOT
from tests.leaderboard.accessibility import graves
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.literature.reading import read_literature
from wsa.suite.load import load_suites

MEASURED, ASKED = "minilm-l6_films", "deberta-v3-base_sst2"
PAGES = ("index.html", f"{MEASURED}/index.html", f"{ASKED}/index.html",
         f"{MEASURED}/methods/wsa.html",
         "reading.html", "literature/methods/lora.html")  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The site of one published suite and of the question's own, which is not measured."""
    layout = Layout(results=ROOT / "published", site=tmp_path_factory.mktemp("published"))
    suites, _ = load_suites([MEASURED, ASKED], ROOT / "config")
    render(suites, layout, (), read_literature(Layout(config=ROOT / "config")))
    return layout.site


@pytest.fixture
def screen(browser):
    """Open a page on a screen of a width and a height; undone afterwards."""

    def opened(page: Path, width: int, height: int = 800):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.as_uri())
        return browser

    yield opened
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def bottom(browser, element) -> float:
    script = "return arguments[0].getBoundingClientRect().bottom + scrollY"
    return browser.execute_script(script, element)


# the second with wide letters too, where a machine has no others
@pytest.mark.parametrize(("width", "height", "within"), [(1440, 900, 900), (390, 844, 1450)])
def test_the_answer_stands_on_the_first_screen(published, screen, width, height, within):
    page = screen(published / "index.html", width, height)
    claimed = page.find_elements("css selector", ".claimed tbody td:nth-child(2)")
    assert [cell.text for cell in claimed][:3] == ["≈ 94.3", "≈ 93.7", "≈ 93.0"]
    drawn = [one for one in page.find_elements("css selector", ".first figure svg")
             if one.is_displayed()]  # fmt: skip
    lede = page.find_element("css selector", ".lede")
    assert len(drawn) == 1 and "undecided" in lede.text
    for element in (page.find_element("tag name", "h1"), lede, *claimed, *drawn):
        assert element.is_displayed() and bottom(page, element) <= within
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


CUT = """
const style = document.createElement('style');  // a bar of the browser's would hide the edge
style.textContent = '::-webkit-scrollbar { display: none }';
document.head.append(style);
for (const one of document.querySelectorAll('main details')) one.open = !one.closest('.controls');
return [...document.querySelectorAll('.scroll')].filter((box) =>
  box.checkVisibility() && box.scrollWidth > box.clientWidth + 14)  // less hides no column
"""


def edge(browser, box) -> tuple[float, float]:
    """The brightness, 0 to 255, of the paper at the right edge of `box`, and 30 pixels inside."""
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(box.screenshot_as_base64))).convert("L")
    pixels = np.asarray(image, dtype=float)
    return float(np.median(pixels[:, -3:])), float(np.median(pixels[:, -40:-30]))


@pytest.mark.parametrize(
    ("pages", "width", "scheme"),
    [(PAGES, 360, "light"), (PAGES, 768, "light"), ((PAGES[0], PAGES[3]), 360, "dark")],
    ids=["phone", "tablet", "dark phone"],
)
def test_no_column_is_hidden_without_a_cue(published, screen, pages, width, scheme):
    found = 0
    for path in pages:
        page = screen(published / path, width)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        assert page.execute_script("return document.documentElement.scrollWidth") <= width, path
        for box in page.execute_script(CUT):
            at_edge, inside = edge(page, box)
            assert abs(at_edge - inside) > 25, (path, box.get_attribute("aria-label"))
            found += 1
            page.execute_script("arguments[0].scrollLeft = 1e6", box)
            at_edge, inside = edge(page, box)
            assert abs(at_edge - inside) < 25, "at the end there is no more"
    assert found or width == 768, "nothing was cut, so nothing was tested"


@pytest.mark.parametrize("path", ["index.html", f"{MEASURED}/index.html"])
@pytest.mark.parametrize("width", [360, 390, 768, 1024])
def test_a_small_screen_shows_every_column_of_what_is_looked_at_first(
    published, screen, width, path
):
    page = screen(published / path, width)
    cells = page.execute_script(
        """return [...document.querySelectorAll('.claimed, .leaderboard')]
          .flatMap((table) => [...table.querySelectorAll('tbody tr:first-child > *')])
          .filter((cell) => !cell.hidden).map((cell) => cell.getBoundingClientRect())"""
    )
    assert cells and all(cell["left"] >= 0 and cell["right"] <= width + 1 for cell in cells)
    row = page.find_element("css selector", ".leaderboard tbody tr")
    heads = page.execute_script(
        """return [...arguments[0].cells].slice(1).filter((cell) => !cell.hidden)
          .map((cell) => getComputedStyle(cell, '::before').content)""",
        row,
    )
    assert all(re.fullmatch(r'".+"', head) for head in heads) and len(heads) == 9


def test_the_whole_leaderboard_fits_with_wide_letters(published, screen):
    page = screen(published / "index.html", 1440, 900)
    page.execute_script("document.documentElement.style.setProperty('--sans', 'DejaVu Sans')")
    box = page.find_element("css selector", ".scroll:has(> .leaderboard)")
    wide, shown = page.execute_script(
        "return [arguments[0].scrollWidth, arguments[0].clientWidth]", box
    )
    assert wide <= shown


# as wide as a desk's, the same templates are looked at in test_browser.py, their colours too
@pytest.mark.parametrize(("path", "width"), [*((path, 360) for path in PAGES), (PAGES[0], 1440)])
def test_axe_finds_nothing_with_targets_of_24_pixels(published, screen, axe, path, width):
    contrast = None if path == PAGES[0] else False
    assert not graves(screen(published / path, width), axe, contrast=contrast)


def test_a_card_still_sorts(published, screen):
    page = screen(published / "index.html", 390, 844)
    page.find_element("css selector", ".leaderboard th[data-column=kept] button").click()
    kept = [float(cell.get_attribute("data-value")) for cell in
            page.find_elements("css selector", "td[data-head='Parameters kept']")]  # fmt: skip
    assert kept == sorted(kept) and len(kept) == 14


def fonts_of_pages(pdf: bytes) -> list[set[str]]:
    """The fonts that each page of a PDF is set in, as Chromium's PDF writer names them."""
    objects = dict(re.findall(rb"(?s)(\d+) 0 obj\n(.*?)endobj", pdf))
    pages = []
    for body in objects.values():
        if re.search(rb"/Type /Page\b(?!s)", body):
            own = re.search(rb"(?s)/Font\s*<<(.*?)>>", body)
            used = [objects[number] for number in re.findall(rb"(\d+) 0 R", own[1])]
            names = {re.search(rb"/BaseFont /(?:\w+\+)?([\w-]+)", font)[1].decode()
                     for font in used}  # fmt: skip
            pages.append(names)
    return pages


def test_print_keeps_the_heads_of_tables_and_names_the_site(published, screen):
    """A long table alone, its heads in one font and its rows in another; the page's own head is
    in a third, and pages are not numbered.
    """
    page = screen(published / f"{MEASURED}/index.html", 1440)
    page.execute_script(
        """const table = document.getElementById('runs'), body = table.tBodies[0];
        for (let i = 0; i < 4; i++)
          body.append(...[...body.rows].map((row) => row.cloneNode(true)));
        for (const child of document.body.children) if (!child.contains(table)) child.hidden = true;
        for (const child of document.getElementById('content').children)
          if (!child.contains(table)) child.hidden = true;
        const style = document.createElement('style');
        style.textContent = '@page { @bottom-right { content: none } }'
          + ' html { font-family: "DejaVu Serif" !important }'
          + ' body * { font-family: "DejaVu Sans" !important }'
          + ' thead * { font-family: "DejaVu Sans Mono" !important }';
        document.head.append(style);"""
    )
    printed = page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pages = fonts_of_pages(base64.b64decode(printed["data"]))
    assert len(pages) >= 3
    for fonts in pages:
        assert any(name.startswith("DejaVuSansMono") for name in fonts), "no head of the table"
        assert any(name.startswith("DejaVuSerif") for name in fonts), "no head of the page"
