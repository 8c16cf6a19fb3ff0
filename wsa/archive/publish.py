"""The part of a suite's results that a repository can carry: records and tables, no weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from wsa.errors import InputError
from wsa.files import atomic_folder
from wsa.layout import Layout, RunFiles
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.suite.schema import Suite
from wsa.suite.tuning import trials_of


def carried(run: RunFiles, result: Result) -> tuple[list[Path], list[Path]]:
    """What a repository carries of a run: the files that must be there, and those that may."""
    needed = [run.result, run.predictions, *map(run.further_predictions, result.further)]
    return needed, [run.curve, run.gates]


def publish(suite: Suite, layout: Layout, destination: Path, *, allow_dirty: bool = False) -> Path:
    """Copy records, predictions, tables and verdicts of a finished suite to `destination/<suite>`.

    The copy has the layout of `results/<suite>`: `wsa compare` reads both, and the pages can be
    made from either. The runs of a suite's trials go to a folder of their own, as in `results/`.

    Args:
        allow_dirty: accept runs made with uncommitted changes.

    Raises:
        InputError: for a missing or damaged record, or one that no commit can be named for.
    """
    names = [
        layout.runs_csv(suite.name), layout.table_csv(suite.name), layout.table_md(suite.name),
        layout.comparisons_csv(suite.name), layout.claims_json(suite.name),
        layout.findings_json(suite.name), layout.tables_json(suite.name),
    ]  # fmt: skip
    # what the pages show where it is there
    drawn = [
        layout.inference_json(suite.name), layout.thresholds_json(suite.name),
        layout.literature_json(suite.name),
    ]  # fmt: skip
    own_trials = suite.tuning and suite.tuned_in == suite.name
    if own_trials:
        names += [layout.tuning(suite.name, method) for method in suite.tuned_methods()]
    run_files, run_drawings = _runs(suite, layout, allow_dirty)
    _copy(
        layout.suite(suite.name),
        [*names, *run_files, *filter(Path.exists, [*drawn, *run_drawings])],
        destination / suite.name,
    )
    if own_trials:
        trials = trials_of(suite)
        _copy(
            layout.suite(trials.name), _runs(trials, layout, allow_dirty)[0],
            destination / trials.name,
        )  # fmt: skip
    return destination / suite.name


def _runs(suite: Suite, layout: Layout, allow_dirty: bool) -> tuple[list[Path], list[Path]]:
    """The files of all runs: those that must be there, and those that pages draw."""
    names, drawn = [], []
    for method, seed in suite.runs():
        run = layout.run(suite.name, method, seed)
        result = read_record(run.result, Result)
        for stage, environment in result.provenance.environments.items():
            if not environment.git_clean and not allow_dirty:
                raise InputError(
                    f"stage '{stage}' ran with uncommitted changes, so no commit says what made it",
                    file=run.result, remedy="run it again on a clean commit, or --allow-dirty",
                )  # fmt: skip
        needed, besides = carried(run, result)
        names += needed
        drawn += besides
    return names, drawn


def _copy(root: Path, names: Iterable[Path], destination: Path) -> None:
    """Copy files below `root` to where they lie below it."""
    with atomic_folder(destination) as folder:
        for path in names:
            if not path.exists():
                raise InputError(
                    "is missing", file=path, remedy=f"make it: snakemake --cores 2 {path}"
                )
            copy = folder / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
