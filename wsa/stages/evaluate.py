"""The evaluation stage: predictions of every state of a trained model, and the run's record."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from torch import nn

from wsa.errors import InputError
from wsa.files import file_hashes
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.predict import predict
from wsa.learning.tokens import Tokens
from wsa.machine.devices import nondeterministic_kernels
from wsa.records.predictions import table_of, write_predictions
from wsa.records.record import write_record
from wsa.records.run import Cost, Parameters, Provenance, Pruning, Result, Split, State
from wsa.stages.session import Session
from wsa.stages.train import LABELS_FILE
from wsa.suite.schema import Suite
from wsa.task import Task

Logits = Float32[np.ndarray, "sentences k"]


def evaluate(suite: Suite, method_name: str, seed: int, layout: Layout) -> Result:
    """Evaluate one run; writes its predictions on every validation split, and `result.json`.

    A gated method is evaluated in three states: `unpruned`, as trained; `pruned`, from the pruned
    adapter's own files; `gate_only`, the trained adapter with the gates below the threshold at
    zero. Any other method has `unpruned` alone.

    Raises:
        InputError: for damaged inputs, or predictions that are not finite.
    """
    session = Session(suite, layout)
    method, task = suite.method(method_name), session.task
    files = session.run(method_name, seed)
    training = session.read_training(method_name, seed)
    pruning = session.read_pruning(method_name, seed) if method.gated else None
    begin = time.perf_counter()
    with nondeterministic_kernels() as kernels:
        if method.kind == "majority":
            logits = _commonest(files.trained / LABELS_FILE, session.evaluation)
        else:
            model = session.trained(method, seed, files.trained).to(session.device)
            begin = time.perf_counter()
            logits = _predict(session, model, pruning, files.pruned)
    judged, *others = session.evaluation
    seconds = (time.perf_counter() - begin) / len(logits[judged])

    splits = {
        split: Split(
            states={
                state: _state(values, tokens.labels, task)
                for state, values in logits[split].items()
            },
            predictions=write_predictions(
                files.predictions if split == judged else files.further_predictions(split),
                table_of(logits[split], tokens.ids, tokens.labels),
            ),
        )
        for split, tokens in session.evaluation.items()
    }
    environments = {
        "train": training.environment,
        "evaluate": session.environment(nondeterministic=kernels),
    }
    code = {"train": training.code, "evaluate": code_hash("evaluate", method.peft_types)}
    if pruning is not None:
        code["prune"] = pruning.code
    quoted = splits[judged].states["pruned" if pruning else "unpruned"]
    result = Result(
        suite=suite.name,
        method=method_name,
        seed=seed,
        metric=task.headline.name,
        headline=quoted.metrics[task.headline.name],
        evaluated_on=suite.protocol.evaluate_on,
        states=splits[judged].states,
        further={split: splits[split] for split in others},
        rank=pruning.rank if pruning else None,
        parameters=Parameters(
            total=training.total_parameters,
            trainable=training.trainable_parameters,
            head=training.head_parameters,
            kept=pruning.kept_parameters if pruning else training.trainable_parameters,
        ),
        schedule=training.schedule,
        cost=Cost(
            train_seconds=training.train_seconds,
            evaluate_seconds=seconds,
            sentences_per_second=training.sentences_per_second,
            peak_memory_bytes=training.peak_memory_bytes,
            peak_memory_of=training.peak_memory_of,
        ),
        predictions=splits[judged].predictions,
        files=file_hashes(
            files.folder, [files.predictions, *map(files.further_predictions, others)]
        ),
        provenance=Provenance(
            configuration=training.configuration,
            model=training.model,
            data=training.data,
            factors=training.factors,
            code=code,
            environments=environments,
        ),
    )
    write_record(files.result, result)
    return result


def _predict(
    session: Session, model: nn.Module, pruning: Pruning | None, pruned: Path
) -> dict[str, dict[str, Logits]]:
    """split → state → the logits of its sentences."""
    tables = {
        split: TokenTable(tokens, session.device) for split, tokens in session.evaluation.items()
    }
    logits: dict[str, dict[str, Logits]] = {split: {} for split in tables}
    for state in _states(model, pruning, pruned):
        for split, table in tables.items():
            logits[split][state] = predict(model, table, session.protocol)
    if pruning is not None and "gate_only" not in logits[next(iter(tables))]:
        for of_split in logits.values():
            of_split["gate_only"] = of_split["pruned"]
    return logits


def _states(model: nn.Module, pruning: Pruning | None, pruned: Path) -> Iterator[str]:
    """Bring the model from one state to the next; yields the name of each.

    A gate that multiplies the whole direction takes all of it away: "gate_only" is then "pruned" by
    definition, and left out.
    """
    yield "unpruned"
    if pruning is not None:
        if model.active_peft_config.gate != "direction":
            model.base_model.zero_gates_below(pruning.rank.threshold)
            yield "gate_only"
        device = next(model.parameters()).device
        model.load_adapter(str(pruned), "pruned", torch_device=str(device))
        model.set_adapter("pruned")
        yield "pruned"


def _commonest(path: Path, splits: Mapping[str, Tokens]) -> dict[str, dict[str, Logits]]:
    """The log frequencies of the training labels, or their mean, for every sentence alike."""
    labels = json.loads(path.read_text())
    if "mean" in labels:
        same = np.array([labels["mean"]])
    else:
        counts = np.asarray(labels["counts"], dtype=np.float64)
        same = np.log((counts + 1) / (counts + 1).sum())
    return {
        split: {"unpruned": np.tile(same.astype(np.float32), (len(tokens), 1))}
        for split, tokens in splits.items()
    }


def _state(logits: Logits, labels: np.ndarray, task: Task) -> State:
    if not np.isfinite(logits).all():
        raise InputError("the model's logits are NaN or infinite")
    return State(
        metrics=task.measure(logits, labels), loss=task.loss(logits, labels), n=len(labels)
    )
