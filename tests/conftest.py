"""What several tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """A tiny suite whose seed 0 of `lora` and `wsa` is trained, pruned and evaluated.

    Returns:
        (suite, layout), to read only.
    """
    from wsa.evaluation import evaluate
    from wsa.layout import Layout
    from wsa.pruning import prune
    from wsa.sources import fetch_data, fetch_model
    from wsa.suite import load_suite
    from wsa.tokens import tokenise
    from wsa.training import train

    from tiny_project import SUITE, make_project

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
