"""A copy of the project with a tiny suite, for tests that run the real workflow in seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import yaml
from tests.helpers.fresh import run_python
from tests.helpers.tiny import make_tiny_bert, make_tiny_deberta, write_tsv_data
from wsa.identity import DECIDES, code_hash
from wsa.layout import Layout
from wsa.sources import fetch_data, fetch_model
from wsa.stages.factors import build_factor_index
from wsa.stages.tokenise import tokenise
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite

ROOT = Path(__file__).parents[2]
SUITE = "tiny"
METHODS = {
    "majority": {"title": "Majority", "kind": "majority"},
    "head_only": {"title": "Head", "kind": "head_only"},
    "full": {"title": "Full", "kind": "full", "learning_rate": 1.0e-3},
    "lora": {
        "title": "LoRA",
        "adapter": {"peft_type": "LORA", "r": 2, "lora_alpha": 4},
        "learning_rate": 5.0e-3,
    },
    "spectral_a": {
        "title": "Spectral A",
        "adapter": {"peft_type": "SPECTRAL", "r": 2},
        "learning_rate": 5.0e-3,
    },
    "wsa": {
        "title": "WSA",
        "adapter": {
            "peft_type": "WSA",
            "r": 4,
            "gate": "singular_value",
            "l1": 1.0e-3,
            "threshold": 0.02,
        },
        "learning_rate": 5.0e-3,
    },
}


# `wsa <argument>` for each argument, in one process: importing takes longer than the rest
COMMANDS = """
import sys
from wsa.cli import main
for line in sys.argv[1:]:
    assert main(line.split()) == 0, line
"""


def make_project(folder: Path, *, deberta: bool = False, methods: list[str] | None = None) -> Path:
    """The project's code beside a `config/` with the suite `tiny`; returns the folder."""
    for stage in DECIDES:
        code_hash(stage)  # so that it is kept, and copied
    for name in ("wsa", "workflow", "profiles"):
        # compiled files as well, which spares each process a second, but no half-written one
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(ROOT / "Snakefile", folder)
    (make_tiny_deberta if deberta else make_tiny_bert)(folder / "model")
    write_tsv_data(folder / "data", train=96, validation=48)
    targets = ["query_proj", "value_proj"] if deberta else ["query", "value"]
    write_yaml(
        folder / "config/models/tiny.yaml",
        name="tiny",
        title="Tiny",
        source={"kind": "path", "path": str(folder / "model")},
        target_modules=targets,
        head_modules=["classifier", "pooler.dense"],
    )
    write_yaml(
        folder / "config/data/tiny.yaml",
        name="tiny",
        title="Tiny",
        source={"kind": "path", "path": str(folder / "data")},
    )
    write_yaml(
        folder / "config/suites/tiny.yaml",
        name=SUITE,
        title="Tiny",
        model="tiny",
        data="tiny",
        seeds=[0, 1],
        protocol={
            "epochs": 2,
            "batch_size": 16,
            "batching": "sorted_windows",
            "window_batches": 4,
            "max_length": 32,
            "schedule": "linear",
            "weight_decay": 0.01,
            "head_learning_rate": 5.0e-3,
        },
        methods={name: METHODS[name] for name in methods or METHODS},
    )
    write_yaml(folder / "config/config.yaml", suites=SUITE)
    return folder


def prepare(project: Path) -> tuple[Suite, Layout]:
    """Fetch, tokenise and decompose in this process; returns the suite and where things lie."""
    layout = Layout(project / "config", project / "resources", project / "results")
    suite = load_suite(SUITE, layout.config)
    fetch_model(suite.model, layout)
    fetch_data(suite.data, layout)
    tokenise(suite.model, suite.data, layout)
    for rank in {suite.factor_rank(method) for method in suite.methods} - {None}:
        build_factor_index(suite.model, rank, layout)
    return suite, layout


def write_yaml(path: Path, **content: object) -> None:
    """Write `content` as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def edit_yaml(path: Path, **changes: object) -> None:
    """Replace top-level keys of a YAML file."""
    write_yaml(path, **(yaml.safe_load(path.read_text()) | changes))


def environment(project: Path) -> dict[str, str]:
    """The environment in which the project's own copy of `wsa` is imported."""
    return os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}


def snakemake(project: Path, *arguments: str, check: bool = True) -> str:
    """Run snakemake in `project`; returns all it printed."""
    command = ["-m", "snakemake", "--cores", "2", *arguments]
    done = run_python(command, project, environment(project), together=True)
    if check and done.returncode != 0:
        raise AssertionError(f"snakemake {' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


def wsa(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `wsa …` in `project`."""
    return run_python(["-m", "wsa", *arguments], project, environment(project))
