"""What the pages weigh, and what each further run adds."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.helpers.project import ROOT
from tests.helpers.results import make_results, many_methods
from wsa.cli import main
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render


def weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_further_run_weighs_little(tmp_path):
    """A run is a section of its method's page, a row, a line of an archive: no page of its own."""
    sizes = []
    for seeds in (2, 6):
        layout = Layout(results=tmp_path / f"r{seeds}", site=tmp_path / f"s{seeds}")
        suite, accuracy = many_methods(methods=6, seeds=seeds)
        make_results(layout, suite, accuracy, sentences=400)
        aggregate(suite, layout)
        render([suite], layout)
        sizes.append(weight(layout.site) / len(suite.methods))
    assert (sizes[1] - sizes[0]) / 4 < 5_000


@pytest.mark.slow
def test_the_published_pages_weigh_less_than_six_megabytes(tmp_path):
    """By the README's own command; twice the time is allowed: processors differ."""
    command = re.search(
        r"^wsa --results published (site .*)$", (ROOT / "README.md").read_text(), re.M
    )
    roots = [f"--{name}={ROOT / name}" for name in ("config", "resources")]
    begin = time.process_time()
    published, site = ROOT / "published", tmp_path / "site"
    assert main([*roots, f"--results={published}", f"--site={site}", *command[1].split()]) == 0
    assert time.process_time() - begin < 2 * 12
    assert weight(site) < 6_000_000
    assert max(path.stat().st_size for path in site.rglob("*.html")) < 350_000
