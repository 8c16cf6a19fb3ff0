"""A run's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.errors import remake
from wsa.layout import Layout
from wsa.leaderboard.entries import STATES
from wsa.leaderboard.formats import date, repeats
from wsa.leaderboard.pages.method import configuration_of
from wsa.leaderboard.plots import Section
from wsa.leaderboard.results import RunView, place

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView

MOST_SENTENCES = 100  # of a run's mistakes on its page
MOST_IDS = 5  # where their texts are not at hand
MOST_CLASSES = 20  # whose confusion is a table of all pairs
MOST_CONFUSED = 30  # pairs of more classes


@dataclass(frozen=True)
class Mistake:
    """A sentence a run gets wrong, with the methods that mostly get it right."""

    sentence: str
    label: str
    said: str
    confidence: float
    methods: Sequence[str]


@dataclass(frozen=True)
class Miss:
    """A sentence whose number a run gets wrong."""

    sentence: str
    label: float
    said: float


def run_context(view: SuiteView, run: RunView, sections: Sequence[Section]) -> dict[str, object]:
    """For `run.html`."""
    mistakes, wrong, recoverable = _mistakes(view, run)
    confusion = _confusion(view, run)
    made = run.result.provenance
    files = run.files
    if not files.training.exists():  # a published copy: the workflow makes the run where it works
        files = Layout().run(view.suite.name, run.method, run.seed)
    return {
        "suite": view,
        "run": run,
        "method": view.suite.methods[run.method],
        "siblings": view.results.runs[run.method],
        "states": STATES,
        "command": remake(files.training.as_posix()),
        "sections": sections,
        "labels": view.suite.data.labels,
        "confusion": confusion if view.task.classes <= MOST_CLASSES else None,
        "confused": _confused(view, confusion),
        "mistakes": mistakes,
        "misses": _misses(view, run),
        "wrong": wrong,
        "recoverable": recoverable,
        "ranks": _ranks(run),
        "configuration": configuration_of(view, run.method),
        "provenance": _environments(run),
        "hashes": [
            (name, value)
            for name, value in [
                ("configuration", made.configuration), ("model", made.model), ("data", made.data),
                ("factors", made.factors), ("predictions", run.result.predictions),
                *((f"code of {stage}", digest) for stage, digest in made.code.items()),
            ]
            if value
        ],
    }  # fmt: skip


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


def _mistakes(view: SuiteView, run: RunView) -> tuple[list[Mistake], int, int]:
    """The sentences wrong here and right elsewhere, how many are wrong, how many of those right."""
    table, others = run.predictions, view.results.agreement
    if table is None or others is None or table["sentence_id"].tolist() != others.ids:
        return [], 0, 0
    columns = [i for i, name in enumerate(others.methods) if name != run.method]
    wrong = (~table["right"].to_numpy()).nonzero()[0]
    elsewhere = others.mostly[:, columns].sum(1)
    found = [i for i in wrong if elsewhere[i]]
    found.sort(key=lambda i: (-elsewhere[i], i))
    confidence, said = table["confidence"].to_numpy(), table["predicted"].to_numpy()
    names = view.suite.data.labels
    mistakes = [
        Mistake(
            view.results.sentences.get(others.ids[i], others.ids[i]),
            names[others.labels[i]],
            names[said[i]],
            float(confidence[i]),
            [others.methods[c] for c in columns if others.mostly[i, c]],
        )
        for i in found[: MOST_SENTENCES if view.results.sentences else MOST_IDS]
    ]
    return mistakes, len(wrong), len(found)


def _misses(view: SuiteView, run: RunView) -> list[Miss]:
    """Where labels are numbers, the sentences that the run is furthest off, the furthest first."""
    table = run.predictions
    if table is None or view.task.classes:
        return []
    labels, said = (table[name].to_numpy(float) for name in ("label", "predicted"))
    ids, texts = table["sentence_id"].tolist(), view.results.sentences
    most = MOST_SENTENCES if texts else MOST_IDS
    furthest = (-abs(said - labels)).argsort(kind="stable")[:most]
    return [Miss(texts.get(ids[i], ids[i]), float(labels[i]), float(said[i])) for i in furthest]


def _ranks(run: RunView) -> dict[str, object] | None:
    """The run's effective ranks as rows of layers and columns of projections."""
    if run.result.rank is None:
        return None
    cells = {place(module): k for module, k in run.result.rank.effective_by_layer.items()}
    projections = list(dict.fromkeys(projection for _, projection in cells))
    layers = list(dict.fromkeys(layer for layer, _ in cells))
    rows = [(layer, [cells.get((layer, p)) for p in projections]) for layer in layers]
    return {"projections": projections, "rows": rows}


def _environments(run: RunView) -> list[tuple[str, object]]:
    """Where and with what the run was made; a stage made elsewhere than training is named."""
    lines: list[tuple[str, object]] = []
    environments = run.result.provenance.environments
    first = next(iter(environments.values()), None)
    for stage, where in environments.items():
        lines.append((stage, f"{date(where.started)} to {date(where.finished)}"))
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
            (f"{prefix}versions", ", ".join(f"{k} {v}" for k, v in where.versions.items())),
            (f"{prefix}git commit", f"{where.git_commit}{changed}" if where.git_commit else None),
        ]
    return [(name, value) for name, value in lines if value is not None]
