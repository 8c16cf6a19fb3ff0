"""The runs of a method, on its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wsa.errors import remake
from wsa.layout import Layout
from wsa.leaderboard.formats import decimals, rate, repeats, seconds, span
from wsa.leaderboard.plots import Section, run_pictures
from wsa.leaderboard.results import RunView, place

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView

MOST_CLASSES = 20  # whose confusion is a table of all pairs
MOST_CONFUSED = 30  # pairs of more classes

Lines = Sequence[tuple[str, str]]  # names and values


@dataclass(frozen=True)
class RunSection:
    """What a page says of one run.

    Attributes:
        command: makes the run again.
        confusion: [label][said]: numbers of sentences; None where labels are numbers or too many.
        confused: what is most often taken for what: (is, said, sentences).
        wrong: how many sentences it gets wrong.
        recoverable: how many of these are right with another method.
        listed: how many sentences a script can list.
        ranks: effective ranks as rows of layers and columns of projections.
        facts: what it cost and was set to.
        provenance: with what and where it was made.
        hashes: of what it was made from.
    """

    run: RunView
    command: str
    pictures: Sequence[Section]
    confusion: list[list[int]] | None
    confused: list[tuple[str, str, int]] | None
    wrong: int
    recoverable: int
    listed: int
    ranks: dict[str, Any] | None
    facts: Lines
    provenance: Lines
    hashes: Lines


@dataclass(frozen=True)
class Shared:
    """What all runs of a method have in common."""

    facts: Lines
    provenance: Lines
    hashes: Lines


def run_sections(view: SuiteView, name: str) -> tuple[list[RunSection], Shared]:
    """Every run of a method; what all of them have in common stands apart."""
    sections = [_section(view, run) for run in view.results.runs[name]]
    common = {
        part: [
            line for line in (getattr(sections[0], part) if sections else ())
            if all(line in getattr(section, part) for section in sections)
        ]
        for part in ("facts", "provenance", "hashes")
    }  # fmt: skip
    own = [
        replace(
            section,
            **{
                part: [line for line in getattr(section, part) if line not in those]
                for part, those in common.items()
            },
        )
        for section in sections
    ]
    return own, Shared(**common)


def _section(view: SuiteView, run: RunView) -> RunSection:
    confusion = _confusion(view, run)
    wrong, recoverable = _mistakes(view, run)
    files = run.files
    if not files.training.exists():  # a published copy: the workflow makes the run where it works
        files = Layout().run(view.suite.name, run.method, run.seed)
    made = run.result.provenance
    there = view.said is not None and run.seed in view.said.tables.get(run.method, {})
    return RunSection(
        run=run,
        command=remake(files.training.as_posix()),
        pictures=run_pictures(view, run),
        confusion=confusion if view.task.classes <= MOST_CLASSES else None,
        confused=_confused(view, confusion),
        wrong=wrong,
        recoverable=recoverable,
        listed=0 if not there else recoverable if view.task.classes else len(view.said.ids),
        ranks=_ranks(run),
        facts=_facts(run),
        provenance=_environments(run),
        hashes=[
            (name, value)
            for name, value in [
                ("hash of the configuration", made.configuration),
                ("hash of the model", made.model), ("hash of the data", made.data),
                ("hash of the factors", made.factors),
                ("hash of the predictions", run.result.predictions),
                *((f"hash of the code of {stage}", digest) for stage, digest in made.code.items()),
            ]
            if value
        ],
    )  # fmt: skip


def _facts(run: RunView) -> Lines:
    r = run.result
    lines = []
    if r.rank:
        tau = rate(r.rank.threshold)
        lines += [
            ("Effective rank", f"of {r.rank.initial}, mean over modules (|g| ≥ τ = {tau})"),
            ("Reach of the gates", f"Σ lr = {r.rank.sum_of_learning_rates:.3g}: about as far as "
             f"AdamW could move a gate, against τ = {tau}"),
        ]  # fmt: skip
    return [
        *lines,
        ("Parameters", f"{r.parameters.trainable:,} trained, of these {r.parameters.head:,} in the "
         f"head; {r.parameters.total:,} in the model with its adapter"),
        ("Speed", f"{decimals(r.cost.sentences_per_second, 0)} sentences a second in training, of "
         f"{r.schedule.steps:,} steps; evaluation {seconds(r.cost.evaluate_seconds)}"),
        ("Memory is", f"of the {r.cost.peak_memory_of}"),
        ("Learning rates", f"body {rate(r.schedule.learning_rate)}, head "
         f"{rate(r.schedule.head_learning_rate)}, gates {rate(r.schedule.gate_learning_rate)}; "
         f"Σ lr of the body {r.schedule.sum_of_learning_rates:.3g}"),
    ]  # fmt: skip


def _confusion(view: SuiteView, run: RunView) -> list[list[int]] | None:
    """[label][said]: numbers of sentences, in the quoted state; None where labels are numbers."""
    table, classes = run.predictions, range(view.task.classes)
    if table is None or not classes:
        return None
    pairs = Counter(zip(table["label"].tolist(), table["predicted"].tolist(), strict=True))
    return [[pairs[i, j] for j in classes] for i in classes]


def _confused(
    view: SuiteView, confusion: list[list[int]] | None
) -> list[tuple[str, str, int]] | None:
    """What is most often taken for what: (is, said, sentences)."""
    if confusion is None:
        return None
    names = view.suite.data.labels
    pairs = [
        (names[i], names[j], times)
        for i, row in enumerate(confusion)
        for j, times in enumerate(row)
        if i != j
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:MOST_CONFUSED]


def _mistakes(view: SuiteView, run: RunView) -> tuple[int, int]:
    """How many sentences are wrong here, and how many of those mostly right with another method."""
    table, others = run.predictions, view.results.agreement
    if table is None or others is None or table["sentence_id"].tolist() != others.ids:
        return 0, 0
    columns = [i for i, name in enumerate(others.methods) if name != run.method]
    wrong = ~table["right"].to_numpy()
    return int(wrong.sum()), int((wrong & others.mostly[:, columns].any(1)).sum())


def _ranks(run: RunView) -> dict[str, Any] | None:
    """The run's effective ranks as rows of layers and columns of projections."""
    if run.result.rank is None:
        return None
    cells = {place(module): k for module, k in run.result.rank.effective_by_layer.items()}
    projections = list(dict.fromkeys(projection for _, projection in cells))
    layers = list(dict.fromkeys(layer for layer, _ in cells))
    rows = [(layer, [cells.get((layer, p)) for p in projections]) for layer in layers]
    return {"projections": projections, "rows": rows}


def _environments(run: RunView) -> Lines:
    """Where and with what the run was made; a stage made elsewhere than training is named."""
    lines: list[tuple[str, str | None]] = []
    environments = run.result.provenance.environments
    first = next(iter(environments.values()), None)
    for stage, where in environments.items():
        lines.append((stage, span(where.started, where.finished)))
        if where is not first and (where.processor, where.accelerator, where.versions) == (
            first.processor, first.accelerator, first.versions
        ):  # fmt: skip
            continue
        prefix = "" if where is first else f"{stage}: "
        changed = {True: "", False: ", with uncommitted changes", None: ""}[where.git_clean]
        lines += [
            (f"{prefix}processor", where.processor),
            (f"{prefix}accelerator", where.accelerator or "none"),
            (f"{prefix}platform", where.platform),
            (f"{prefix}linear algebra", f"{where.blas}; {where.threads} thread(s)"),
            (f"{prefix}run again, the same", repeats(where.determinism)),
            (f"{prefix}trained together", where.execution and ", ".join(where.execution.runs)),
            (f"{prefix}versions", ", ".join(f"{k} {v}" for k, v in where.versions.items())),
            (f"{prefix}git commit", f"{where.git_commit}{changed}" if where.git_commit else None),
        ]
    return [(name, value) for name, value in lines if value is not None]
