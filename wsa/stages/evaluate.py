"""The evaluation stage: predictions of every state of a trained model, and the run's record."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wsa.errors import InputError
from wsa.files import check_files, file_hashes
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.learning.batches import TokenTable, evaluation_batches, evaluation_sentences
from wsa.learning.models import load_pretrained, load_trained
from wsa.learning.tokens import Tokens, load_tokens
from wsa.machine.devices import (
    accelerator_name,
    device_for_stage,
    nondeterministic_kernels,
    reproducible,
)
from wsa.machine.environment import environment, now
from wsa.records.predictions import write_predictions
from wsa.records.record import read_record, write_record
from wsa.records.run import (
    Cost,
    Parameters,
    Provenance,
    Pruning,
    Result,
    State,
    Training,
    check_origin,
)
from wsa.sources import verify
from wsa.suite.schema import Protocol, Suite

Logits = np.ndarray  # (sentences, 2), float32


def evaluate(suite: Suite, method_name: str, seed: int, layout: Layout) -> Result:
    """Evaluate one run; writes `predictions.parquet` and `result.json`.

    A gated method is evaluated in three states: `unpruned`, as trained; `pruned`, from the pruned
    adapter's own files; `gate_only`, the trained adapter with the gates below the threshold at
    zero. Any other method has `unpruned` alone.

    Raises:
        InputError: for damaged inputs, or predictions that are not finite.
    """
    started = now()
    method, protocol = suite.method(method_name), suite.protocol
    files = layout.run(suite.name, method_name, seed)
    training = read_record(files.training, Training)
    check_files(files.folder, training.files, remake=files.training)
    pruning = None
    if method.gated:
        pruning = read_record(files.pruning, Pruning)
        check_files(files.folder, pruning.files, remake=files.pruning)
    path = layout.tokens(suite.model.name, suite.data.name)
    tokens = evaluation_sentences(
        load_tokens(path, "train"), load_tokens(path, "validation"), protocol
    )
    here = {"configuration": suite.run_digest(method_name), "data": tokens.sha256}
    check_origin(training, files.training, **here)
    reproducible(protocol.threads)
    device = device_for_stage()
    table = TokenTable(tokens, device)
    begin = time.perf_counter()
    with nondeterministic_kernels() as kernels:
        if method.kind == "majority":
            logits = {
                "unpruned": _majority_logits(files.trained / "label_counts.json", len(tokens))
            }
        else:
            folder = layout.model(suite.model.name)
            check_origin(training, files.training, model=verify(folder))
            model = load_trained(load_pretrained(folder, seed), method, files.trained).to(device)
            begin = time.perf_counter()
            logits = {"unpruned": predict(model, table, protocol)}
            if pruning is not None:
                model.base_model.zero_gates_below(pruning.rank.threshold)
                logits["gate_only"] = predict(model, table, protocol)
                model.load_adapter(str(files.pruned), "pruned", torch_device=str(device))
                model.set_adapter("pruned")
                logits["pruned"] = predict(model, table, protocol)
    seconds = (time.perf_counter() - begin) / len(logits)

    predictions = write_predictions(files.predictions, _frame(logits, tokens))
    states = {state: _state(values, tokens.labels) for state, values in logits.items()}
    environments = {
        "train": training.environment,
        "evaluate": environment(started, accelerator=accelerator_name(), nondeterministic=kernels),
    }
    code = {"train": training.code, "evaluate": code_hash("evaluate")}
    if pruning is not None:
        code["prune"] = pruning.code
    result = Result(
        suite=suite.name,
        method=method_name,
        seed=seed,
        accuracy=states["pruned" if pruning else "unpruned"].accuracy,
        evaluated_on=protocol.evaluate_on,
        states=states,
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
        predictions=predictions,
        files=file_hashes(files.folder, [files.predictions]),
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


def predict(model: nn.Module, table: TokenTable, protocol: Protocol) -> Logits:
    """The logits of every sentence, in the order of the table: (sentences, 2), float32."""
    model.eval()
    logits = np.zeros((len(table.lengths), 2), dtype=np.float32)
    with torch.inference_mode():
        for indices in evaluation_batches(table.lengths, protocol):
            batch = table.batch(indices)
            del batch["labels"]
            with torch.autocast(
                next(model.parameters()).device.type,
                torch.bfloat16,
                enabled=protocol.precision == "bfloat16",
            ):
                logits[indices] = model(**batch).logits.float().cpu().numpy()
    return logits


def _majority_logits(path: Path, n: int) -> Logits:
    """The log frequencies of the training labels, for every sentence alike."""
    counts = np.asarray(json.loads(path.read_text()), dtype=np.float64)
    return np.tile(np.log((counts + 1) / (counts + 1).sum()).astype(np.float32), (n, 1))


def _state(logits: Logits, labels: np.ndarray) -> State:
    if not np.isfinite(logits).all():
        raise InputError("the model's logits are NaN or infinite")
    values = torch.from_numpy(logits.astype(np.float64))
    target = torch.from_numpy(labels.astype(np.int64))
    return State(
        accuracy=float((logits.argmax(1) == labels).mean()),
        loss=float(nn.functional.cross_entropy(values, target)),
        n=len(labels),
    )


def _frame(logits: dict[str, Logits], tokens: Tokens):
    import pandas as pd

    return pd.concat(
        [
            pd.DataFrame(
                {
                    "state": state,
                    "sentence_id": tokens.ids,
                    "label": tokens.labels,
                    "logit_0": values[:, 0],
                    "logit_1": values[:, 1],
                }
            )
            for state, values in logits.items()
        ],
        ignore_index=True,
    )
