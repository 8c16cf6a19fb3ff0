"""Accuracy against the threshold τ, from a trained adapter: no training."""

from __future__ import annotations

from wsa.adapters.pruning import prune
from wsa.errors import InputError
from wsa.files import check_files
from wsa.layout import Layout
from wsa.learning.batches import TokenTable, evaluation_sentences
from wsa.learning.models import load_pretrained, load_trained
from wsa.learning.tokens import load_tokens
from wsa.machine.devices import accelerator_name, device_for_stage, reproducible
from wsa.machine.environment import environment, now
from wsa.records.evidence import ThresholdPoint, Thresholds
from wsa.records.record import read_record, write_record
from wsa.records.run import Training
from wsa.sources import verify
from wsa.stages.evaluate import predict
from wsa.suite.schema import Suite

THRESHOLDS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def sweep_thresholds(suite: Suite, layout: Layout) -> Thresholds:
    """Prune the gated adapters of the suite's first seed ever more; writes `thresholds.json`.

    The suite's own threshold was fixed before: this shows what hung on it, and chooses nothing.

    Raises:
        InputError: if no gated method has a finished run, or one is not what its record says.
    """
    started = now()
    protocol, seed = suite.protocol, suite.seeds[0]
    reproducible(protocol.threads)
    device = device_for_stage()
    path = layout.tokens(suite.model.name, suite.data.name)
    tokens = evaluation_sentences(
        load_tokens(path, "train"), load_tokens(path, "validation"), protocol
    )
    table = TokenTable(tokens, device)
    folder = layout.model(suite.model.name)
    verify(folder)
    points: list[ThresholdPoint] = []
    for name, method in suite.methods.items():
        files = layout.run(suite.name, name, seed)
        if not method.gated or not files.training.exists():
            continue
        training = read_record(files.training, Training)
        check_files(files.folder, training.files, remake=files.training)
        model = load_trained(load_pretrained(folder, seed), method, files.trained).to(device)
        ranks, accuracy = None, 0.0
        for threshold in THRESHOLDS:
            pruned = prune(model, threshold)
            if pruned.effective != ranks:
                predicted = predict(model, table, protocol).argmax(1)
                ranks, accuracy = pruned.effective, float((predicted == tokens.labels).mean())
            points.append(
                ThresholdPoint(
                    method=name,
                    threshold=threshold,
                    effective_rank=pruned.effective_mean,
                    kept_parameters=pruned.kept_parameters,
                    accuracy=accuracy,
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
        environment=environment(started, accelerator=accelerator_name()),
        evaluated_on=protocol.evaluate_on,
        sentences=len(tokens),
        points=tuple(points),
    )
    write_record(layout.thresholds_json(suite.name), record)
    return record
