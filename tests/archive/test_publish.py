"""What a repository carries of a suite: enough to compare with, and to make its pages from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.helpers.results import make_results, make_suite
from wsa.archive.publish import publish
from wsa.errors import InputError
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.records.record import read_record, write_record
from wsa.records.run import Result


@pytest.fixture
def suite():
    return make_suite("tiny", seeds=[1, 2])


@pytest.fixture
def layout(tmp_path, suite):
    layout = Layout(results=tmp_path / "results", site=tmp_path / "site")
    accuracy = {"lora": 93.0, "wsa": {"unpruned": 94.3, "pruned": 80.0, "gate_only": 94.0}}
    rest = {name: 90.0 for name in suite.methods if name not in accuracy}
    make_results(layout, suite, accuracy | rest, sentences=60)
    aggregate(suite, layout)
    return layout


def pages(layout: Layout) -> dict[str, bytes]:
    # a page says how its run is made again: where the workflow puts it
    return {
        str(path.relative_to(layout.site)): path.read_bytes().replace(
            str(layout.results).encode(), b"results"
        )
        for path in sorted(layout.site.rglob("*"))
        if path.is_file()
    }


def test_the_published_part_gives_the_same_pages(suite, layout, tmp_path):
    publish(suite, layout, tmp_path / "published", allow_dirty=True)
    copy = replace(layout, results=tmp_path / "published", site=tmp_path / "site-of-copy")
    for one in (layout, copy):
        render([suite], one)
    assert pages(copy) == pages(layout)
    assert len(pages(copy)) > len(suite.runs())


def test_no_weights_are_published(suite, layout, tmp_path):
    folder = publish(suite, layout, tmp_path / "published", allow_dirty=True)
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".csv", ".md", ".parquet"}


def test_a_run_of_uncommitted_code_is_refused(suite, layout, tmp_path):
    path = layout.run("tiny", "lora", 1).result
    result = read_record(path, Result)
    provenance = result.provenance
    environments = {
        stage: where.model_copy(update={"git_clean": False})
        for stage, where in provenance.environments.items()
    }
    provenance = provenance.model_copy(update={"environments": environments})
    write_record(path, result.model_copy(update={"provenance": provenance}))
    with pytest.raises(InputError, match=f"uncommitted changes(?s:.*){path}|{path}(?s:.*)uncomm"):
        publish(suite, layout, tmp_path / "published")
    assert not (tmp_path / "published").exists() or not any((tmp_path / "published").iterdir())
