"""What several tests share."""

from __future__ import annotations

import compileall
import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several: a core each, also for what a test starts
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_sessionstart(session):
    """Compiled files for the copies of the project, whether or not Python writes them by itself."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        compileall.compile_dir(Path(__file__).parents[1] / "wsa", quiet=2)


def pytest_collection_modifyitems(items):
    """Files with workflows first: of two workers, neither is left alone with minutes of one."""
    files = {item.path for item in items if item.get_closest_marker("workflow")}
    items.sort(key=lambda item: item.path not in files)


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """A tiny suite whose seed 0 of `lora` and `wsa` is trained, pruned and evaluated.

    Returns:
        (suite, layout), to read only.
    """
    from tests.helpers.project import SUITE, make_project
    from wsa.layout import Layout
    from wsa.sources import fetch_data, fetch_model
    from wsa.stages.evaluate import evaluate
    from wsa.stages.prune import prune
    from wsa.stages.tokenise import tokenise
    from wsa.stages.train import train
    from wsa.suite.load import load_suite

    folder = make_project(tmp_path_factory.mktemp("project"), methods=["majority", "lora", "wsa"])
    layout = Layout(*(folder / name for name in ("config", "resources", "results", "site")))
    suite = load_suite(SUITE, layout.config)
    fetch_model(suite.model, layout)
    fetch_data(suite.data, layout)
    tokenise(suite.model, suite.data, layout)
    for method in ("lora", "wsa"):
        train(suite, method, 0, layout)
        if suite.method(method).gated:
            prune(suite, method, 0, layout)
        evaluate(suite, method, 0, layout)
    return suite, layout
