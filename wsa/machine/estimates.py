"""What a run will cost, told before it runs: seconds, memory, and how the figures were got.

The best source there is: records of the same run on this machine; else the arithmetic of tokens ×
parameters, at the rate of other runs on this machine; else that arithmetic at a rate stated here.
Imports neither torch nor transformers, and takes milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from wsa.errors import InputError
from wsa.layout import Layout, runs_below
from wsa.machine.devices import gpu_names, nvidia_smi
from wsa.machine.environment import processor
from wsa.records.tuning import tuned
from wsa.suite.load import load_suite
from wsa.suite.schema import DataSize, Method, ModelSize, ModelSpec, Protocol, SplitSize, Suite

# FLOP/s of one CPU thread in float32: as in published/minilm-l6_ablations, on an AMD EPYC (family
# 26) with AVX512; a test holds it against those records
CPU_RATE = 60e9
# assumed, not measured: float32 on an RTX A6000 reaches 38.7 TFLOP/s by its data sheet, ...
GPU_RATE = 40e12
# ... and small batches wait for the host: DeBERTa-v3-base takes some 1,400 operators a step
# (counted on a CPU, where it is as many), at 10 µs each (assumed)
GPU_STEP_SECONDS = 0.015

# the share of tokens that are no padding: SST-2 in batches of 32 from windows of 50
SORTED_SHARE = 0.95
# how often a token meets every matrix, forward and backward; measured times are as 2.6 : 1.8 : 1
PASSES = {"full": 3, "adapter": 2, "head_only": 1, "majority": 0}

# bytes of a process that has imported torch and transformers, and of CUDA in it (assumed)
PROCESS, CUDA = 0.5 * 2**30, 0.6 * 2**30
CUDA_PROCESS = 4 * 2**30  # a process's own memory with CUDA's libraries; assumed, not measured

# taken where nothing is known
BERT_BASE = ModelSize(
    num_hidden_layers=12, hidden_size=768, num_attention_heads=12, intermediate_size=3072,
    vocab_size=30522,
)  # fmt: skip
SST2 = DataSize(
    train=SplitSize(sentences=67349, mean_length=13.3, longest=66),
    validation=SplitSize(sentences=872, mean_length=25.5, longest=60),
    random_batch=40.1,
)

READ = 5  # records of one method at most
ENOUGH = 40  # of all methods together
ANY = "another machine"


@dataclass(frozen=True)
class Machine:
    """What computes: a GPU, by its name, or else the processor."""

    processor: str
    accelerator: str | None

    @classmethod
    def here(cls) -> Machine:
        return cls(processor(), next(iter(gpu_names()), None))

    @classmethod
    def elsewhere(cls, gpu: bool) -> Machine:
        """A machine that is not known yet, as on a cluster: any other is like it."""
        return cls(ANY, ANY if gpu else None)

    def is_like(self, other: Machine) -> bool:
        """Whether the same computes; beside a GPU the processor does not count."""
        if self.accelerator or other.accelerator:
            names = {self.accelerator, other.accelerator}
        else:
            names = {self.processor, other.processor}
        return len(names - {ANY}) < 2 and None not in names

    def __str__(self) -> str:
        return self.accelerator or self.processor


@dataclass(frozen=True)
class Estimate:
    """The cost of one run: one method with one seed.

    Attributes:
        train_seconds: of the training loop; importing and loading come on top.
        evaluate_seconds: of predicting with every state of the method.
        memory_bytes: the most held at once, on the GPU, or by the process where there is none.
        process_bytes: the most that the process holds in the machine's own memory.
        basis: how this was got.
    """

    train_seconds: float
    evaluate_seconds: float
    memory_bytes: int
    process_bytes: int
    basis: str

    @property
    def seconds(self) -> float:
        return self.train_seconds + self.evaluate_seconds


def estimate(
    suite: Suite, method_name: str, layout: Layout, machine: Machine | None = None
) -> Estimate:
    """What one run of `method_name` costs, for any seed.

    Args:
        suite: what would be run.
        method_name: one of its methods.
        layout: where records of earlier runs lie, and what is fetched already.
        machine: where it would run; default: this machine, on its GPU if it has one.

    Raises:
        InputError: the suite has no such method.
    """
    machine = machine or Machine.here()
    found = _arithmetic(suite, method_name, layout, machine)
    runs = list(_measured(suite, method_name, layout, machine))
    if runs:
        peak = max(run.memory_bytes for run in runs)
        evaluated = [run.evaluate_seconds for run in runs if run.evaluate_seconds is not None]
        return Estimate(
            statistics.median(run.train_seconds for run in runs),
            statistics.median(evaluated) if evaluated else found.evaluate_seconds,
            peak,
            found.process_bytes if machine.accelerator else peak,
            f"as measured in {_count(len(runs), 'earlier run')} on {machine}",
        )
    ratios = _measured_over_arithmetic(suite, layout, machine)
    if not ratios:
        return found
    factor = statistics.median(ratios)
    return replace(
        found,
        train_seconds=factor * found.train_seconds,
        evaluate_seconds=factor * found.evaluate_seconds,
        basis=f"tokens × parameters at the rate of {_count(len(ratios), 'other run')} on {machine}",
    )


def summary(suite: Suite, layout: Layout, machine: Machine | None = None) -> str:
    """In one line: how many runs, how long one after the other, how much memory, on what basis."""
    machine = machine or Machine.here()
    found = {name: estimate(suite, name, layout, machine) for name in suite.methods}
    left = [
        name
        for name, seed in suite.runs()
        if not layout.run(suite.name, name, seed).result.exists()
    ]
    runs = _count(len(suite.runs()), "run")
    if not left:
        return f"{runs}, all of them with a result"
    if len(left) < len(suite.runs()):
        runs += f", {len(left)} of them without a result"
    together = " and ".join(dict.fromkeys(e.basis for e in found.values() if e.seconds))
    return (
        f"{runs}: about {_duration(sum(found[name].seconds for name in left))} one after the "
        f"other, with up to {_gigabytes(max(found[name].memory_bytes for name in left))} of memory "
        f"({together or 'nothing is trained'})"
    )


def check_gpu_memory(
    suite: Suite, methods: Iterable[str], layout: Layout, gpu: tuple[str, int] | None
) -> None:
    """Refuse methods that do not fit on the GPU, before anything is trained.

    Args:
        suite: what would be run.
        methods: which methods of it.
        layout: see `estimate`.
        gpu: its name and its bytes, `largest_gpu()` or `free_gpu()`; None: nothing to check.

    Raises:
        InputError: names the method, what it needs and what there is.
    """
    if gpu is None:
        return
    name, available = gpu
    for method in methods:
        found = estimate(suite, method, layout, Machine(processor(), name))
        if found.memory_bytes > available:
            raise InputError(
                f"method '{method}' needs about {_gigabytes(found.memory_bytes)} on the GPU for "
                f"its longest batch, and {name} has {_gigabytes(available)}",
                file=layout.suite_file(suite.name), key="protocol.batch_size",
                value=suite.protocol.batch_size,
                remedy="a GPU with more memory, or a smaller batch_size or max_length; or without "
                "a GPU: CUDA_VISIBLE_DEVICES= snakemake … --config allow_cpu=true",
            )  # fmt: skip


def largest_gpu() -> tuple[str, int] | None:
    """Name and bytes of this machine's largest GPU, as nvidia-smi tells them; without torch."""
    sizes = [line.split() for line in nvidia_smi("memory.total")]
    gpus = [
        (int(size[0]) * 2**20, name)
        for name, size in zip(gpu_names(), sizes, strict=False)
        if size[0].isdigit()
    ]
    return max(gpus)[::-1] if gpus else None


def free_gpu() -> tuple[str, int] | None:
    """Name and free bytes of the GPU that this process computes on; imports torch."""
    import torch

    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]


# --- arithmetic ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """What a run feeds to the model.

    Attributes:
        sentences: in an epoch.
        tokens: in an epoch, padding included.
        longest: tokens of the longest training sentence.
        evaluated: sentences.
        evaluated_tokens: of these.
    """

    sentences: int
    tokens: float
    longest: int
    evaluated: int
    evaluated_tokens: float


def _arithmetic(suite: Suite, name: str, layout: Layout, machine: Machine) -> Estimate:
    """The cost by tokens × parameters, at the rates that this module states."""
    method, protocol = suite.method(name), suite.protocol
    size, about_model = _model_size(suite.model, layout)
    work, about_data = _work(suite, layout)
    passes = protocol.epochs * PASSES[method.kind]
    states = (3 if method.gated else 1) if passes else 0
    train = 2 * _matrices(size) * passes * work.tokens
    evaluate = 2 * _matrices(size) * states * work.evaluated_tokens
    if machine.accelerator:
        steps = protocol.epochs * bool(passes) * work.sentences / protocol.batch_size
        batches = states * work.evaluated / protocol.batch_size
        train_seconds = max(train / GPU_RATE, steps * GPU_STEP_SECONDS)
        evaluate_seconds = max(evaluate / GPU_RATE, batches * GPU_STEP_SECONDS)
        rate = (
            f"{GPU_RATE / 1e12:g} TFLOP/s and at least {1000 * GPU_STEP_SECONDS:g} ms a step, "
            "assumed, not measured"
        )
    else:
        train_seconds, evaluate_seconds = (
            flops / (CPU_RATE * protocol.threads) for flops in (train, evaluate)
        )
        rate = f"{CPU_RATE / 1e9:g} GFLOP/s a thread, measured on an AMD EPYC (family 26)"
    memory = peak_bytes(method, size, work.longest, protocol.batch_size, machine)
    basis = "; ".join(filter(None, (f"tokens × parameters at {rate}", about_model, about_data)))
    return Estimate(train_seconds, evaluate_seconds, *memory, basis)


def _matrices(size: ModelSize) -> int:
    """Parameters that every token is multiplied with."""
    width = size.hidden_size
    return size.num_hidden_layers * (4 * width**2 + 2 * width * size.intermediate_size)


def peak_bytes(
    method: Method, size: ModelSize, longest: int, batch_size: int, machine: Machine
) -> tuple[int, int]:
    """Bytes at the peak, of the device and of the process, in float32."""
    width, inner, layers = size.hidden_size, size.intermediate_size, size.num_hidden_layers
    scores = size.num_attention_heads * longest
    weights = size.vocab_size * width + _matrices(size)
    # numbers that are kept of a token for the way back, counted in BERT and DeBERTa with dropout
    if method.kind == "full":
        trained, kept = weights, layers * (13 * width + 2 * inner + 3 * scores)
    elif method.kind == "adapter":
        # as if all six matrices of a layer were adapted
        trained = layers * (method.rank or 8) * (10 * width + 2 * inner)
        kept = layers * (11 * width + inner + 3 * scores)
    elif method.kind == "head_only":  # nothing goes back: those of the layer at work
        trained, kept = width**2, 6 * width + 2 * inner + 2 * scores
    else:
        trained = kept = weights = 0
    # a weight that trains has a gradient and AdamW's two moments
    device = 4 * (weights + 3 * trained + kept * longest * batch_size)
    if machine.accelerator:
        return int(device + CUDA), int(CUDA_PROCESS + 8 * weights)
    process = int(PROCESS + device + 4 * weights)  # while it is loaded, the model is there twice
    return process, process


def _model_size(spec: ModelSpec, layout: Layout) -> tuple[ModelSize, str]:
    """The model's size, and a remark where that is a guess."""
    folders = [layout.model(spec.name)]
    if spec.source.kind == "path":
        folders.append(Path(os.path.expandvars(spec.source.path)).expanduser())
    for folder in folders:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            return ModelSize(**{key: config[key] for key in ModelSize.model_fields}), ""
    if spec.size:
        return spec.size, ""
    return BERT_BASE, f"model '{spec.name}' taken to be as large as BERT-base"


def _work(suite: Suite, layout: Layout) -> tuple[_Work, str]:
    """What is fed to the model, and a remark where that is a guess."""
    protocol = suite.protocol
    path = layout.tokens(suite.model.name, suite.data.name)
    # a damaged file is for its reader to name
    with contextlib.suppress(OSError, SafetensorError, KeyError, ValueError):
        judged = suite.data.validation[0]
        return _work_of_tokens(path, path.stat().st_mtime_ns, protocol, judged), ""
    size, known = _full_size(suite)
    available, evaluated = size.train.sentences, size.validation
    if protocol.evaluate_on == "holdout":
        available = max(1, available - protocol.holdout_sentences)
        evaluated = size.train.model_copy(update={"sentences": protocol.holdout_sentences})
    sentences = min(protocol.train_sentences or available, available)
    padded = size.random_batch
    if protocol.batching == "sorted_windows":
        padded = size.train.mean_length / SORTED_SHARE
    limit = protocol.max_length
    work = _Work(
        sentences,
        sentences * min(padded, limit),
        min(size.train.longest, limit),
        evaluated.sentences,
        evaluated.sentences * min(evaluated.mean_length, limit),
    )
    return work, "" if known else f"lengths of data '{suite.data.name}' taken to be like SST-2's"


def _full_size(suite: Suite) -> tuple[DataSize, bool]:
    """The data set's size, with SST-2's lengths (twice, for pairs) where it gives none; whether
    nothing had to be taken so.
    """
    given = suite.data.size or SST2
    parts = len(suite.data.text)
    like = {
        split: {
            "mean_length": parts * getattr(SST2, split).mean_length,
            "longest": parts * getattr(SST2, split).longest,
        }
        for split in ("train", "validation")
    }
    whole = {"random_batch": parts * SST2.random_batch} | given.model_dump(exclude_none=True)
    for split, lengths in like.items():
        whole[split] = lengths | whole[split]
    known = suite.data.size is not None and whole == given.model_dump()
    return DataSize.model_validate(whole), known


@functools.lru_cache(maxsize=16)
def _work_of_tokens(path: Path, written: int, protocol: Protocol, validation: str) -> _Work:
    """The same from tokenised sentences; a subset by another draw of as many sentences.

    `written` is when the file was, so that a new one is read again.
    """
    import numpy as np

    from wsa.learning.batches import training_batches

    with safe_open(path, framework="numpy") as file:
        train, evaluated = (
            np.minimum(np.diff(file.get_tensor(f"{split}.offsets")), protocol.max_length)
            for split in ("train", validation)
        )
    longest = int(train.max())
    train = np.random.default_rng(0).permutation(train)
    if protocol.evaluate_on == "holdout":
        evaluated, train = np.split(train, [min(protocol.holdout_sentences, len(train) - 1)])
    train = train[: protocol.train_sentences]
    one_epoch = protocol.model_copy(update={"epochs": 1})
    batches = training_batches(train, one_epoch, seed=0)
    tokens = sum(len(batch) * int(train[batch].max()) for batch in batches)
    return _Work(len(train), tokens, longest, len(evaluated), int(evaluated.sum()))


# --- records -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measured:
    """What a run did cost; `evaluate_seconds` is None where it has not been evaluated."""

    train_seconds: float
    evaluate_seconds: float | None
    memory_bytes: int


def _measured(suite: Suite, name: str, layout: Layout, machine: Machine) -> Iterator[_Measured]:
    """Runs of this method as it is configured now, on such a machine; `READ` of them at most."""
    own = [files for method, _, files in runs_below(layout.suite(suite.name)) if method == name]
    if not own:
        return
    alone = suite.model_copy(update={"methods": {name: suite.method(name)}})
    configuration = tuned(alone, layout).run_digest(name)
    for run in own[:READ]:
        # a record that is damaged or of another version tells nothing
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            training = json.loads(run.training.read_text(encoding="utf-8"))
            where = training["environment"]
            there = Machine(where["processor"], where["accelerator"])
            if where.get("execution"):  # a share of several runs' time, and the memory of all
                continue
            if training["configuration"] == configuration and there.is_like(machine):
                yield _Measured(
                    training["train_seconds"],
                    _evaluate_seconds(run.result),
                    training["peak_memory_bytes"],
                )


def _evaluate_seconds(result: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(result.read_text(encoding="utf-8"))
        return record["cost"]["evaluate_seconds"] * len(record["states"])
    return None


def _measured_over_arithmetic(suite: Suite, layout: Layout, machine: Machine) -> list[float]:
    """By what runs on this machine took longer than arithmetic says: the suite's, or another's."""
    for other in _suites_with_runs(suite, layout):
        ratios = []
        there = {method for method, _, _ in runs_below(layout.suite(other.name))}
        for name in sorted(there & {*other.methods}):
            expected = _arithmetic(other, name, layout, machine).train_seconds
            for run in _measured(other, name, layout, machine):
                if expected:
                    ratios.append(run.train_seconds / expected)
            if len(ratios) >= ENOUGH:
                break
        if ratios:
            return ratios
    return []


def _suites_with_runs(suite: Suite, layout: Layout) -> Iterator[Suite]:
    yield suite
    for folder in sorted(layout.results.glob("*/runs")):
        other = _load_suite(folder.parent.name, layout.config)
        if other is not None and other.name != suite.name:
            yield other


@functools.cache
def _load_suite(name: str, config: Path) -> Suite | None:
    with contextlib.suppress(InputError):  # results of a suite that is no more
        return load_suite(name, config)
    return None


# --- words ---------------------------------------------------------------------------------------


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
