"""The pages, without a browser: what they say, where their links lead, how they treat text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.fake_results import make_results, make_suite
from wsa.layout import Layout
from wsa.leaderboard import render

ACCURACY = {
    "full": 95.0,
    "lora": 93.0,
    "spectral_a": 93.7,
    "wsa": {"unpruned": 94.3, "pruned": 80.0, "gate_only": 94.0},
    "head_only": 83.0,
    "majority": 51.0,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    layout = Layout(results=folder / "results", resources=folder / "res", site=folder / "site")
    suite = make_suite()
    make_results(layout, suite, ACCURACY)
    render([suite], layout)
    return layout.site


class _Links(HTMLParser):
    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links += [values[key] for key in ("href", "src") if values.get(key)]
        if values.get("id"):
            self.ids.append(values["id"])


def test_every_link_leads_to_a_file_of_the_site(site):
    pages = {page: _Links(page) for page in site.rglob("*.html")}
    assert len(pages) > 2
    for page, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme in ("https", "data"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), f"{page}: {link}"
            assert target.is_relative_to(site.resolve())
            if parts.fragment and target.suffix == ".html" and "=" not in parts.fragment:
                ids = pages[next(p for p in pages if p.resolve() == target.resolve())].ids
                assert parts.fragment in ids, f"{page}: {link}"
