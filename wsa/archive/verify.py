"""Whether results still are what their records say, and whether the runs give them again."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from wsa.errors import InputError, remake
from wsa.files import check_files
from wsa.layout import Layout, RunFiles, runs_below
from wsa.machine import forkserver
from wsa.machine.processes import LOCK
from wsa.machine.progress import say
from wsa.records.evidence import Inference, Tables, Thresholds
from wsa.records.predictions import logits_of, predictions_hash, read_predictions
from wsa.records.record import read_record
from wsa.records.run import Provenance, Pruning, Result, Training
from wsa.records.source import RECORD, SourceRecord
from wsa.records.tuning import read_tuning
from wsa.suite.schema import Suite
from wsa.task import Task

if TYPE_CHECKING:
    import pandas as pd

Run = tuple[str, int]  # method, seed

# where bits cannot be expected: less than two seeds of a method differ by (in the embedded suite
# they give other answers to 5 to 15 % of the sentences)
METRIC_TOLERANCE = 0.01
ANSWERS_TOLERANCE = 0.05
# where more predictions than this share are the same bits, no training has gone another way; and
# round-off of the evaluation alone moves a logit by less than this, beside the largest one
MOST_UNMOVED = 0.5
ROUND_OFF = 1e-3

SNAKEMAKES = (".snakemake_timestamp",)  # what snakemake leaves in a folder that a rule makes


# --- the files ------------------------------------------------------------------------------------


def damages(suite: Suite, layout: Layout, *, whole: bool = False) -> Iterator[str]:
    """Every file of a suite's results that is not what its record says, with what mends it.

    So are the files of its model and of its data, where they are there. A run that has not been
    made is no damage; one of a seed that the suite no longer names is checked like any other. Nor
    is what a published copy leaves out (`left_out`). The tables have no record: they are compared
    with what the runs give.

    Args:
        whole: weights have to be there, of a published copy too.
    """
    published = not whole and left_out(suite, layout) is not None
    for method, seed, files in runs_below(layout.suite(suite.name)):
        if method not in suite.methods or seed is None:
            folder = files.folder
            yield f"{folder}: is no run of this suite's methods\n  what to do: rm -r {folder}"
        elif made(files):
            yield from _run_damages(suite, (method, seed), files, published)
    yield from _tuning_damages(suite, layout)
    for path, kind in (
        (layout.inference_json(suite.name), Inference),
        (layout.thresholds_json(suite.name), Thresholds),
    ):
        # they may be missing, but not where the pages show them
        if path.exists() or (layout.downloads(suite.name) / path.name).exists():
            yield from _told(read_record, path, kind)
    for folder in (layout.model(suite.model.name), layout.data(suite.data.name)):
        if (folder / RECORD).exists():
            yield from _told(_check_source, folder)
    yield from table_damages(suite, layout)


def left_out(suite: Suite, layout: Layout) -> str | None:
    """What cannot be checked of published results; None where these are not such a copy.

    `publish` copies neither weights nor the records of training and pruning, of no run.
    """
    runs = [files for _, _, files in runs_below(layout.suite(suite.name)) if made(files)]
    if not runs or any(path.exists() for files in runs for path in _unpublished(files)):
        return None
    return (
        f"published results: of {len(runs)} runs the weights and the records of training and "
        "pruning were not published, and with them the hashes of curves and gates; checked are "
        "results, predictions and tables"
    )


def _unpublished(files: RunFiles) -> tuple[Path, ...]:
    return files.training, files.trained, files.pruning, files.pruned


def _told(check: Callable[..., object], *arguments: object) -> Iterator[str]:
    """What `check` finds wrong, if anything."""
    try:
        check(*arguments)
    except InputError as error:
        yield str(error)


def _tuning_damages(suite: Suite, layout: Layout) -> Iterator[str]:
    """Tunings that cannot be read, or are not what the trials give where those are here."""
    for method in suite.tuned_methods():
        if layout.tuning(suite.tuned_in, method).exists():
            yield from _told(_check_tuning, suite, method, layout)


def _check_tuning(suite: Suite, method: str, layout: Layout) -> None:
    found = read_tuning(suite, method, layout)
    path = layout.tuning(suite.tuned_in, method)
    for trial in found.trials:
        if (layout.results / trial.result).exists():
            result = read_record(layout.results / trial.result, Result)
            if result.predictions != trial.predictions:
                raise InputError(
                    f"trial {trial.method} is not what its run gave", file=path,
                    remedy=f"choose again: {remake(path)}",
                )  # fmt: skip


def _check_source(folder: Path) -> None:
    """Check the files of a fetched folder that are there: an archive holds the record and few."""
    record = read_record(folder / RECORD, SourceRecord)
    there = {name: value for name, value in record.files.items() if (folder / name).exists()}
    check_files(folder, there, remake=folder / RECORD)


def made(files: RunFiles) -> bool:
    """Whether a run has left a record."""
    return any(path.exists() for path in (files.training, files.pruning, files.result))


def _run_damages(suite: Suite, run: Run, files: RunFiles, published: bool) -> Iterator[str]:
    method = suite.method(run[0])
    known = {files.training, files.result, files.predictions}
    try:
        if published:
            known |= {files.curve, files.gates}
            result = read_record(files.result, Result)
        else:
            training = read_record(files.training, Training)
            hashes = dict(training.files)
            if method.kind == "full" and files.result.exists() and not files.trained.exists():
                # as large as the model: the workflow removes them once they are evaluated
                hashes = {name: value for name, value in hashes.items() if "/" not in name}
            known |= {files.folder / name for name in hashes}
            check_files(files.folder, hashes, remake=files.training)
            stages = {"train": training.code}
            if method.gated:
                known.add(files.pruning)
                pruning = read_record(files.pruning, Pruning)
                known |= {files.folder / name for name in pruning.files}
                check_files(files.folder, pruning.files, remake=files.pruning)
                stages["prune"] = pruning.code
            result = read_record(files.result, Result)
            _same_run(result, training, stages, files.result)
        check_files(files.folder, result.files, remake=files.result)
        recorded = {files.predictions: result.predictions} | {
            files.further_predictions(name): split.predictions
            for name, split in result.further.items()
        }
        known |= set(recorded)
        for path, digest in recorded.items():
            if predictions_hash(read_predictions(path)) != digest:
                raise InputError(
                    "is not what its record says", file=path,
                    remedy=f"remake it: {remake(files.result)}",
                )  # fmt: skip
    except InputError as error:
        yield str(error)
        return  # what is known of the other files depends on the records
    for path in sorted(files.folder.rglob("*")):
        if path.is_file() and path not in known and path.name not in (LOCK, *SNAKEMAKES):
            yield f"{path}: belongs to no record\n  what to do: rm {path}"


def _same_run(result: Result, training: Training, stages: dict[str, str], path: Path) -> None:
    """Raise InputError unless `result` was made from the other records of its run."""
    pairs = {
        "suite": (result.suite, training.suite),
        "method": (result.method, training.method),
        "seed": (result.seed, training.seed),
        "provenance.configuration": (result.provenance.configuration, training.configuration),
        "provenance.model": (result.provenance.model, training.model),
        "provenance.data": (result.provenance.data, training.data),
        "provenance.factors": (result.provenance.factors, training.factors),
    }
    for stage, code in stages.items():
        pairs[f"provenance.code.{stage}"] = (result.provenance.code.get(stage), code)
    for key, (found, expected) in pairs.items():
        if found != expected:
            raise InputError(
                f"is not made from this run's training, which says {expected}", file=path, key=key,
                value=found, remedy=f"remake it: {remake(path)}",
            )  # fmt: skip


def table_damages(suite: Suite, layout: Layout) -> Iterator[str]:
    """The tables that the runs do not give; those of a part of the suite are compared as such."""
    from wsa.evidence.aggregate import aggregate

    suite = _as_tabled(suite, layout)
    tables = [
        table(layout, suite.name)
        for table in (
            *(Layout.runs_csv, Layout.table_csv, Layout.table_md, Layout.comparisons_csv),
            *(Layout.tables_json, Layout.claims_json, Layout.findings_json),
        )
    ]
    if not any(path.exists() for path in tables):
        return
    with tempfile.TemporaryDirectory() as folder:
        again = Layout(layout.config, layout.resources, Path(folder), layout.site)
        again.suite(suite.name).mkdir()
        for path in layout.suite(suite.name).iterdir():
            if path not in tables:
                (again.suite(suite.name) / path.name).symlink_to(path.absolute())
        values = layout.suite(suite.tuned_in)  # that were chosen there
        if suite.tuned_in != suite.name and values.is_dir():
            again.suite(suite.tuned_in).symlink_to(values.absolute())
        aggregate(suite, again)
        for path in tables:
            if not path.exists():
                problem = "is missing"
            elif path.read_bytes() != (again.suite(suite.name) / path.name).read_bytes():
                problem = "is not what the runs give"
            else:
                continue
            yield f"{path}: {problem}\n  what to do: remake it: {remake(path)}"


def _as_tabled(suite: Suite, layout: Layout) -> Suite:
    """The suite without the methods that have neither a row in its tables nor a run."""
    try:
        tables = read_record(layout.tables_json(suite.name), Tables)
    except InputError:  # which the comparison will name
        return suite
    there = {row.method for row in tables.methods}
    there |= {name for name, _, files in runs_below(layout.suite(suite.name)) if made(files)}
    return suite.only(methods=[name for name in suite.methods if name in there])


# --- the runs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a rerun gave.

    Attributes:
        run: method and seed.
        verdict: 'same bits': the predictions are equal to the last bit; 'within tolerance': bits
            could not be expected, and accuracies and answers are nearer than the two tolerances.
        details: what differs, and why bits could not be expected.
    """

    run: Run
    verdict: Literal["same bits", "within tolerance", "different"]
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.run[0]}, seed {self.run[1]}: {self.verdict}"
        return "\n".join([head, *(f"  {detail}" for detail in self.details)])


def sample_runs(suite: Suite, layout: Layout, size: int | None) -> list[Run]:
    """`size` of the suite's runs that have a result, chosen anew each time; all for None.

    Raises:
        InputError: if there is none.
    """
    there = [run for run in suite.runs() if layout.run(suite.name, *run).result.exists()]
    if not there:
        raise InputError(
            "no run of this suite has a result", file=layout.suite(suite.name),
            remedy=f"snakemake --cores 2 --config suites={suite.name}",
        )  # fmt: skip
    if size is None or size >= len(there):
        return there
    return sorted(random.sample(there, size), key=there.index)


def rerun(suite: Suite, runs: Iterable[Run], layout: Layout) -> Iterator[Outcome]:
    """Make each of `runs` again in an empty folder, with the commands the workflow gives.

    Raises:
        InputError: if a recorded result cannot be read, or a stage fails.
    """
    with tempfile.TemporaryDirectory(prefix="wsa-verify-") as folder:
        clean = Layout(layout.config, layout.resources, Path(folder), layout.site)
        for method in suite.tuned_methods():  # the values that the runs were made with
            read_tuning(suite, method, layout)
            chosen = clean.tuning(suite.tuned_in, method)
            chosen.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(layout.tuning(suite.tuned_in, method), chosen)
        with forkserver.kept() as environment:
            for run in runs:
                recorded = layout.run(suite.name, *run)
                result = read_record(recorded.result, Result)
                if other := _other_inputs(suite, run, result, layout):
                    yield Outcome(run, "different", other)
                    continue
                say(f"making {run[0]}, seed {run[1]}, again in an empty folder …")
                make_run(suite, run, clean, environment)
                yield compare_run(suite.data.task, run, recorded, clean.run(suite.name, *run))


def _other_inputs(suite: Suite, run: Run, result: Result, layout: Layout) -> tuple[str, ...]:
    """Which inputs here are not those of the record, so that a rerun would show nothing."""
    from wsa.learning.tokens import load_tokens
    from wsa.sources import verify

    path = layout.tokens(suite.model.name, suite.data.name)
    here = {
        "configuration": suite.run_digest(run[0]),
        "model": verify(layout.model(suite.model.name)),
        "data": load_tokens(path)["train"].sha256,
    }
    return tuple(
        f"not run: the {name} here is {value[:12]}…, that of the record "
        f"{getattr(result.provenance, name)[:12]}…"
        for name, value in here.items()
        if getattr(result.provenance, name) != value
    )


def make_run(suite: Suite, run: Run, layout: Layout, environment: Mapping[str, str]) -> None:
    """Train, prune and evaluate one run, each stage in a process of its own.

    Args:
        environment: of the stages, beside this process's own: what `forkserver.kept` gives.

    Raises:
        InputError: a stage fails; with the last it said, and the command.
    """
    threads = dict.fromkeys(forkserver.THREADS, str(suite.protocol.threads))  # as the workflow does
    options = []
    for folder in ("config", "resources", "results", "site"):
        options += [f"--{folder}", str(getattr(layout, folder))]
    for stage in ("train", "prune", "evaluate"):
        if stage == "prune" and not suite.method(run[0]).gated:
            continue
        command = [sys.executable, "-m", "wsa", *options, stage, suite.name, run[0], str(run[1])]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | threads | environment
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise InputError(
                f"{stage} {run[0]} seed {run[1]} failed: " + "\n".join(lines[-4:]),
                remedy=" ".join(["wsa", *command[3:]]),
            )


def compare_run(task: Task, run: Run, recorded: RunFiles, again: RunFiles) -> Outcome:
    """What a rerun gave beside what was recorded of the run."""
    old = read_record(recorded.result, Result)
    new = read_record(again.result, Result)
    if new.predictions == old.predictions:
        return Outcome(run, "same bits")
    reasons = tuple(_why_no_bits(old.provenance, new.provenance))
    before = read_predictions(recorded.predictions)
    after = read_predictions(again.predictions)
    moved_by = np.abs(logits_of(after) - logits_of(before)).max(axis=1)
    change = moved_by.max()
    flipped = _other_answers(task, before, after)
    metric = task.headline
    moved = {
        state: metric.scale * (new.states[state].metrics[metric.name] - then.metrics[metric.name])
        for state, then in old.states.items()
    }
    details = (
        f"logits differ by up to {change:.2g}; {int(flipped.sum())} of {len(flipped)} predictions "
        "are others",
        *(
            f"{metric.title} {state}: {metric.scale * old.states[state].metrics[metric.name]:.2f} "
            f"{metric.unit} then, {points:+.2f} {metric.difference_unit} now".replace("  ", " ")
            for state, points in moved.items()
        ),
        *reasons,
    )
    if edited := _edited(moved_by, logits_of(after)):
        return Outcome(run, "different", (*details, edited))
    near = flipped.mean() <= ANSWERS_TOLERANCE and all(
        abs(points) <= metric.scale * METRIC_TOLERANCE for points in moved.values()
    )
    return Outcome(run, "within tolerance" if reasons and near else "different", details)


def _edited(moved_by: np.ndarray, logits: np.ndarray) -> str:
    """Why predictions look changed by hand rather than computed elsewhere; empty if they do not.

    Other round-off, once it has grown in training, moves every logit. Where most are the same to
    the bit and others are far off, those were written, not computed.
    """
    same = moved_by == 0
    if same.mean() < MOST_UNMOVED or moved_by.max() < ROUND_OFF * np.abs(logits).max():
        return ""
    return (
        f"{int(same.sum())} of {len(same)} predictions are the same bits and the others are off by "
        f"up to {moved_by.max():.2g}: round-off would have moved all of them"
    )


def _other_answers(task: Task, before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Which predictions are other classes, or numbers further off than a tenth of their spread."""
    then, now = (task.predicted(logits_of(table)) for table in (before, after))
    if task.classes:
        return then != now
    return np.abs(then - now) > 0.1 * before["label"].std()


def _why_no_bits(old: Provenance, new: Provenance) -> Iterator[str]:
    """Reasons for which equal bits could not be expected."""
    for provenance, now in ((old, "then"), (new, "now")):
        if (made := provenance.execution) and old.execution != new.execution:
            yield f"trained in a pack of {len(made.runs)} {now}: equal within round-off only"
    for stage, code in new.code.items():
        if old.code_stage(stage) == new.code_stage(stage) and old.code.get(stage) != code:
            commit = old.environments["train"].git_commit
            yield f"other code of {stage}; the record's is of commit {commit}"
    if old.factors != new.factors:
        yield "other singular factors, in their last bits: they were decomposed again"
    for stage, there in old.environments.items():
        here = new.environments[stage]
        for name in ("processor", "accelerator", "threads", "blas", "platform"):
            then, now = getattr(there, name), getattr(here, name)
            if then != now:
                yield f"{stage}: other {name}: {then} then, {now} now"
        for package, version in here.versions.items():
            if there.versions.get(package) != version:
                yield f"{stage}: {package} {there.versions.get(package)} then, {version} now"
    for provenance, when in ((old, "then"), (new, "now")):
        level = provenance.determinism
        if level.level != "bitwise":
            yield f"{level.level} {when}; it would be raised by {level.raised_by}"
