"""The training stage: one method with one seed, by the same loop for every method."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from torch import nn

from wsa.adapters.factors import FactorCache
from wsa.files import atomic_folder, check_space, file_hashes
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import is_head, save_trained
from wsa.learning.tokens import Tokens
from wsa.machine.devices import nondeterministic_kernels
from wsa.records.record import write_record
from wsa.records.run import Training
from wsa.stages.session import Session
from wsa.suite.schema import Suite

LABELS_FILE = "labels.json"  # what the training labels are, for a method that trains nothing


def train(
    suite: Suite,
    method_name: str,
    seed: int,
    layout: Layout,
    checkpoint_seconds: float | None = None,
) -> Training:
    """Train `method_name` of `suite` with `seed`; writes `trained/`, the curve and the record.

    A training that was interrupted goes on from its last state, to the same bits as without.

    Args:
        suite: what to train.
        method_name: one of the suite's methods.
        seed: of the head's start, the order of the sentences and dropout.
        layout: where inputs lie and results go.
        checkpoint_seconds: how often the state is saved; 0: after every step.

    Raises:
        InputError: for damaged inputs, an impossible configuration, a loss that is not finite, or
            too little memory or disk.
    """
    method = suite.method(method_name)
    session = Session(suite, layout)
    files = session.run(method_name, seed)
    files.training.unlink(missing_ok=True)
    tokens = session.training
    model, factors = None, None
    if method.kind != "majority":
        model = session.attached(method, seed)
        factors = _factors_used(model, suite.factor_rank(method_name), suite, layout)
    inputs = {
        "model": session.model_hash,
        "data": tokens.sha256,
        "factors": factors,
        "configuration": suite.run_digest(method_name),
        "code": code_hash("train", method.peft_types),
    }
    machine = session.environment().model_dump(
        include={"versions", "processor", "accelerator", "threads", "blas"}
    )
    identity = {**inputs, **machine, "seed": seed}
    checkpoints = Checkpoints(files.checkpoints, identity, checkpoint_seconds)

    loop = Loop(model, method, suite, seed, TokenTable(tokens, session.device), session.device)
    kernels: list[str] = []
    if model is not None:
        check_space(files.folder, loop.bytes_on_disk())
        with nondeterministic_kernels() as kernels:
            loop.run(f"{suite.name} {method_name} seed {seed}", checkpoints)
        model = loop.model
    with atomic_folder(files.trained) as folder:
        if model is None:
            _save_labels(tokens, session.task.classes, folder)
        else:
            save_trained(model, method, folder)
    loop.curves.write(files)

    counted = dict(model.named_parameters()) if model is not None else {}
    trainable = {n: p.numel() for n, p in counted.items() if p.requires_grad}
    record = Training(
        suite=suite.name,
        method=method_name,
        seed=seed,
        schedule=loop.schedule(),
        trained_sentences=loop.sentences,
        train_seconds=loop.seconds,
        sentences_per_second=loop.sentences / loop.seconds if loop.seconds else 0.0,
        peak_memory_bytes=loop.peak_memory(),
        peak_memory_of="accelerator" if session.device.type == "cuda" else "process",
        total_parameters=sum(p.numel() for p in counted.values()),
        trainable_parameters=sum(trainable.values()),
        head_parameters=sum(n for name, n in trainable.items() if is_head(name, suite.model)),
        final_loss=loop.curves.rows[-1]["loss"] if loop.curves.rows else None,
        continued_at=loop.continued_at,
        files=file_hashes(files.folder, [files.trained, files.curve, files.gates]),
        environment=session.environment(trains=True, nondeterministic=kernels),
        **inputs,
    )
    write_record(files.training, record)
    checkpoints.remove()
    return record


def _save_labels(tokens: Tokens, classes: int, folder: Path) -> None:
    """How often each class occurs among the training labels; of numbers, their mean."""
    if classes:
        found = {"counts": np.bincount(tokens.labels, minlength=classes).tolist()}
    else:
        found = {"mean": float(tokens.labels.mean(dtype=np.float64))}
    (folder / LABELS_FILE).write_text(json.dumps(found) + "\n")


def _factors_used(
    model: nn.Module, rank: int | str | None, suite: Suite, layout: Layout
) -> str | None:
    """One hash over the cached factors that the adapters started from; None if from none."""
    if rank is None:
        return None
    layers = model.base_model.spectral_layers().values()
    keys = (key for layer in layers for key in layer.factor_keys.values())
    index = layout.factor_index(suite.model.name, rank)
    return FactorCache(layout.factors).digest(keys, index)
