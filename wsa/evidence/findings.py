"""What a reader must know about the results before believing them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from wsa.errors import InputError, remake
from wsa.evidence.judgements import number
from wsa.evidence.measure import Unit
from wsa.evidence.runs import Run, Runs
from wsa.evidence.statistics import judge_order
from wsa.identity import own_tuners
from wsa.layout import runs_below
from wsa.records.evidence import Finding
from wsa.records.predictions import STATE_WORDS
from wsa.records.run import Environment, Result
from wsa.records.tuning import read_tuning

SEVERITIES = ("error", "warning", "note")


def check(runs: Runs) -> tuple[Finding, ...]:
    """Everything found wrong with a suite's results, the gravest first."""
    found = [
        *runs.findings,
        *_strays(runs),
        *_stale(runs),
        *_earlier(runs),
        *_thresholds(runs),
        *_mixed(runs),
        *_conditions(runs),
        *_collapsed(runs),
        *_alike(runs),
        *_below_controls(runs),
        *_outliers(runs),
        *_edges(runs),
        *_tunings(runs),
    ]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _strays(runs: Runs) -> list[Finding]:
    """Runs on disk that the suite does not ask for."""
    folder = runs.layout.suite(runs.suite.name)
    wanted = {runs.files(run).result for run in runs.suite.runs()}
    there = {files.result for _, _, files in runs_below(folder) if files.result.exists()}
    strays = sorted(there - wanted)
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
        # the digest was formed otherwise in the first schema
        comparable = result.schema_version > 1
        if comparable and result.provenance.configuration != runs.suite.run_digest(run[0]):
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


def _earlier(runs: Runs) -> list[Finding]:
    """Runs whose records an earlier version of this program wrote."""
    these = {run: result for run, result in runs.results.items() if result.schema_version == 1}
    if not these:
        return []
    commits = {place.git_commit for result in these.values() for place in _places(result)}
    known = sorted(commit[:12] for commit in commits if commit)
    at = f", at commit{'s' if len(known) > 1 else ''} {', '.join(known)}" if known else ""
    were = "run was" if len(these) == 1 else "runs were"
    return [
        Finding(
            severity="note",
            about="suite",
            message=f"{len(these)} {were} made with an earlier version of the records{at}; whether "
            "their configuration is the suite's present one is not asked",
            runs=tuple(map(runs.path, these)),
        )
    ]


def _thresholds(runs: Runs) -> list[Finding]:
    """Runs pruned at another threshold than the suite's."""
    found = []
    for run, result in runs.results.items():
        wanted = runs.suite.method(run[0]).threshold
        if result.rank is None or result.rank.threshold == wanted:
            continue
        found.append(
            Finding(
                severity="error",
                about=f"{run[0]}, seed {run[1]}",
                message=f"was pruned at threshold {result.rank.threshold:g}, the suite's is "
                f"{wanted:g}",
                runs=(runs.path(run),),
                remedy=f"prune it again: {remake(runs.files(run).pruning)}",
            )
        )
    return found


def _mixed(runs: Runs) -> list[Finding]:
    """Runs of one table that were not made alike."""
    found = []
    for what, severity, traits in ALIKE:
        seen: dict[str, dict[str, list[Run]]] = {}  # trait → value → runs
        for run, result in runs.results.items():
            # a tuner with code of its own is compared with its kind alone
            kind = own_tuners(runs.suite.method(run[0]).peft_types) if what == CODE else []
            for trait, value in traits(result).items():
                trait = " of ".join([trait, *kind])
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


def _collapsed(runs: Runs) -> list[Finding]:
    """Runs that predict the same for every sentence; a control is meant to."""
    found = []
    for unit in runs.units():
        method, state = unit
        if state == "gate_only" or runs.suite.method(method).kind == "majority":
            continue
        for seed, predicted in runs.predictions.by_run[unit].items():
            if (predicted != predicted[0]).any():
                continue
            labels = runs.task.labels
            always = f"'{labels[predicted[0]]}'" if labels else f"{predicted[0]:.4g}"
            found.append(
                Finding(
                    severity="warning",
                    about=f"{_called(runs, method, state)}, seed {seed}",
                    message=f"predicts {always} for every sentence: its training has collapsed",
                    runs=(runs.path((method, seed)),),
                    remedy="look at its curve; it counts as it is",
                )
            )
    return found


def _alike(runs: Runs) -> list[Finding]:
    """Methods whose seeds give the very same answers, which says nothing about other seeds."""
    found = []
    for unit in runs.units():
        method, state = unit
        seeds = runs.seeds(unit)
        control = runs.suite.method(method).kind == "majority"
        if len(seeds) < 2 or state == "gate_only" or control:
            continue
        said = runs.predictions.table(unit, seeds)
        if (said != said[0]).any():
            continue
        name = _called(runs, method, state)
        found.append(
            Finding(
                severity="note",
                about=name,
                message=f"all {len(seeds)} seeds of {name} give the very same answers, which says "
                "nothing about other seeds: what is claimed of its value stays undecided",
                runs=runs.paths(method, seeds),
            )
        )
    return found


def _below_controls(runs: Runs) -> list[Finding]:
    """Methods not better than a control: the commoner label, or a head on a frozen body."""
    standing = {"majority": 0, "head_only": 1}  # every other kind should beat both
    levels = {name: standing.get(method.kind, 2) for name, method in runs.suite.methods.items()}
    found = []
    for unit, control in itertools.product(runs.units(), levels):
        method, state = unit
        if state == "gate_only" or levels[control] == 2 or levels[control] >= levels[method]:
            continue
        other = (control, "unpruned")
        seeds = runs.seeds(unit, other)
        if not seeds:
            continue
        name, shown = _called(runs, *unit), f"{control} ({_shown(runs, other, seeds)})"
        said = f"{name} with {_shown(runs, unit, seeds)} "
        if runs.headline.sign * runs.headline.mean_difference(unit, other, seeds) <= 0:
            learned = "adapted" if levels[control] else "learned"
            severity, message = "warning", f"{said}is not better than {shown}: {learned} nothing"
        elif len(seeds) > 2 and not _clearly_better(runs, unit, other, seeds):
            severity, message = "note", f"{said}is not clearly better than {shown}"
        else:
            continue
        paths = runs.paths(method, seeds) + runs.paths(control, seeds)
        found.append(Finding(severity=severity, about=name, message=message, runs=paths))
    return found


def _clearly_better(runs: Runs, a: Unit, b: Unit, seeds: tuple[int, ...]) -> bool:
    spread = runs.headline.difference(a, b, seeds)
    return bool(judge_order(runs.headline.sign * spread.mean, spread.p_value()) > 0)


def _shown(runs: Runs, unit: Unit, seeds: tuple[int, ...]) -> str:
    """A mean of the headline metric for a sentence: '94.51 %'."""
    return _in_words(runs, float(runs.headline.values(unit, seeds).mean()))


def _in_words(runs: Runs, value: float) -> str:
    metric = runs.task.headline
    after = " %" if metric.unit == "%" else ""
    return number(value, metric.places) + after


def _outliers(runs: Runs) -> list[Finding]:
    """Seeds far from their siblings, as trained.

    With three seeds a method's own spread says little, so a seed must be far by three measures
    from the median of its siblings: three standard errors due to the sentences; eight times the
    usual spread of the suite's methods (the median of their standard deviations, this method's
    without the seed); and five times the range of its siblings. Asked only where three methods
    have a spread.
    """
    values = {
        unit: dict(zip(seeds, runs.headline.values(unit, seeds), strict=True))
        for unit in runs.units()
        if unit[1] == "unpruned" and (seeds := runs.seeds(unit))
    }
    usual = {
        unit: np.std(list(seeds.values()), ddof=1)
        for unit, seeds in values.items()
        if len(seeds) > 1
    }
    found = []
    for unit, seeds in values.items():
        if len(seeds) < 3:
            continue
        for seed, value in seeds.items():
            siblings = {key: other for key, other in seeds.items() if key != seed}
            spreads = [np.std(list(siblings.values()), ddof=1)]
            spreads += [spread for other, spread in usual.items() if other != unit]
            spreads = [spread for spread in spreads if spread > 0]
            if len(spreads) < 3:
                continue
            middle = float(np.median(list(siblings.values())))
            least = max(8 * np.median(spreads), 5 * np.ptp(list(siblings.values())))
            if abs(value - middle) <= least:
                continue
            chance = np.median([runs.headline.sentence_error(unit, key) for key in siblings])
            if abs(value - middle) > 3 * chance:
                run = (unit[0], seed)
                found.append(
                    Finding(
                        severity="warning",
                        about=f"{unit[0]}, seed {seed}",
                        message=f"its {_in_words(runs, value)} lie far from its siblings' "
                        f"{_in_words(runs, middle)}: did its training go wrong?",
                        runs=(runs.path(run),),
                        remedy=runs.remake(run),
                    )
                )
    return found


def _edges(runs: Runs) -> list[Finding]:
    """Of a sweep over learning rates, methods whose best one is the least or the largest tried.

    A sweep names its rows '<method>.<values>', and is judged on training sentences held out.
    """
    if runs.suite.protocol.evaluate_on != "holdout":
        return []
    families: dict[str, list[str]] = {}
    for name in runs.suite.methods:
        base, dot, _ = name.partition(".")
        if dot:
            families.setdefault(base, []).append(name)
    found = []
    for base, rows in families.items():
        for key in ("learning_rate", "head_learning_rate"):
            rates = {name: getattr(runs.suite.method(name), key) for name in rows}
            tried = sorted({rate for rate in rates.values() if rate is not None})
            units = {name: (name, runs.headline_state(name)) for name in rows}
            values = {
                name: runs.headline.sign * float(runs.headline.values(unit, seeds).mean())
                for name, unit in units.items()
                if (seeds := runs.seeds(unit))
            }
            if len(tried) < 2 or len(values) < len(rows):
                continue  # not swept, or not all there yet
            best = [name for name, value in values.items() if value == max(values.values())]
            if not all(rates[name] in (tried[0], tried[-1]) for name in best):
                continue
            pruned = " of pruned models" if runs.suite.method(best[0]).gated else ""
            at = " and ".join(f"{rate:g}" for rate in sorted({rates[name] for name in best}))
            found.append(
                Finding(
                    severity="warning",
                    about=base,
                    message=f"the best {key}{pruned} lies at the edge of the tried ones: {at} of "
                    f"{', '.join(f'{rate:g}' for rate in tried)}",
                    runs=tuple(path for name in best for path in runs.paths(name)),
                    remedy=f"sweep values beyond it: sweep.{base}.{key}",
                )
            )
    return found


def _tunings(runs: Runs) -> list[Finding]:
    """Methods without the trials that the suite asks for, or whose best trial lies at an edge."""
    suite, found = runs.suite, []
    for name in suite.tuned_methods():
        try:
            tuning = read_tuning(suite, name, runs.layout)
        except InputError as error:
            found.append(
                Finding(
                    severity="error", about=name, message=error.problem, remedy=error.remedy,
                )
            )  # fmt: skip
            continue
        for key, end in tuning.edges.items():
            tried = ", ".join(f"{trial.values[key]:g}" for trial in tuning.trials)
            found.append(
                Finding(
                    severity="warning",
                    about=name,
                    message=f"the best of {len(tuning.trials)} trials has the {end} {key} tried, "
                    f"{tuning.best.values[key]:g} of {tried}: a better one may lie beyond",
                    runs=runs.paths(name),
                    remedy=f"widen methods.{name}.tune.{key}, and the others' ranges alike",
                )
            )
    return found


def _called(runs: Runs, method: str, state: str) -> str:
    """A method by its name in files and commands: 'lora', or 'wsa (pruned)' with several states."""
    return f"{method} ({STATE_WORDS[state]})" if runs.suite.method(method).gated else method


def _places(result: Result) -> list[Environment]:
    return list(result.provenance.environments.values())


def _versions(result: Result) -> dict[str, str]:
    names = {name for place in _places(result) for name in place.versions}
    return {name: _listed(place.versions.get(name) for place in _places(result)) for name in names}


def _hardware(result: Result) -> dict[str, str]:
    fields = ("processor", "accelerator", "threads", "blas", "platform")
    return {field: _listed(getattr(place, field) for place in _places(result)) for field in fields}


def _execution(result: Result) -> dict[str, str]:
    """Whether a run was trained by itself: 'single' and 'packed' agree within round-off only."""
    execution = result.provenance.execution
    return {"": execution.mode if execution else "single"}


def _listed(values: Iterable[object]) -> str:
    """The different values that the stages of one run had."""
    return ", ".join(sorted({"none" if value is None else str(value) for value in values}))


# what must be alike in all runs, how grave it is if not, and the traits that show it
CODE = "the code of the stage '{}'"
ALIKE: tuple[tuple[str, str, Callable[[Result], dict[str, str]]], ...] = (
    ("the data", "error", lambda result: {"": result.provenance.data[:12]}),
    ("the model's weights", "error", lambda result: {"": result.provenance.model[:12]}),
    ("the version of {}", "warning", _versions),
    ("hardware ({})", "warning", _hardware),
    (
        CODE,
        "warning",
        lambda result: {
            result.provenance.code_stage(stage): sha[:12]
            for stage, sha in result.provenance.code.items()
        },
    ),
    ("their execution, which moves their last digits", "note", _execution),
)
