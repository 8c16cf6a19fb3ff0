"""The headline metric against the threshold τ, from a trained adapter: no training."""

from __future__ import annotations

from wsa.adapters.pruning import prune
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.predict import predict
from wsa.records.evidence import ThresholdPoint, Thresholds
from wsa.records.record import read_record, write_record
from wsa.records.run import Result
from wsa.stages.session import Session
from wsa.suite.schema import Suite

Ranks = tuple[tuple[str, int], ...]  # every module with its rank

THRESHOLDS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def sweep_thresholds(suite: Suite, layout: Layout) -> Thresholds:
    """Prune the gated adapters of the suite's first seed ever more; writes `thresholds.json`.

    The suite's own threshold was fixed before: this shows what hung on it, and chooses nothing.
    What the evaluation of a run has predicted already, as trained and as pruned, is not predicted
    again.

    Raises:
        InputError: if no gated method has a finished run, or one is not what its record says.
    """
    session, seed = Session(suite, layout), suite.seeds[0]
    tokens, task = session.judged, session.task
    table = TokenTable(tokens, session.device)
    points: list[ThresholdPoint] = []
    for name, method in suite.methods.items():
        files = session.run(name, seed)
        if not method.gated or not files.result.exists():
            continue
        session.read_training(name, seed)
        values = _evaluated(read_record(files.result, Result))
        model = session.trained(method, seed, files.trained).to(session.device)
        for threshold in THRESHOLDS:
            pruned = prune(model, threshold)
            ranks = tuple(sorted(pruned.effective.items()))
            if ranks not in values:
                said = task.predicted(predict(model, table, suite.protocol))
                values[ranks] = float(task.headline.value(tokens.labels, said, task.classes))
            points.append(
                ThresholdPoint(
                    method=name,
                    threshold=threshold,
                    effective_rank=pruned.effective_mean,
                    kept_parameters=pruned.kept_parameters,
                    value=values[ranks],
                )
            )
    if not points:
        raise InputError(
            f"no run with gates and seed {seed} is evaluated",
            file=layout.suite(suite.name) / "runs", remedy="evaluate one first",
        )  # fmt: skip
    record = Thresholds(
        suite=suite.name,
        seed=seed,
        environment=session.environment(),
        evaluated_on=suite.protocol.evaluate_on,
        sentences=len(tokens),
        points=tuple(points),
    )
    write_record(layout.thresholds_json(suite.name), record)
    return record


def _evaluated(result: Result) -> dict[Ranks, float]:
    """The headline metric at the ranks at which a gated run was evaluated."""
    pruned = tuple(sorted(result.rank.effective_by_layer.items()))
    trained = tuple((module, result.rank.initial) for module, _ in pruned)
    values = {state: of_state.metrics[result.metric] for state, of_state in result.states.items()}
    return {pruned: values["pruned"], trained: values["unpruned"]}
