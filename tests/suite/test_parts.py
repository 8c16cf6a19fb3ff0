"""A part of a suite, by methods or families of them: the same runs, fewer of them."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations

import pytest
import yaml
from tests.helpers.literature import make_literature
from tests.helpers.matrix import ROWS
from tests.helpers.project import ROOT, edit_yaml, make_project, snakemake
from tests.helpers.results import make_results, make_suite
from wsa.cli import main
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.suite.load import load_suite
from wsa.suite.settings import choose_suites, read_settings
from wsa.suite.tuning import trials_of

CONFIG = ROOT / "config"


def test_a_family_keeps_its_methods_the_controls_and_what_is_said_of_them():
    suite = load_suite("minilm-l6_movie-snippets", CONFIG)
    part = suite.only(["lora", "spectral"])
    assert set(part.methods) == {"majority", "head_only", "lora", "spectral_a"}
    assert [claim.id for claim in part.claims] == ["spectral-beats-lora"]
    ours = {"wsa", "wsa_direction", "wsa_budget"}
    assert set(suite.only(["wsa"]).methods) == {"majority", "head_only"} | ours
    one = suite.only(["lora"], ["wsa_direction"])
    assert set(one.methods) == {"majority", "head_only", "lora", "wsa_direction"}


def test_what_is_left_out_moves_no_run_of_what_stays():
    """Same configuration, and factors decomposed at the rank that the left-out ones ask for."""
    suite = load_suite("minilm-l6_movie-snippets", CONFIG)
    part = suite.only(["spectral"])
    assert part.largest_rank == suite.largest_rank == 16 > part.methods["spectral_a"].rank
    assert part.run_digest("spectral_a") == suite.run_digest("spectral_a")
    tuned = load_suite("minilm-l6_budget_films", CONFIG)
    trials = trials_of(tuned.only(["spectral"]))
    assert trials.largest_rank == 16
    assert trials.run_digest("spectral_a.1") == trials_of(tuned).run_digest("spectral_a.1")


def test_the_workflow_runs_the_methods_that_are_asked_for(tmp_path):
    raw = {
        "suites": "minilm-l6_zoo",
        "families": ["sparse"],
        "methods": ["lora_xs"],
        "folders": {"config": str(CONFIG)},
    }
    (suite,), _, _ = choose_suites(read_settings(raw), elsewhere=True)
    assert set(suite.methods) == {"majority", "head_only", "shira", "super_tuning", "lora_xs"}
    (whole,), _, _ = choose_suites(
        read_settings(raw | {"families": None, "methods": None}), elsewhere=True
    )
    assert list(whole.methods) == list(load_suite("minilm-l6_zoo", CONFIG).methods)
    suites, (collection,), _ = choose_suites(
        read_settings(raw | {"suites": "minilm-l6_zoo_domains"}), elsewhere=True
    )
    assert len(suites) == len(collection.suites)
    assert {tuple(one.methods) for one in suites} == {tuple(suite.methods)}
    for change, meant in (({"families": ["spares"]}, "sparse"), ({"methods": ["pisa"]}, "pissa")):
        with pytest.raises(InputError, match=f"did you mean '{meant}'"):
            choose_suites(read_settings(raw | change), elsewhere=True)


@pytest.mark.workflow
def test_every_stage_of_a_part_is_told_which_part_it_is(tmp_path):
    """A stage that is not would judge runs of others that an earlier workflow left."""
    project = make_project(tmp_path, methods=["majority", "head_only", "lora", "wsa"])
    shutil.copytree(CONFIG / "literature", project / "config/literature")
    path = project / "config/suites/tiny.yaml"
    methods = yaml.safe_load(path.read_text())["methods"]
    for name in ("lora", "wsa"):
        methods[name]["family"] = name
    edit_yaml(path, methods=methods)
    commands = re.findall(
        r"wsa (inference|thresholds|aggregate|literature) tiny(.*)",
        snakemake(project, "-n", "-p", "--config", "families=[wsa]"),
    )
    assert {stage for stage, _ in commands} >= {"thresholds", "aggregate", "literature"}
    assert all("--families wsa" in options for _, options in commands)


def test_published_orderings_of_a_part_are_those_among_its_methods(tmp_path, monkeypatch):
    """Also where an earlier workflow left runs of the others."""
    layout = Layout(config=tmp_path / "config", results=tmp_path / "r", site=tmp_path / "s")
    make_literature(
        layout.config,
        [{"method": "lora", "value": "94.95"},
         {"method": "full", "value": "95.1", "rank": "", "parameters": "184M"},
         {"method": "spectral_a", "value": "95.9"}],
    )  # fmt: skip
    suite = make_suite()
    families = {"lora": "lora", "spectral_a": "spectral", "full": "full"}
    methods = {
        name: method.model_copy(update={"family": families.get(name, "")})
        for name, method in suite.methods.items()
    }
    suite = suite.model_copy(update={"methods": methods})
    make_results(layout, suite, {"lora": 93.0, "full": 95.0, "spectral_a": 94.0}, sentences=60)
    monkeypatch.setattr("wsa.suite.load.load_suite", lambda *named: suite)
    roots = [f"--{root}={getattr(layout, root)}" for root in ("config", "results")]

    def judged(*options: str) -> set[frozenset[str]]:
        assert main([*roots, "literature", "tiny", *options]) == 0
        record = json.loads(layout.literature_json("tiny").read_text())
        return {frozenset((one["better"], one["worse"])) for one in record["orderings"]}

    assert judged() == {frozenset(pair) for pair in combinations(families, 2)}
    assert judged("--methods", "lora,full") == {frozenset(("lora", "full"))}


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
