"""Submissions to forge: what a dishonest or a careless person can write into one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from wsa.archive.zipped import MANIFEST, pack, unpack
from wsa.files import sha256_json
from wsa.layout import RunFiles, SubmissionFiles, run_below
from wsa.records.predictions import logits_of, read_predictions, write_predictions
from wsa.records.record import SEAL
from wsa.task import Task, task

CARD = {
    "who": "Ada Lovelace", "where": "a laptop", "why": "Does it come out the same?",
    "licence": "CC-BY-4.0",
}  # fmt: skip
CLASSES = task(("negative", "positive"), ())


def forge(archive: Path, destination: Path, change: Callable[[SubmissionFiles], object]) -> Path:
    """A copy of `archive` whose files `change` has changed, with a manifest that fits them."""
    with tempfile.TemporaryDirectory() as scratch:
        files = SubmissionFiles(Path(scratch))
        unpack(archive, files.folder)
        (files.folder / MANIFEST).unlink()
        change(files)
        pack(files.folder, destination)
    return destination


def run_in(files: SubmissionFiles, method: str, seed: int) -> RunFiles:
    """The files of one run of a submission."""
    (suite,) = files.results.iterdir()
    return run_below(suite, method, seed)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Let `change` change the content of a record, and seal it again."""
    record = json.loads(path.read_text())
    record.pop(SEAL)
    change(record)
    path.write_text(json.dumps(record | {SEAL: sha256_json(record)}))


def repredict(
    run: RunFiles, change: Callable[[pd.DataFrame], pd.DataFrame], of: Task = CLASSES
) -> None:
    """Let `change` change a run's predictions, and make its record fit them in every number."""
    digest = write_predictions(run.predictions, change(read_predictions(run.predictions)))
    table = read_predictions(run.predictions)

    def fit(record: dict) -> None:
        record["predictions"] = digest
        for state, found in record["states"].items():
            rows = table[table["state"] == state]
            logits, labels = logits_of(rows), rows["label"].to_numpy()
            found |= {
                "metrics": of.measure(logits, labels), "loss": of.loss(logits, labels),
                "n": len(rows),
            }  # fmt: skip
        quoted = "pruned" if "pruned" in record["states"] else "unpruned"
        record["headline"] = record["states"][quoted]["metrics"][of.headline.name]

    edit(run.result, fit)


def on_other_hardware(record: dict) -> None:
    """Let a run's record say that it was made on a machine that nobody has."""
    for place in record["provenance"]["environments"].values():
        place["processor"] = "Analytical Engine, mark II"


def copy_run(files: SubmissionFiles, method: str, seed: int, to: int) -> None:
    """Put the run of one seed in the place of another's, its record saying so."""
    shutil.rmtree(run_in(files, method, to).folder)
    shutil.copytree(run_in(files, method, seed).folder, run_in(files, method, to).folder)
    edit(run_in(files, method, to).result, lambda record: record.update(seed=to))
