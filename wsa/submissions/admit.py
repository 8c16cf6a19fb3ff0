"""Takes a submission in: its files are checked, some of its runs made again, and it is kept."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from wsa.archive.verify import Outcome, compare_run, make_run
from wsa.archive.zipped import check_manifest, names_below, unpack
from wsa.errors import InputError
from wsa.files import atomic_folder, sha256_file, write_text
from wsa.layout import Layout, SubmissionFiles
from wsa.machine import forkserver
from wsa.machine.environment import now, processor
from wsa.machine.progress import say
from wsa.records.record import read_record, write_record
from wsa.records.submission import Admission, Check, RunCheck, Standing, Submission
from wsa.submissions.checks import Checked, Run, check_submission, inside
from wsa.submissions.measured import finished
from wsa.submissions.suites import CONTROLS
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite

SUBMITTED = "submitted"  # the suite's name where runs are made again
_STANDING: dict[str, Standing] = {
    "same bits": "same bits", "within tolerance": "rerun within noise",
}  # fmt: skip


@dataclass(frozen=True)
class Admitted:
    """A submission that was taken in, and what this look at it found."""

    files: SubmissionFiles
    checked: Checked
    check: Check


def admit(path: Path, layout: Layout, by: str, reruns: int = 1, *, fetch: bool = False) -> Admitted:
    """Check a submission and keep it below `layout.submissions`.

    One that is there already is checked once more, and its earlier checks are kept.

    Args:
        path: the archive, as `wsa submit` writes it.
        layout: where the project lies.
        by: who checks.
        reruns: how many of its runs are made again, chosen anew each time.
        fetch: fetch the suite's model and sentences, where they are not here.

    Raises:
        InputError: for whatever is wrong; nothing is kept then.
    """
    with tempfile.TemporaryDirectory(prefix="wsa-admit-") as scratch:
        files = SubmissionFiles(Path(scratch) / "submission")
        unpack(path, files.folder)
        check_manifest(path, files.folder)
        try:
            if fetch:
                fetch_inputs(
                    load_suite(read_record(files.submission, Submission).suite, layout.config),
                    layout,
                )
            checked = check_submission(files, layout)
            check = _look(checked, layout, by, reruns)
        except InputError as error:
            raise InputError(inside(files, error), file=path) from None
        kept = layout.submission(checked.suite.name, _name(checked, path))
        earlier: tuple[Check, ...] = ()
        if kept.admission.exists():
            earlier = read_record(kept.admission, Admission).checks
        admission = Admission(archive=sha256_file(path), checks=(*earlier, check))
        with atomic_folder(kept.folder) as folder:
            for name in names_below(files.folder):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(files.folder / name, folder / name)
            write_record(SubmissionFiles(folder).admission, admission)
    return Admitted(kept, replace(checked, files=kept), check)


def fetch_inputs(suite: Suite, layout: Layout) -> None:
    """Fetch and tokenise what a suite is run with, as far as it is not here.

    Raises:
        InputError: it cannot be had.
    """
    from wsa.sources import fetch_data, fetch_model
    from wsa.stages.tokenise import tokenise

    if not layout.tokens(suite.model.name, suite.data.name).exists():
        fetch_model(suite.model, layout)
        fetch_data(suite.data, layout)
        tokenise(suite.model, suite.data, layout)


def _name(checked: Checked, path: Path) -> str:
    """What a submission's folder is called: when its runs ended, whose it is, which one."""
    date = max(map(finished, checked.runs.results.values()))[:10]
    plain = unicodedata.normalize("NFKD", checked.submission.card.who).encode("ascii", "ignore")
    who = re.sub(r"[^a-z0-9]+", "-", plain.decode().lower()).strip("-") or "somebody"
    return f"{date}_{who}_{sha256_file(path)[:8]}"


def _look(checked: Checked, layout: Layout, by: str, reruns: int) -> Check:
    """Make runs of it again, and write down how far each was checked."""
    notes = list(checked.notes)
    standing: Standing = "files agree" if checked.sentences_known else "as submitted"
    found = {run: RunCheck(method=run[0], seed=run[1], standing=standing)
             for run in checked.runs.results}  # fmt: skip
    for outcome in _rerun(checked, layout, reruns, notes):
        if outcome.verdict == "different":
            raise InputError(f"a rerun gives something else: {outcome}")
        method, seed = outcome.run
        found[outcome.run] = RunCheck(
            method=method, seed=seed, standing=_STANDING[outcome.verdict],
            details=outcome.details,
        )  # fmt: skip
    return Check(
        date=now(), machine=processor(), by=by, runs=tuple(found.values()), notes=tuple(notes)
    )


def _rerun(checked: Checked, layout: Layout, reruns: int, notes: list[str]) -> Iterator[Outcome]:
    """Make some of the runs again, where the machine can; why not goes into the notes."""
    if not reruns:
        notes.append("no run was made again")
    elif not checked.sentences_known:
        notes.append("no run was made again: model and sentences are not on this machine")
    elif checked.suite.needs_gpu and not _gpu():
        notes.append("no run was made again: the suite needs a GPU, and this machine has none")
    else:
        with tempfile.TemporaryDirectory(prefix="wsa-rerun-") as folder:
            clean = _configured(checked, layout, Path(folder))
            again, runs = load_suite(SUBMITTED, clean.config), _sample(checked, reruns)
            _decompose(again, [method for method, _ in runs], layout)
            with forkserver.kept() as environment:
                for run in runs:
                    say(f"making {run[0]}, seed {run[1]}, again …")
                    make_run(again, run, clean, environment)
                    yield compare_run(
                        checked.own.data.task, run, checked.runs.files(run),
                        clean.run(SUBMITTED, *run),
                    )  # fmt: skip


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _configured(checked: Checked, layout: Layout, folder: Path) -> Layout:
    """This project's configuration in `folder`, with a suite that has the submission's methods.

    They stand there as they are: what a tuning has chosen, nothing has to choose again.
    """
    config = folder / "config"
    shutil.copytree(layout.config, config)
    methods = {name: one.model_dump(mode="json") for name, one in checked.own.methods.items()}
    text = yaml.safe_dump(
        {
            "name": SUBMITTED, "extends": checked.suite.name, "tuning": None, "methods": methods,
        },
        sort_keys=False,
    )  # fmt: skip
    write_text(config / "suites" / f"{SUBMITTED}.yaml", text)
    return replace(layout, config=config, results=folder / "results")


def _decompose(suite: Suite, methods: Iterable[str], layout: Layout) -> None:
    """Make the singular factors that reruns of `methods` start from, where they are not there."""
    from wsa.stages.factors import build_factor_index

    for rank in {suite.factor_rank(method) for method in methods} - {None}:
        if not layout.factor_index(suite.model.name, rank).exists():
            build_factor_index(suite.model, rank, layout)


def _sample(checked: Checked, size: int) -> Sequence[Run]:
    """Runs of what is submitted rather than of controls, as long as there are any."""
    submitted, controls = [], []
    for run in checked.runs.results:
        control = checked.own.method(run[0]).kind in CONTROLS
        (controls if control else submitted).append(run)
    several = [random.sample(runs, len(runs)) for runs in (submitted, controls)]
    return [*several[0], *several[1]][:size]
