"""The tuning stage: from a method's trials to the values that its seeds run with."""

from __future__ import annotations

from wsa.errors import InputError, remake
from wsa.layout import Layout, RunFiles
from wsa.records.record import read_record, write_record
from wsa.records.run import Result
from wsa.records.tuning import MethodTuning, Trial
from wsa.suite.schema import Suite
from wsa.suite.tuning import trial_names, trial_values, trials_of


def tune(suite: Suite, method_name: str, layout: Layout) -> MethodTuning:
    """Choose among the trials of `method_name`; writes `layout.tuning(suite.name, method_name)`.

    The trial with the best headline metric as trained, on the training sentences held out, is
    chosen: what pruning takes away afterwards is a result, and nothing is tuned by it. Of several
    that are equal, the middle one.

    Args:
        suite: with `tuning`, as its file says it.
        method_name: a method of it that trains.
        layout: where the trials' records lie.

    Raises:
        InputError: nothing is tuned there, or a trial is missing or was run otherwise.
    """
    method = suite.method(method_name)
    if method_name not in suite.tuned_methods():
        raise InputError(
            f"method '{method_name}' has nothing to tune", file=layout.suite_file(suite.name),
            key="tuning", remedy="a suite with tuning: {trials: 8}, and a method with ranges: "
            "tune: {learning_rate: [1.0e-4, 1.0e-2]}",
        )  # fmt: skip
    if suite.tuning.of:
        raise InputError(
            f"suite '{suite.name}' takes its values from the trials of another",
            file=layout.suite_file(suite.name), key="tuning.of", value=suite.tuning.of,
            remedy=f"wsa tune {suite.tuning.of} {method_name}",
        )  # fmt: skip
    trials, metric = trials_of(suite), suite.data.task.headline
    names = trial_names(suite, method_name)
    results = [_result(trials, name, layout) for name in names]
    found = [
        Trial(
            method=name,
            values=values,
            states={state: one.metrics[metric.name] for state, one in result.states.items()},
            result=_run(trials, name, layout).result.relative_to(layout.results).as_posix(),
            predictions=result.predictions,
        )
        for name, values, result in zip(
            names, trial_values(method, len(names)), results, strict=True
        )
    ]
    sign = 1 if metric.greater_is_better else -1
    scores = [sign * trial.states["unpruned"] for trial in found]
    best = [trial for trial, score in zip(found, scores, strict=True) if score == max(scores)]
    chosen = best[(len(best) - 1) // 2]
    record = MethodTuning(
        suite=suite.name,
        method=method_name,
        metric=metric.name,
        seed=suite.tuning.seed,
        steps=results[0].schedule.steps,
        sentences=results[0].states["unpruned"].n,
        ranges=method.tune,
        trials=tuple(found),
        chosen=chosen.method,
        edges=_edges(chosen, found),
    )
    write_record(layout.tuning(suite.name, method_name), record)
    return record


def _run(trials: Suite, name: str, layout: Layout) -> RunFiles:
    return layout.run(trials.name, name, trials.seeds[0])


def _result(trials: Suite, name: str, layout: Layout) -> Result:
    """The record of a trial; InputError unless it was made as the suite now says."""
    path = _run(trials, name, layout).result
    result = read_record(path, Result)
    if result.provenance.configuration != trials.run_digest(name):
        raise InputError(
            "was made with another configuration than the suite's", file=path,
            key="provenance.configuration", value=result.provenance.configuration,
            remedy=f"run it again: {remake(path)}",
        )  # fmt: skip
    return result


def _edges(chosen: Trial, trials: list[Trial]) -> dict[str, str]:
    """The keys of which no trial tried less, or more, than the chosen one: it may lie beyond."""
    edges = {}
    for key, value in chosen.values.items():
        tried = [trial.values[key] for trial in trials]
        if value in (min(tried), max(tried)):
            edges[key] = "least" if value == min(tried) else "largest"
    return edges
