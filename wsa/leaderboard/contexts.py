"""What the templates of a method, of a run and of the comparison are filled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.errors import remake
from wsa.layout import Layout
from wsa.leaderboard import drawing
from wsa.leaderboard.about import about
from wsa.leaderboard.formats import date, repeats
from wsa.leaderboard.pictures import Picture
from wsa.leaderboard.results import Run, place
from wsa.leaderboard.rows import STATES

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView

MOST_SENTENCES = 100  # of a run's mistakes on its page
MOST_COMPARED = 40  # methods in the table of sentences


def configuration_of(view: SuiteView, name: str) -> list[tuple[str, object]]:
    """A method as the suite's file has it, key by key, with what the protocol decides."""
    method = view.suite.methods[name]
    adapter = dict(method.adapter or {})
    lines: list[tuple[str, object]] = [("kind", method.kind)]
    lines += [(f"adapter.{key}", value) for key, value in adapter.items()]
    if method.kind == "adapter" and "target_modules" not in adapter:
        lines.append(("target_modules", view.suite.model.target_modules))
    if method.kind != "majority":
        protocol = view.suite.protocol
        lines += [
            ("learning_rate", method.learning_rate),
            ("head_learning_rate", method.head_learning_rate or protocol.head_learning_rate),
            ("schedule", method.schedule or protocol.schedule),
            ("epochs", protocol.epochs),
            ("batch_size", protocol.batch_size),
        ]
        if method.gated:
            lines.insert(-3, ("gate_reach", method.gate_reach))
    return [(key, value) for key, value in lines if value is not None]


def method_context(view: SuiteView, name: str, pictures: Sequence[Picture]) -> dict[str, object]:
    """For `method.html`."""
    runs = view.results.runs[name]
    return {
        "method": view.suite.methods[name],
        "about": about(view.suite.methods[name]),
        "rows": [row for row in view.rows if row.name == name],
        "runs": runs,
        "pictures": pictures,
        "differences": drawing.differences_of(view, name),
        "configuration": configuration_of(view, name),
    }


@dataclass(frozen=True)
class Mistake:
    """A sentence a run gets wrong, with the methods that mostly get it right."""

    sentence: str
    label: str
    confidence: float
    methods: Sequence[str]


def run_context(view: SuiteView, run: Run, seeds: Picture | None) -> dict[str, object]:
    """For `run.html`."""
    mistakes, wrong, recoverable = _mistakes(view, run)
    made = run.result.provenance
    files = run.files
    if not files.training.exists():  # a published copy: the workflow makes the run where it works
        files = Layout().run(view.suite.name, run.method, run.seed)
    return {
        "run": run,
        "method": view.suite.methods[run.method],
        "siblings": view.results.runs[run.method],
        "states": STATES,
        "command": remake(files.training.as_posix()),
        "curve": seeds,
        "labels": view.suite.data.labels,
        "confusion": _confusion(run),
        "mistakes": mistakes,
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


def _confusion(run: Run) -> list[list[int]] | None:
    """[label][said]: numbers of sentences, in the quoted state."""
    table = run.predictions
    if table is None:
        return None
    labels, said = table["label"].to_numpy(), table["predicted"].to_numpy()
    return [[int(((labels == i) & (said == j)).sum()) for j in (0, 1)] for i in (0, 1)]


def _mistakes(view: SuiteView, run: Run) -> tuple[list[Mistake], int, int]:
    """The sentences wrong here and right elsewhere, how many are wrong, how many of those right."""
    table, others = run.predictions, view.results.agreement
    if table is None or others is None or table["sentence_id"].tolist() != others.ids:
        return [], 0, 0
    columns = [i for i, name in enumerate(others.methods) if name != run.method]
    wrong = (~table["right"].to_numpy()).nonzero()[0]
    elsewhere = others.mostly[:, columns].sum(1)
    found = [i for i in wrong if elsewhere[i]]
    found.sort(key=lambda i: (-elsewhere[i], i))
    confidence = table["confidence"].to_numpy()
    mistakes = [
        Mistake(
            view.results.sentences.get(others.ids[i], others.ids[i]),
            view.suite.data.labels[others.labels[i]],
            float(confidence[i]),
            [others.methods[c] for c in columns if others.mostly[i, c]],
        )
        for i in found[:MOST_SENTENCES]
    ]
    return mistakes, len(wrong), len(found)


def _ranks(run: Run) -> dict[str, object] | None:
    """The run's effective ranks as rows of layers and columns of projections."""
    if run.result.rank is None:
        return None
    cells = {place(module): k for module, k in run.result.rank.effective_by_layer.items()}
    projections = list(dict.fromkeys(projection for _, projection in cells))
    layers = list(dict.fromkeys(layer for layer, _ in cells))
    rows = [(layer, [cells.get((layer, p)) for p in projections]) for layer in layers]
    return {"projections": projections, "rows": rows}


def _environments(run: Run) -> list[tuple[str, object]]:
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


@dataclass(frozen=True)
class SentenceLine:
    """A row of the comparison: by method, how many seeds are right."""

    sentence: str
    label: str
    right: str
    wrong: str
    cells: Sequence[tuple[int, bool]]


def compare_context(view: SuiteView) -> dict[str, object]:
    """For `compare.html`."""
    import numpy as np

    found = view.results.agreement
    if found is None or len(found.methods) < 2:
        return {"agreement": None}
    found = found.first(MOST_COMPARED)
    full = np.array(found.seeds)
    mostly = found.mostly
    counts = [
        [int((mostly[:, i] & ~mostly[:, j]).sum()) for j in range(len(full))]
        for i in range(len(full))
    ]
    share = (found.right / full).mean(1)
    differing = [i for i in np.argsort(share, kind="stable") if (found.right[i] < full).any()]
    texts = view.results.sentences
    lines = [
        SentenceLine(
            texts.get(found.ids[i], found.ids[i]),
            view.suite.data.labels[found.labels[i]],
            "\n".join(n for n, good in zip(found.methods, mostly[i], strict=True) if good),
            "\n".join(n for n, good in zip(found.methods, mostly[i], strict=True) if not good),
            [(int(k), bool(good)) for k, good in zip(found.right[i], mostly[i], strict=True)],
        )
        for i in differing
    ]
    return {
        "agreement": found, "counts": counts, "lines": lines, "texts": bool(texts),
        "same": len(found.ids) - len(differing),
    }  # fmt: skip
