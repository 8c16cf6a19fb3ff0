"""The headline metric against the threshold τ, from a trained adapter: no training."""

from __future__ import annotations

from wsa.adapters.pruning import prune
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.predict import predict
from wsa.records.evidence import ThresholdPoint, Thresholds
from wsa.records.record import write_record
from wsa.stages.session import Session
from wsa.suite.schema import Suite

THRESHOLDS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def sweep_thresholds(suite: Suite, layout: Layout) -> Thresholds:
    """Prune the gated adapters of the suite's first seed ever more; writes `thresholds.json`.

    The suite's own threshold was fixed before: this shows what hung on it, and chooses nothing.

    Raises:
        InputError: if no gated method has a finished run, or one is not what its record says.
    """
    session, seed = Session(suite, layout), suite.seeds[0]
    tokens, task = session.judged, session.task
    table = TokenTable(tokens, session.device)
    points: list[ThresholdPoint] = []
    for name, method in suite.methods.items():
        files = session.run(name, seed)
        if not method.gated or not files.training.exists():
            continue
        session.read_training(name, seed)
        model = session.trained(method, seed, files.trained).to(session.device)
        ranks, value = None, 0.0
        for threshold in THRESHOLDS:
            pruned = prune(model, threshold)
            if pruned.effective != ranks:
                said = task.predicted(predict(model, table, suite.protocol))
                ranks = pruned.effective
                value = float(task.headline.value(tokens.labels, said, task.classes))
            points.append(
                ThresholdPoint(
                    method=name,
                    threshold=threshold,
                    effective_rank=pruned.effective_mean,
                    kept_parameters=pruned.kept_parameters,
                    value=value,
                )
            )
    if not points:
        raise InputError(
            f"no run with gates and seed {seed} is trained",
            file=layout.suite(suite.name) / "runs", remedy="train one first",
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
