"""What a reader must know about the results before believing them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from wsa.evidence.comparisons import common_seeds, units
from wsa.evidence.judgements import called
from wsa.evidence.runs import Run, Runs
from wsa.evidence.statistics import difference, judge_order
from wsa.records.evidence import Finding
from wsa.records.run import Environment, Result

SEVERITIES = ("error", "warning", "note")


def check(runs: Runs) -> tuple[Finding, ...]:
    """Everything found wrong with a suite's results, the gravest first."""
    found = [
        *runs.findings,
        *_strays(runs),
        *_stale(runs),
        *_mixed(runs),
        *_conditions(runs),
        *_below_controls(runs),
        *_outliers(runs),
    ]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _strays(runs: Runs) -> list[Finding]:
    """Runs on disk that the suite does not ask for."""
    folder = runs.layout.suite(runs.suite.name)
    wanted = {runs.files(run).result for run in runs.suite.runs()}
    strays = sorted(set(folder.glob("runs/*/seed-*/result.json")) - wanted)
    if not strays:
        return []
    names = ", ".join(f"{path.parent.parent.name} {path.parent.name}" for path in strays)
    return [
        Finding(
            severity="note",
            about="suite",
            message=f"{len(strays)} runs on disk are not in the suite and are left out: {names}",
            runs=tuple(str(path.relative_to(folder)) for path in strays),
        )
    ]


def _stale(runs: Runs) -> list[Finding]:
    """Runs made with another configuration than the suite's present one."""
    found = []
    for run, result in runs.results.items():
        about = f"{run[0]}, seed {run[1]}"
        if result.provenance.configuration != runs.suite.run_digest(run[0]):
            message = "was made with another configuration of protocol or method than the suite's"
        elif result.evaluated_on != runs.suite.protocol.evaluate_on:
            message = f"was evaluated on the {result.evaluated_on} sentences, not on the suite's"
        else:
            continue
        found.append(
            Finding(
                severity="error", about=about, message=message, runs=(runs.path(run),),
                remedy=runs.remake(run),
            )
        )  # fmt: skip
    return found


def _mixed(runs: Runs) -> list[Finding]:
    """Runs of one table that were not made alike."""
    found = []
    for what, severity, traits in ALIKE:
        seen: dict[str, dict[str, list[Run]]] = {}  # trait → value → runs
        for run, result in runs.results.items():
            for trait, value in traits(result).items():
                seen.setdefault(trait, {}).setdefault(value, []).append(run)
        for trait, values in seen.items():
            if len(values) < 2:
                continue
            (_, usual), *others = sorted(values.items(), key=lambda item: -len(item[1]))
            counts = "; ".join(
                f"{value} in {len(made)} run{'s' if len(made) > 1 else ''}"
                for value, made in sorted(values.items(), key=lambda item: -len(item[1]))
            )
            found.append(
                Finding(
                    severity=severity,
                    about="suite",
                    message=f"runs of this table differ in {what.format(trait)}: {counts}",
                    runs=tuple(runs.path(run) for _, made in others for run in made),
                    remedy=f"remake the runs named here as the {len(usual)} others were made",
                )
            )
    return found


def _conditions(runs: Runs) -> list[Finding]:
    """What weakens the promise that a run can be made again to the same bits."""
    questions = {
        "made from a working tree with uncommitted changes": lambda place: place.git_clean is False,
        "made where equal inputs need not give equal bits": lambda place: not place.deterministic,
    }
    found = []
    for message, holds in questions.items():
        these = [run for run, result in runs.results.items() if any(map(holds, _places(result)))]
        if these:
            count = f"{len(these)} of {len(runs.results)} runs were "
            paths = tuple(map(runs.path, these))
            found.append(
                Finding(severity="note", about="suite", message=count + message, runs=paths)
            )
    return found


def _below_controls(runs: Runs) -> list[Finding]:
    """Methods not better than a control: the commoner label, or a head on a frozen body."""
    standing = {"majority": 0, "head_only": 1}  # every other kind should beat both
    levels = {name: standing.get(method.kind, 2) for name, method in runs.suite.methods.items()}
    found = []
    for (method, state), control in itertools.product(units(runs), levels):
        if state == "gate_only" or levels[control] == 2 or levels[control] >= levels[method]:
            continue
        seeds = common_seeds(runs, (method, state), (control, "unpruned"))
        if not seeds:
            continue
        own = runs.table(method, state, seeds)
        other = runs.table(control, "unpruned", seeds)
        name, shown = called(runs, method, state), f"{control} ({100 * other.mean():.2f} %)"
        said = f"{name} with {100 * own.mean():.2f} % "
        if own.mean() <= other.mean():
            learned = "adapted" if levels[control] else "learned"
            severity, message = "warning", f"{said}is not better than {shown}: {learned} nothing"
        elif len(seeds) > 2 and not _clearly_better(own, other):
            severity, message = "note", f"{said}is not clearly better than {shown}"
        else:
            continue
        paths = runs.paths(method, seeds) + runs.paths(control, seeds)
        found.append(Finding(severity=severity, about=name, message=message, runs=paths))
    return found


def _clearly_better(a, b) -> bool:
    spread = difference(a, b)
    return bool(judge_order(spread.mean, spread.p_value()) > 0)


def _outliers(runs: Runs) -> list[Finding]:
    """Seeds far from their siblings, as trained.

    With three seeds a method's own spread says little, so a seed must be far by three measures
    from the median of its siblings: three binomial standard errors; eight times the usual spread
    of the suite's methods (the median of their standard deviations, this method's without the
    seed); and five times the range of its siblings. Asked only where three methods have a spread.
    """
    accuracy = {
        method: {seed: 100 * right.mean() for seed, right in runs.correct[method, state].items()}
        for method, state in units(runs)
        if state == "unpruned"
    }
    usual = {
        method: np.std(list(seeds.values()), ddof=1)
        for method, seeds in accuracy.items()
        if len(seeds) > 1
    }
    sentences = next((len(r) for seeds in runs.correct.values() for r in seeds.values()), 0)
    found = []
    for method, seeds in accuracy.items():
        if len(seeds) < 3:
            continue
        for seed, value in seeds.items():
            siblings = [other for key, other in seeds.items() if key != seed]
            spreads = [np.std(siblings, ddof=1)]
            spreads += [spread for name, spread in usual.items() if name != method]
            spreads = [spread for spread in spreads if spread > 0]
            if len(spreads) < 3:
                continue
            middle = float(np.median(siblings))
            chance = 100 * np.sqrt(middle / 100 * (1 - middle / 100) / sentences)
            far = max(3 * chance, 8 * np.median(spreads), 5 * np.ptp(siblings))
            if abs(value - middle) > far:
                found.append(
                    Finding(
                        severity="warning",
                        about=f"{method}, seed {seed}",
                        message=f"its {value:.2f} % lie far from its siblings' {middle:.2f} %: "
                        "did its training go wrong?",
                        runs=(runs.path((method, seed)),),
                        remedy=runs.remake((method, seed)),
                    )
                )
    return found


def _places(result: Result) -> list[Environment]:
    return list(result.provenance.environments.values())


def _versions(result: Result) -> dict[str, str]:
    names = {name for place in _places(result) for name in place.versions}
    return {name: _listed(place.versions.get(name) for place in _places(result)) for name in names}


def _hardware(result: Result) -> dict[str, str]:
    fields = ("processor", "accelerator", "threads", "blas", "platform")
    return {field: _listed(getattr(place, field) for place in _places(result)) for field in fields}


def _listed(values: Iterable[object]) -> str:
    """The different values that the stages of one run had."""
    return ", ".join(sorted({"none" if value is None else str(value) for value in values}))


# what must be alike in all runs, how grave it is if not, and the traits that show it
ALIKE: tuple[tuple[str, str, Callable[[Result], dict[str, str]]], ...] = (
    ("the data", "error", lambda result: {"": result.provenance.data[:12]}),
    ("the model's weights", "error", lambda result: {"": result.provenance.model[:12]}),
    ("the version of {}", "warning", _versions),
    ("hardware ({})", "warning", _hardware),
    (
        "the code of the stage '{}'",
        "warning",
        lambda result: {stage: sha[:12] for stage, sha in result.provenance.code.items()},
    ),
)
