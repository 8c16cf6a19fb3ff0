"""Three clones of one project: this one, and two whose owners submit to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.helpers.project import make_project, prepare, write_yaml
from tests.helpers.submissions import CARD, edit, on_other_hardware
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.records.submission import Card
from wsa.stages.evaluate import evaluate
from wsa.stages.prune import prune
from wsa.stages.train import train
from wsa.submissions.submit import submit
from wsa.suite.load import load_suite

OWN = {
    "title": "DoRA <script>alert(1)</script>",
    "adapter": {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_dora": True},
    "learning_rate": 5.0e-3,
}


def layout_of(project: Path) -> Layout:
    roots = ("config", "resources", "results", "site", "submissions")
    return Layout(*(project / root for root in roots))


def run(suite, method: str, layout: Layout) -> None:
    for seed in suite.seeds:
        train(suite, method, seed, layout)
        if suite.method(method).gated:
            prune(suite, method, seed, layout)
        evaluate(suite, method, seed, layout)


@pytest.fixture(scope="session")
def clones(tmp_path_factory) -> dict[str, Layout]:
    """`here`, with its own runs; `ada`, whose machine is another; `bob`, with a method of his own.

    Not to be changed.
    """
    folder = tmp_path_factory.mktemp("clones")
    here = make_project(folder / "here", methods=["majority", "head_only", "lora", "wsa"])
    suite, _ = prepare(here)
    layouts = {"here": layout_of(here)}
    for method in suite.methods:
        run(suite, method, layouts["here"])
    aggregate(suite, layouts["here"])
    for name in ("ada", "bob"):
        shutil.copytree(here, folder / name)
        layouts[name] = layout_of(folder / name)
    for record in layouts["ada"].results.rglob("result.json"):
        edit(record, on_other_hardware)
    mine = layouts["bob"].config / "suites/mine.yaml"
    write_yaml(mine, name="mine", extends="tiny", title="Mine", methods={"dora": OWN})
    suite = load_suite("mine", layouts["bob"].config)
    for method in ("majority", "head_only", "dora"):
        run(suite, method, layouts["bob"])
    return layouts


@pytest.fixture(scope="session")
def archives(clones, tmp_path_factory) -> dict[str, Path]:
    """What `ada` and `bob` submit."""
    folder = tmp_path_factory.mktemp("archives")
    ada, bob = clones["ada"], clones["bob"]
    made = {}
    made["ada"], _ = submit(
        load_suite("tiny", ada.config), ada, Card(**CARD), destination=folder / "ada.zip"
    )
    made["bob"], _ = submit(
        load_suite("mine", bob.config), bob, Card(**CARD | {"who": "Bob"}), ["dora"], "tiny",
        folder / "bob.zip",
    )  # fmt: skip
    return made


@pytest.fixture
def here(clones, tmp_path) -> Layout:
    """This project, with nothing admitted yet; its own runs are not to be changed."""
    return Layout(
        clones["here"].config, clones["here"].resources, clones["here"].results,
        tmp_path / "site", tmp_path / "submissions",
    )  # fmt: skip
