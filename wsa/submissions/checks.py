"""Is a submission what it says it is, as far as files can tell? Nothing of it is executed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wsa.archive.publish import carried
from wsa.errors import InputError
from wsa.evidence.runs import TOLERANCE, Runs, read_runs
from wsa.identity import code_hash
from wsa.layout import Layout, RunFiles, SubmissionFiles
from wsa.records.predictions import STATES, logits_of, read_predictions
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.records.source import RECORD, verify
from wsa.records.submission import Submission
from wsa.records.tuning import tuned
from wsa.submissions.suites import controls_of, suite_of
from wsa.suite.load import load_suite
from wsa.suite.schema import Method, Suite

if TYPE_CHECKING:
    import pandas as pd

    from wsa.learning.tokens import Tokens

Run = tuple[str, int]  # method, seed
MOST_TEXT = 10_000_000  # bytes of a record
STAGES = ("train", "prune", "evaluate")
MOST_TABLE = 500_000_000  # bytes that a table may unpack to
MOST_CELLS = 50_000_000  # rows × columns of a table
MOST_LETTERS = 1000  # bytes of a text in it


@dataclass
class Checked:
    """A submission whose files agree with each other and with its suite.

    Attributes:
        suite: the suite that is here.
        own: that suite as the submission ran it, under the name that its records give it.
        runs: its runs, read.
        notes: what a reader should know.
        sentences_known: whether the task's sentences are on this machine, to be compared with.
    """

    files: SubmissionFiles
    submission: Submission
    suite: Suite
    own: Suite
    runs: Runs
    notes: list[str] = field(default_factory=list)
    sentences_known: bool = True

    @property
    def missing(self) -> list[Run]:
        """The runs that the suite asks for and that are not there."""
        return [run for run in self.own.runs() if not self.runs.files(run).result.exists()]


def read_submission(files: SubmissionFiles, layout: Layout) -> tuple[Submission, Suite, Suite]:
    """A submission, the suite of this project that it is for, and that suite as it was run.

    Raises:
        InputError: it cannot be read, or is for a suite or of methods that are not here.
    """
    submission = read_record(files.submission, Submission)
    suite = tuned(load_suite(submission.suite, layout.config), layout)
    return submission, suite, suite_of(submission, suite)


def runs_of(files: SubmissionFiles, own: Suite, layout: Layout) -> Runs:
    """The runs of a submission whose records and predictions agree; others are findings."""
    return read_runs(own, replace(layout, results=files.results))


def check_submission(files: SubmissionFiles, layout: Layout) -> Checked:
    """Check all that can be checked without a run.

    Records and their hashes; every metric and loss, computed again from the predictions; that the
    sentences are the task's and the labels theirs; that configuration and model are those that the
    suite has here; that seeds are all there, and each its own run.

    Args:
        files: an unpacked submission.
        layout: where this project's configuration and its inputs lie.

    Raises:
        InputError: naming what is wrong.
    """
    _check_sizes(files)
    submission, suite, own = read_submission(files, layout)
    lacking = [name for name in controls_of(suite) if name not in submission.runs()]
    if lacking:
        raise InputError(
            "lacks the suite's controls, without which nobody sees whether a method has learned "
            "anything", file=files.submission, key="controls", value=lacking,
            remedy="run them too, and submit again",
        )  # fmt: skip
    runs = runs_of(files, own, layout)
    checked = Checked(files, submission, suite, own, runs)
    _check_seeds(checked)
    for finding in runs.findings:
        if not any(finding.about == f"{method}, seed {seed}" for method, seed in checked.missing):
            raise InputError(f"{finding.about}: {finding.message}", file=files.folder)
    _check_files(checked)
    for run, result in runs.results.items():
        try:
            _check_result(own, run, result)
            _check_losses(own, runs.files(run), result)
        except InputError as error:
            raise InputError(f"{run[0]}, seed {run[1]}: {error}", file=files.folder) from None
    _check_twins(checked)
    _check_inputs(checked, layout)
    return checked


def inside(files: SubmissionFiles, error: InputError) -> str:
    """What is wrong, without the passing folder that a submission was unpacked to."""
    return str(error).replace(f"{files.folder}/", "").replace(f"{files.folder}: ", "")


def _check_sizes(files: SubmissionFiles) -> None:
    """Refuse files too large to be read without harm."""
    import pyarrow
    import pyarrow.parquet

    for path in sorted(files.folder.rglob("*.json")):
        if path.stat().st_size > MOST_TEXT:
            raise InputError("is larger than any record", file=path)
    for path in sorted(files.folder.rglob("*.parquet")):
        try:
            if not _is_small(path):
                raise InputError(
                    "is no table of numbers and short texts, or larger than any of a run", file=path
                )
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"damaged: {error}", file=path) from None


def _is_small(path: Path) -> bool:
    """Whether a table is of numbers and short texts, and not too many of them.

    A text that stands in many rows is stored once: so texts are read without being spread out.
    """
    import pyarrow
    import pyarrow.compute
    from pyarrow.parquet import ParquetFile

    found = ParquetFile(path)
    groups = [found.metadata.row_group(i) for i in range(found.metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if size > MOST_TABLE or found.metadata.num_rows * len(found.schema_arrow) > MOST_CELLS:
        return False
    text = (pyarrow.types.is_string, pyarrow.types.is_large_string)
    texts = [column.name for column in found.schema_arrow if any(is_(column.type) for is_ in text)]
    plain = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_null)
    if not all(
        column.name in texts or any(is_(column.type) for is_ in plain)
        for column in found.schema_arrow
    ):
        return False
    for column in ParquetFile(path, read_dictionary=texts).read(columns=texts).columns:
        for chunk in column.chunks:
            words = chunk.dictionary if pyarrow.types.is_dictionary(chunk.type) else chunk
            if (
                pyarrow.compute.max(pyarrow.compute.binary_length(words)).as_py() or 0
            ) > MOST_LETTERS:
                return False
    return True


def _check_seeds(checked: Checked) -> None:
    """Refuse seeds that are missing without a reason; what is missing for one is a note."""
    if not (missing := checked.missing):
        return
    by_method: dict[str, list[str]] = {}
    for method, seed in missing:
        by_method.setdefault(method, []).append(str(seed))
    said = "; ".join(f"{method}: {', '.join(seeds)}" for method, seeds in by_method.items())
    reason = checked.submission.card.missing_seeds
    if reason is None:
        raise InputError(
            f"seeds of the suite are missing ({said}): results are not picked by their seeds",
            file=checked.files.folder,
            remedy="run them, or say in the card why they cannot be: missing_seeds",
        )  # fmt: skip
    empty = [m for m, seeds in by_method.items() if len(seeds) == len(checked.own.seeds)]
    if empty:
        raise InputError(f"holds no run of '{empty[0]}'", file=checked.files.folder)
    checked.notes.append(f"seeds are missing ({said}), for this reason: {reason}")


def _check_files(checked: Checked) -> None:
    """Refuse what belongs to no record; whatever is kept has been checked."""
    from wsa.archive.zipped import MANIFEST, names_below

    root = checked.files.folder
    known = {checked.files.submission.name, MANIFEST}
    for run, result in checked.runs.results.items():
        for path in (path for paths in carried(checked.runs.files(run), result) for path in paths):
            known.add(path.relative_to(root).as_posix())
    for name in names_below(root):
        if name not in known:
            raise InputError(
                "belongs to no record of the submission", file=root / name,
                remedy="let wsa submit make the archive",
            )  # fmt: skip


# --- one run --------------------------------------------------------------------------------------


def _check_result(suite: Suite, run: Run, result: Result) -> None:
    """Raise InputError unless a record says of itself what the suite and the run make of it."""
    name, method, task = run[0], suite.method(run[0]), suite.data.task
    states = STATES if method.gated else STATES[:1]
    quoted = "pruned" if method.gated else "unpruned"
    _same("evaluated_on", result.evaluated_on, suite.protocol.evaluate_on)
    _same("metric", result.metric, task.headline.name)
    _same("states", sorted(result.states), sorted(states))
    further = suite.data.validation[1:] if result.evaluated_on == "validation" else ()
    _same("further", sorted(result.further), sorted(further))
    _same("provenance.environments", sorted(result.provenance.environments), ["evaluate", "train"])
    stages = sorted(stage for stage in STAGES if stage != "prune" or method.gated)
    _same("provenance.code", sorted(result.provenance.code), stages)
    names = sorted(metric.name for metric in task.metrics)
    for split in (result.states, *(further.states for further in result.further.values())):
        for state, found in split.items():
            _same(f"states.{state}.metrics", sorted(found.metrics), names)
    headline = result.states[quoted].metrics[task.headline.name]
    _same("headline", result.headline, headline)
    digest = suite.run_digest(name)
    if result.provenance.configuration != digest:
        raise InputError(
            "was run with another protocol or configuration than the suite has here",
            key="provenance.configuration", value=result.provenance.configuration[:12],
            remedy=f"{digest[:12]}: run it with the suite's protocol, or under a name of its own",
        )  # fmt: skip
    if (result.rank is not None) != method.gated:
        raise InputError("only a gated method has a rank", key="rank")
    if result.rank is not None:
        ranks = result.rank.effective_by_layer.values()
        _same("rank.initial", result.rank.initial, method.rank)
        _same("rank.threshold", result.rank.threshold, method.threshold)
        if any(not 0 <= rank <= method.largest_rank for rank in ranks):
            raise InputError("no module can have such a rank", key="rank.effective_by_layer")
        mean = float(np.mean(list(ranks))) if ranks else 0.0
        if abs(mean - result.rank.effective_mean) > TOLERANCE:
            raise InputError(
                f"its modules have {mean:.4f} on average", key="rank.effective_mean",
                value=result.rank.effective_mean,
            )  # fmt: skip
    _check_environments(method, result)


def _same(key: str, found: object, expected: object) -> None:
    if found != expected:
        raise InputError(f"should be {expected}", key=key, value=found)


def _check_environments(method: Method, result: Result) -> None:
    """Raise InputError for times that cannot be, and code that nobody can look up."""
    code = result.provenance.code
    stage_of = result.provenance.code_stage
    other = any(
        found != code_hash(stage_of(stage), method.peft_types) for stage, found in code.items()
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for stage, place in result.provenance.environments.items():
        try:
            begin, end = map(datetime.fromisoformat, (place.started, place.finished))
            possible = begin <= end <= tomorrow
        except (ValueError, TypeError):  # no time, or one without its zone
            possible = False
        if not possible:
            raise InputError(
                "should be a time in UTC that is past, the start before the end",
                key=f"provenance.environments.{stage}",
                value=f"{place.started} to {place.finished}",
            )  # fmt: skip
        if place.git_clean is False and other:
            raise InputError(
                "was made with uncommitted changes of the code that decides its numbers",
                key=f"provenance.environments.{stage}.git_clean",
                remedy="run it on a clean commit; a method that needs code is a change of the "
                "project, with its tuner and its test",
            )  # fmt: skip


def _check_losses(suite: Suite, files: RunFiles, result: Result) -> None:
    """Raise InputError unless every recorded loss is that of the predictions."""
    splits = [(files.predictions, result.states)]
    splits += [(files.further_predictions(n), split.states) for n, split in result.further.items()]
    for path, states in splits:
        table = read_predictions(path)
        for state, recorded in states.items():
            loss = _loss(suite, table, state)
            if abs(loss - recorded.loss) > TOLERANCE * max(1.0, abs(loss)):
                raise InputError(
                    f"the predictions give a loss of {loss:.6f}", key=f"states.{state}.loss",
                    value=recorded.loss,
                )  # fmt: skip


def _loss(suite: Suite, table: pd.DataFrame, state: str) -> float:
    rows = table[table["state"] == state]
    return suite.data.task.loss(logits_of(rows), rows["label"].to_numpy())


# --- runs beside each other, and beside what is here ----------------------------------------------


def _check_twins(checked: Checked) -> None:
    """Refuse two seeds with the same predictions: one run under two names."""
    seen: dict[tuple[str, str], int] = {}
    for (method, seed), result in checked.runs.results.items():
        if checked.own.method(method).kind == "majority":
            continue
        twin = seen.setdefault((method, result.predictions), seed)
        if twin != seed:
            raise InputError(
                f"{method}: seeds {twin} and {seed} have the same predictions to the bit: they are "
                "one run", file=checked.files.folder,
            )  # fmt: skip


def _check_inputs(checked: Checked, layout: Layout) -> None:
    """Compare model and sentences with those that are here; where none are, that is a note."""
    suite = checked.suite
    model = layout.model(suite.model.name)
    tokens = layout.tokens(suite.model.name, suite.data.name)
    if not (model / RECORD).exists() or not tokens.exists():
        checked.sentences_known = False
        checked.notes.append(
            "model and sentences of the task are not on this machine: predictions were not "
            "compared with them (wsa admit --fetch fetches them)"
        )
        return
    from wsa.learning.batches import evaluation_sentences, training_batches, training_sentences
    from wsa.learning.tokens import load_tokens

    here = verify(model)
    tokenised = load_tokens(tokens)
    splits = evaluation_sentences(tokenised, suite.data, suite.protocol)
    judged, *others = splits.values()
    for run, result in checked.runs.results.items():
        files, where = checked.runs.files(run), f"{run[0]}, seed {run[1]}"
        if result.provenance.model != here:
            raise InputError(
                f"{where}: was trained from other weights than the suite's model has here",
                file=checked.files.folder, key="provenance.model",
                value=result.provenance.model[:12], remedy=here[:12],
            )  # fmt: skip
        _check_sentences(files.predictions, judged)
        for name, sentences in zip(list(splits)[1:], others, strict=True):
            _check_sentences(files.further_predictions(name), sentences)
    trained = training_sentences(tokenised["train"], suite.protocol)
    steps = len(training_batches(trained.lengths, suite.protocol, seed=0))
    _check_parameters(checked, layout, steps)
    checked.notes.extend(_said(checked, judged.sha256))


def _check_sentences(path: Path, expected: Tokens) -> None:
    """Raise InputError unless a table's sentences and labels are those of the task."""
    table = read_predictions(path)
    for state, rows in table.groupby("state", sort=False):
        found = dict(zip(rows["sentence_id"], rows["label"], strict=True))
        known = dict(zip(expected.ids, expected.labels, strict=True))
        if found.keys() != known.keys():
            raise InputError(
                f"holds {len(found.keys() - known.keys())} sentences that are not the task's, and "
                f"lacks {len(known.keys() - found.keys())} that are", file=path, key=str(state),
            )  # fmt: skip
        wrong = [name for name, label in found.items() if label != known[name]]
        if wrong:
            raise InputError(
                f"gives {len(wrong)} sentences another label than the task does", file=path,
                key="label", value=wrong[0],
            )  # fmt: skip


def _check_parameters(checked: Checked, layout: Layout, steps: int) -> None:
    """Raise InputError unless the recorded numbers of parameters are those of the methods.

    A method that is cut while it trains is left out: what is left of it is known then alone.
    """
    from wsa.learning.models import attach, is_head, load_pretrained

    suite = checked.own
    for name in suite.methods:
        method = suite.method(name)
        results = [result for (own, _), result in checked.runs.results.items() if own == name]
        if method.cut is not None:
            continue
        if method.kind == "majority":
            expected = {"total": 0, "trainable": 0, "head": 0}
        else:
            model = load_pretrained(layout.model(suite.model.name), 0, suite.data.task)
            try:
                model = attach(model, method, suite.model, steps=steps)
            except Exception as error:  # what PEFT raises has no bounds
                raise InputError(
                    f"PEFT does not take its configuration: {error}", file=checked.files.folder,
                    key=f"own.{name}",
                ) from None  # fmt: skip
            sizes = {n: (p.numel(), p.requires_grad) for n, p in model.named_parameters()}
            trains = {n: size for n, (size, moves) in sizes.items() if moves}
            expected = {
                "total": sum(size for size, _ in sizes.values()),
                "trainable": sum(trains.values()),
                "head": sum(size for n, size in trains.items() if is_head(n, suite.model)),
            }
        for result in results:
            parameters = result.parameters
            found = parameters.model_dump(include=set(expected))
            pruned = parameters.trainable - parameters.kept
            if found != expected or pruned < 0 or (pruned and not method.gated):
                raise InputError(
                    f"{name}, seed {result.seed}: the method has {expected}",
                    file=checked.files.folder, key="parameters", value=parameters.model_dump(),
                )  # fmt: skip


def _said(checked: Checked, data: str) -> Iterator[str]:
    """Notes on how the runs were made otherwise than runs here would be."""
    results = checked.runs.results.values()
    places = [place for result in results for place in result.provenance.environments.values()]
    for stage in STAGES:
        other = any(
            stage in result.provenance.code
            and result.provenance.code[stage]
            != code_hash(result.provenance.code_stage(stage), checked.own.method(method).peft_types)
            for (method, _), result in checked.runs.results.items()
        )
        if other:
            commits = sorted({str(place.git_commit)[:12] for place in places})
            yield f"made with other code of '{stage}' than is here, of commit {', '.join(commits)}"
    if any(result.provenance.data != data for result in results):
        yield (
            "tokenised by other versions of transformers or tokenizers: the sentences are the "
            "task's, their tokens were not compared"
        )
    if any(place.git_clean is False for place in places):
        yield "made from a working tree with uncommitted changes, none of them in code that counts"
