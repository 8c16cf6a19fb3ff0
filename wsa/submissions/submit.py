"""Packs finished runs for other people's tables: records and predictions, no weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsa.archive.publish import carried
from wsa.archive.zipped import pack
from wsa.errors import InputError
from wsa.layout import Layout, SubmissionFiles
from wsa.records.record import read_record, write_record
from wsa.records.run import Result
from wsa.records.submission import Card, Submission
from wsa.records.tuning import tuned
from wsa.submissions.checks import Checked, check_submission, inside
from wsa.submissions.suites import controls_of
from wsa.suite.load import load_suite, read_yaml
from wsa.suite.schema import Suite
from wsa.suite.strict import check


def read_card(path: Path | None, given: Mapping[str, str]) -> Card:
    """The card in a YAML file, with what the command line says in its place.

    Raises:
        InputError: a line of it is missing or wrong.
    """
    raw: dict[str, Any] = read_yaml(path) if path else {}
    return check(Card, raw | given, path or "the card")


def submit(
    suite: Suite,
    layout: Layout,
    card: Card,
    methods: Sequence[str] = (),
    to: str | None = None,
    destination: Path | None = None,
) -> tuple[Path, Checked]:
    """Write the archive of a submission, and check it as whoever receives it will.

    Args:
        suite: whose runs.
        layout: where they lie.
        card: who submits, and why.
        methods: those that are submitted; default: all but the controls. The suite's controls
            come along in any case.
        to: the suite whose table it is for, where `suite` extends it; default: the same.
        destination: the archive; default: `<suite>.zip`, or `<suite>_<method>.zip` of one.

    Returns:
        The archive's path, and what its check found.

    Raises:
        InputError: a run is missing or damaged, or was not made as the suite asks.
    """
    target = tuned(load_suite(to or suite.name, layout.config), layout)
    controls = controls_of(target)
    chosen = tuple(methods) or tuple(name for name in suite.methods if name not in controls)
    for name in chosen:
        suite.method(name)
    own = {
        name: suite.methods[name]
        for name in chosen
        if name not in target.methods or target.run_digest(name) != suite.run_digest(name)
    }
    for name in own.keys() & target.methods.keys():
        raise InputError(
            f"is configured otherwise than in suite '{target.name}', or has another protocol",
            file=layout.suite_file(suite.name), key=f"methods.{name}",
            remedy="run it as the suite says, or under a name of its own",
        )  # fmt: skip
    submission = Submission(
        suite=target.name, run_as=suite.name, card=card, methods=chosen,
        controls=tuple(name for name in controls if name not in chosen), own=own,
    )  # fmt: skip
    if destination is None:
        parts = [target.name, *(chosen if len(methods) == 1 else ())]
        destination = Path("_".join(parts) + ".zip")
    with tempfile.TemporaryDirectory(prefix="wsa-submit-") as scratch:
        files = SubmissionFiles(Path(scratch))
        write_record(files.submission, submission)
        _copy_runs(suite, submission, target, layout, files)
        try:
            checked = check_submission(files, layout)
        except InputError as error:
            raise InputError(inside(files, error)) from None
        pack(files.folder, destination)
    return destination, checked


def _copy_runs(
    suite: Suite, submission: Submission, target: Suite, layout: Layout, files: SubmissionFiles
) -> None:
    for method in submission.runs():
        for seed in target.seeds:
            run = layout.run(suite.name, method, seed)
            if not run.result.exists():
                continue  # the check says which are missing
            needed, besides = carried(run, read_record(run.result, Result))
            for path in (*needed, *filter(Path.exists, besides)):
                copy = files.results / path.relative_to(layout.results)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    raise InputError(
                        "is missing", file=path, remedy=f"make it: snakemake --cores 2 {path}"
                    )
                shutil.copyfile(path, copy)
