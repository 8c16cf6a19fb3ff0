"""A plausible results folder, made in a second, for tests of the evidence and of the pages.

The numbers come from a random generator and mean nothing; the files are what a real suite leaves:
typed records, predictions whose accuracy and hash are the record's, curves, gates.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from wsa.files import atomic_path, sha256_file, sha256_json
from wsa.layout import Layout
from wsa.records.predictions import STATES, table_of, write_predictions
from wsa.records.record import write_record
from wsa.records.run import (
    Cost,
    Determinism,
    Environment,
    Parameters,
    Provenance,
    Pruning,
    Rank,
    Result,
    Schedule,
    Split,
    State,
    Training,
)
from wsa.suite.schema import Method, Suite
from wsa.task import Task

HEAD, LAYERS, WIDTH, BODY = 592_130, 12, 768, 183_831_552
MODULES = tuple(
    f"deberta.encoder.layer.{layer}.attention.self.{name}"
    for layer in range(LAYERS)
    for name in ("query_proj", "key_proj", "value_proj")
)
Percent = float


def make_suite(
    name: str = "tiny",
    seeds: Iterable[int] = (1, 2, 3),
    claims: Iterable[dict] = (),
    data: dict[str, object] | None = None,
) -> Suite:
    """The rows of the hypothesis (full, lora, spectral_a, wsa, head_only, majority) as a suite.

    Args:
        name: the suite's.
        seeds: the suite's.
        claims: as in its YAML.
        data: keys of the data set beside or in place of the usual ones: labels, metrics, splits.
    """
    source = {"kind": "path", "path": "nowhere"}
    adapters = {
        "lora": {"peft_type": "LORA", "r": 8, "lora_alpha": 16},
        "spectral_a": {"peft_type": "SPECTRAL", "r": 8},
        "wsa": {"peft_type": "WSA", "r": 16, "gate": "singular_value", "l1": 1e-3},
    }
    titles = {"lora": "LoRA r=8", "spectral_a": "Spectral Adapter r=8", "wsa": "WSA r=16"}
    methods: dict[str, dict] = {
        "full": {"title": "Full fine-tuning", "kind": "full", "learning_rate": 2e-5}
    }
    for key, adapter in adapters.items():
        methods[key] = {"title": titles[key], "adapter": adapter, "learning_rate": 2e-5}
    methods["head_only"] = {"title": "Head only", "kind": "head_only"}
    methods["majority"] = {"title": "Majority class", "kind": "majority"}
    return Suite.model_validate(
        {
            "name": name,
            "title": "A tiny suite",
            "question": "Does it hold?",
            "model": {
                "name": "tiny-model", "title": "Tiny model", "source": source,
                "target_modules": ["query_proj"], "head_modules": ["classifier", "pooler.dense"],
            },
            "data": {"name": "tiny-data", "title": "Tiny data", "source": source} | (data or {}),
            "seeds": list(seeds),
            "protocol": {
                "epochs": 3, "batch_size": 32, "batching": "sorted_windows", "max_length": 64,
                "schedule": "linear", "weight_decay": 0.01, "head_learning_rate": 1e-3,
            },
            "methods": methods,
            "claims": list(claims),
        }
    )  # fmt: skip


def many_methods(methods: int, seeds: int) -> tuple[Suite, dict[str, Percent]]:
    """A suite of `methods` rows (3, 6, 9 …), and the accuracy around which each lies."""
    raw = make_suite(seeds=range(seeds)).model_dump(mode="json")
    known = raw.pop("methods")
    chosen = {name: known[name] for name in ("full", "head_only", "majority")}
    accuracy = {"full": 95.0, "head_only": 83.0, "majority": 51.0}
    for number in range(methods // 3 - 1):
        for name, percent in (("lora", 93.0), ("spectral_a", 94.0), ("wsa", 94.2)):
            title = f"{known[name]['title']} ({number})"
            chosen[f"{name}.{number}"] = known[name] | {"title": title}
            accuracy[f"{name}.{number}"] = percent + 0.02 * number
    return Suite.model_validate(raw | {"methods": chosen}), accuracy


def make_results(
    layout: Layout,
    suite: Suite,
    accuracy: Mapping[str, Percent | Mapping[str, Percent]],
    seeds: Iterable[int] | None = None,
    rng_seed: int = 0,
    sentences: int = 872,
    effective_rank: float = 6.5,
) -> None:
    """Write the runs of every method named in `accuracy`.

    Args:
        layout: where to.
        suite: whose runs; `make_suite` or a loaded one.
        accuracy: method → the accuracy, in percent, around which its seeds lie; for a gated
            method it is that of `pruned` (and of the other states, too), or a mapping from
            state to percent. Methods left out have no runs. Where the label is a number, 100 is
            no error and 0 one as large as the labels' spread.
        seeds: default: the suite's.
        rng_seed: other numbers, other results; the same numbers, the same bits.
        sentences: in the evaluation set.
        effective_rank: around which the mean effective rank of gated methods lies.
    """
    world = np.random.default_rng(rng_seed)
    labels = _labels(suite.data.task, sentences, rng_seed)
    ids = [f"validation-{i:05d}" for i in range(sentences)]
    difficulty = world.normal(0.0, 2.0, sentences)
    for method, level in accuracy.items():
        taste = world.normal(0.0, 0.5, sentences)  # what this method finds hard
        for seed in suite.seeds if seeds is None else seeds:
            noise = np.random.default_rng([rng_seed, seed, zlib.crc32(method.encode())])
            _make_run(
                layout, suite, method, seed, noise, level, ids, labels,
                difficulty + taste, effective_rank,
            )  # fmt: skip


def _make_run(
    layout: Layout,
    suite: Suite,
    name: str,
    seed: int,
    noise: np.random.Generator,
    level: Percent | Mapping[str, Percent],
    ids: list[str],
    labels: np.ndarray,
    difficulty: np.ndarray,
    effective_rank: float,
) -> None:
    method, files = suite.method(name), layout.run(suite.name, name, seed)
    steps = 6315
    if method.gated and not isinstance(level, Mapping):
        level = {"unpruned": level, "pruned": level, "gate_only": level}
    elif not isinstance(level, Mapping):
        level = {"unpruned": level}
    task = suite.data.task
    states, digest = _write_predictions(
        files.predictions, task, method, level, ids, labels, difficulty, noise
    )
    further = {}
    for split in suite.data.validation[1:]:
        # other sentences with other names, the same labels
        path, names = files.further_predictions(split), [f"{split}-{own}" for own in ids]
        of_split = np.random.default_rng([seed, zlib.crc32(f"{name} {split}".encode())])
        found, own = _write_predictions(
            path, task, method, level, names, labels, difficulty[::-1], of_split
        )
        further[split] = Split(states=found, predictions=own)

    rate = method.learning_rate
    rates = (rate or 0.0) * (1 - np.arange(steps) / steps)
    logged = np.arange(0, steps, 25)
    gate_reach = float(rates.sum())
    _write(
        files.curve,
        pd.DataFrame(
            {
                "step": logged,
                "loss": 0.2 + 0.5 * np.exp(-logged / 800) + noise.normal(0, 0.03, logged.size),
                "learning_rate": rates[logged],
                "sum_of_learning_rates": np.cumsum(rates)[logged],
                "mean_gate": 0.6 * np.cumsum(rates)[logged] if method.gated else np.nan,
            }
        ),
    )
    trainable = {
        "full": BODY + HEAD, "head_only": HEAD, "majority": 0,
        "adapter": HEAD + len(MODULES) * method.rank * (2 * WIDTH + method.gated),
    }[method.kind]  # fmt: skip
    environment = Environment(
        versions={"python": "3.12.3", "torch": "2.13.0", "numpy": "2.4.6", "wsa": "0.1.0"},
        processor="Imaginary processor", accelerator=None, threads=1, blas="mkl avx512",
        platform="linux", determinism=Determinism(level="bitwise", raised_by=None),
        git_commit="0" * 40, git_clean=True, started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:05:00Z",
    )  # fmt: skip
    schedule = Schedule(
        steps=steps,
        learning_rate=rate,
        head_learning_rate=None if method.kind == "majority" else suite.protocol.head_learning_rate,
        gate_learning_rate=rate if method.gated else None,
        sum_of_learning_rates=float(rates.sum()),
        sum_of_gate_learning_rates=gate_reach if method.gated else None,
    )
    hashes = {
        "configuration": suite.run_digest(name), "model": sha256_json("model"),
        "data": sha256_json("data"), "factors": sha256_json("factors") if method.spectral else None,
    }  # fmt: skip
    seconds = 0.0 if method.kind == "majority" else float(80 + noise.normal(0, 2))
    memory = int(1.2e9 + trainable * 16)
    write_record(
        files.training,
        Training(
            suite=suite.name, method=name, seed=seed, schedule=schedule, trained_sentences=67349,
            train_seconds=seconds, sentences_per_second=67349 * 3 / seconds if seconds else 0.0,
            peak_memory_bytes=memory, peak_memory_of="process",
            total_parameters=BODY + HEAD, trainable_parameters=trainable,
            head_parameters=0 if method.kind == "majority" else HEAD, final_loss=0.2,
            files={"curve.parquet": sha256_file(files.curve)}, code=sha256_json("train"),
            environment=environment, **hashes,
        ),
    )  # fmt: skip
    kept, rank = trainable, None
    if method.gated:
        rank, kept = _prune(files, suite, name, seed, noise, effective_rank, gate_reach)
    write_record(
        files.result,
        Result(
            suite=suite.name, method=name, seed=seed,
            metric=task.headline.name, further=further,
            headline=states["pruned" if method.gated else "unpruned"].metrics[task.headline.name],
            evaluated_on=suite.protocol.evaluate_on, states=states, rank=rank,
            parameters=Parameters(
                total=BODY + HEAD, trainable=trainable,
                head=0 if method.kind == "majority" else HEAD, kept=kept,
            ),
            schedule=schedule,
            cost=Cost(
                train_seconds=seconds, evaluate_seconds=1.5,
                sentences_per_second=67349 * 3 / seconds if seconds else 0.0,
                peak_memory_bytes=memory, peak_memory_of="process",
            ),
            predictions=digest,
            provenance=Provenance(
                code={stage: sha256_json(stage) for stage in ("train", "prune", "evaluate")},
                environments={"train": environment, "evaluate": environment}, **hashes,
            ),
        ),
    )  # fmt: skip


def _labels(task: Task, sentences: int, rng_seed: int) -> np.ndarray:
    if not task.classes:
        own = np.random.default_rng([rng_seed, sentences])
        return own.uniform(0, 5, sentences).round(2).astype(np.float32)
    if task.classes == 2:
        return (np.arange(sentences) % 55 < 28).astype(np.int8)
    return (np.arange(sentences) % task.classes).astype(np.int8)


def _write_predictions(
    path, task: Task, method: Method, level: Mapping[str, Percent], ids: list[str],
    labels: np.ndarray, difficulty: np.ndarray, noise: np.random.Generator,
) -> tuple[dict[str, State], str]:  # fmt: skip
    """Each state's metrics, and the hash of the table."""
    logits = {
        state: _logits(task, method, percent, labels, difficulty, noise).astype(np.float32)
        for state, percent in level.items()
    }
    digest = write_predictions(path, table_of(logits, ids, labels))
    states = {
        state: State(
            metrics=task.measure(values, labels), loss=_loss(task, values, labels), n=len(labels)
        )
        for state, values in sorted(logits.items(), key=lambda item: STATES.index(item[0]))
    }
    return states, digest


def _logits(
    task: Task,
    method: Method,
    percent: Percent,
    labels: np.ndarray,
    difficulty: np.ndarray,
    noise: np.random.Generator,
) -> np.ndarray:
    """Logits whose margin for the right class is easy − difficulty + noise; or numbers."""
    n = labels.size
    if not task.classes:
        if method.kind == "majority":
            return np.full((n, 1), labels.mean())
        error = (difficulty + noise.normal(0.0, 0.7, n)) / 2.2 * labels.std()
        return (labels + (1 - percent / 100) * error)[:, None]
    if method.kind == "majority":
        if task.classes > 2:
            return np.tile(np.eye(task.classes)[0] / 20, (n, 1))
        margin = np.where(labels == 1, 0.05, -0.05)
    else:
        lottery = difficulty + noise.normal(0.0, 0.7, n)
        margin = np.quantile(lottery, percent / 100) - lottery + noise.normal(0.0, 0.06)
    if task.classes == 2:
        for_one = np.where(labels == 1, margin, -margin)
        return np.stack([-for_one / 2, for_one / 2], axis=1)
    # where it is wrong, the next class is taken for the right one
    logits = np.full((n, task.classes), -3.0)
    logits[np.arange(n), labels] = margin / 2
    logits[np.arange(n), (labels + 1) % task.classes] = -margin / 2
    return logits


def _loss(task: Task, logits: np.ndarray, labels: np.ndarray) -> float:
    values = logits.astype(float)
    if not task.classes:
        return float(((values[:, 0] - labels) ** 2).mean())
    return float((logsumexp(values, axis=1) - values[np.arange(len(values)), labels]).mean())


def _prune(
    files, suite: Suite, name: str, seed: int, noise: np.random.Generator,
    effective_rank: float, reach: float,
) -> tuple[Rank, int]:  # fmt: skip
    """Gates that pass the threshold in about `effective_rank` directions a module."""
    threshold, initial = 0.05, suite.method(name).rank
    share = np.clip((effective_rank + noise.normal(0, 0.3)) / initial, 0, 1)
    large = noise.random((len(MODULES), initial)) < share
    size = noise.uniform(0.0, threshold * 0.98, large.shape)
    gates = np.where(large, threshold * 1.02 + size / 2, size) * noise.choice([-1, 1], large.shape)
    steps = np.array([0, 3150, 6300])
    grid = np.stack([gates * step / steps[-1] for step in steps])
    _write(
        files.gates,
        pd.DataFrame(
            {
                "step": np.repeat(steps, gates.size),
                "module": np.tile(np.repeat(MODULES, initial), len(steps)),
                "direction": np.tile(np.arange(initial), len(steps) * len(MODULES)),
                "gate": grid.ravel(),
            }
        ),
    )
    by_layer = {module: int(kept) for module, kept in zip(MODULES, large.sum(1), strict=True)}
    rank = Rank(
        initial=initial, threshold=threshold,
        effective_mean=float(np.mean(list(by_layer.values()))),
        effective_by_layer=by_layer, sum_of_learning_rates=reach,
    )  # fmt: skip
    kept = HEAD + sum(by_layer.values()) * (2 * WIDTH + 1)
    write_record(
        files.pruning,
        Pruning(
            suite=suite.name, method=name, seed=seed, rank=rank, kept_parameters=kept, files={},
            code=sha256_json("prune"),
        ),
    )  # fmt: skip
    return rank, kept


def _write(path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
