"""A tiny suite that has run from its sources to its page, once for all tests of the harness."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.helpers.project import edit_yaml, make_project, prepare
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.stages.check import check_method
from wsa.stages.evaluate import evaluate
from wsa.stages.prune import prune
from wsa.stages.train import train
from wsa.suite.load import load_suite

CLAIM = {
    **{"id": "wsa-lora", "kind": "order", "better": "wsa", "worse": "lora"},
    **{"sentence": "WSA beats LoRA.", "source": "nobody"},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The project; not to be changed."""
    project = make_project(
        tmp_path_factory.mktemp("finished"), methods=["majority", "full", "lora", "wsa"]
    )
    edit_yaml(project / "config/suites/tiny.yaml", claims=[CLAIM], question="Does it?")
    suite, layout = prepare(project)
    layout = Layout(layout.config, layout.resources, layout.results, project / "site")
    for method, seed in suite.runs():
        check_method(suite, method, layout)
        train(suite, method, seed, layout)
        if suite.method(method).gated:
            prune(suite, method, seed, layout)
        evaluate(suite, method, seed, layout)
        if suite.method(method).kind == "full":  # as the workflow does
            shutil.rmtree(layout.run(suite.name, method, seed).trained)
    aggregate(suite, layout)
    render([suite], layout)
    return project


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A copy of the finished project to spoil."""
    shutil.copytree(finished, tmp_path / "project")
    for kind in ("models", "data"):
        path = tmp_path / f"project/config/{kind}/tiny.yaml"
        path.write_text(path.read_text().replace(str(finished), str(tmp_path / "project")))
    return tmp_path / "project"


@pytest.fixture
def suite(project):
    return load_suite("tiny", project / "config")


@pytest.fixture
def layout(project) -> Layout:
    return Layout(*(project / root for root in ("config", "resources", "results", "site")))
