"""A part of a suite, by families: the same runs, fewer of them."""

from __future__ import annotations

import pytest
from tests.helpers.matrix import ROWS
from tests.helpers.project import ROOT
from wsa.errors import InputError
from wsa.suite.load import load_suite
from wsa.suite.settings import choose_suites, read_settings
from wsa.suite.tuning import trials_of

CONFIG = ROOT / "config"


def test_a_family_keeps_its_methods_the_controls_and_what_is_said_of_them():
    suite = load_suite("minilm-l6_movie-snippets", CONFIG)
    part = suite.only(["lora", "spectral"])
    assert set(part.methods) == {"majority", "head_only", "lora", "spectral_a"}
    assert [claim.id for claim in part.claims] == ["spectral-beats-lora"]
    assert set(suite.only(["wsa"]).methods) == {"majority", "head_only", "wsa", "wsa_direction"}


def test_what_is_left_out_moves_no_run_of_what_stays():
    """Same configuration, and factors decomposed at the rank that the left-out ones ask for."""
    suite = load_suite("minilm-l6_movie-snippets", CONFIG)
    part = suite.only(["spectral"])
    assert part.largest_rank == suite.largest_rank == 16 > part.methods["spectral_a"].rank
    assert part.run_digest("spectral_a") == suite.run_digest("spectral_a")
    tuned = load_suite("minilm-l6_tuned", CONFIG)
    trials = trials_of(tuned.only(["spectral"]))
    assert trials.largest_rank == 16
    assert trials.run_digest("spectral_a.1") == trials_of(tuned).run_digest("spectral_a.1")


def test_the_workflow_runs_the_families_that_are_asked_for(tmp_path):
    raw = {"suites": "minilm-l6_zoo", "families": ["sparse"], "folders": {"config": str(CONFIG)}}
    (suite,), _, _ = choose_suites(read_settings(raw), elsewhere=True)
    assert set(suite.methods) == {"majority", "head_only", "shira", "super_tuning"}
    for change, problem in (
        ({"families": ["spares"]}, "did you mean 'sparse'"),
        ({"suites": "minilm-l6_domains"}, "narrows suites, and not collections"),
    ):
        with pytest.raises(InputError, match=problem):
            choose_suites(read_settings(raw | change), elsewhere=True)


def test_the_zoo_has_every_row_that_works_each_with_eight_trials():
    suite = load_suite("minilm-l6_zoo", CONFIG)
    adapters = [method.adapter for method in suite.methods.values()]
    # of LoRA and ours the suite that it extends has the rows, with further arguments
    missing = [
        row.name
        for row in ROWS
        if not row.refused and not any(a and row.adapter.items() <= a.items() for a in adapters)
    ]
    assert missing == []
    assert suite.tuning.trials == 8 and len(suite.seeds) == 3
    assert {method.family for method in suite.methods.values()} >= {"lora", "spectral", "wsa"}
    assert all(m.tune for m in suite.methods.values() if m.kind != "majority")
