"""`python -m benchmarks.steps`: training steps of every method, ours and what else one would run.

A model of DeBERTa-v3-base's size with random weights, sentences of SST-2's lengths. Per round
every case trains on a few batches that represent an epoch: they lie at evenly spaced quantiles of
the batches' padded lengths. The references are Hugging Face's Trainer on the stock model with
random batches: with PEFT's LoRA, and with the dense-rebuild form of a spectral adapter.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn
from wsa.learning.batches import Indices, TokenTable, training_batches
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import attach
from wsa.learning.optimise import optimise
from wsa.learning.reproducible import reproducible
from wsa.learning.tokens import Tokens, offsets_of
from wsa.machine.devices import device_for_stage
from wsa.suite.load import load_suite
from wsa.suite.schema import Method, Suite

from benchmarks.deberta import add_size_arguments, random_deberta, size_in_words
from benchmarks.dense_rebuild import rebuild_dense
from benchmarks.lengths import sst2_lengths
from benchmarks.timing import (
    arguments,
    interleave,
    paired_ratio,
    peak_memory,
    report,
    synchronise,
    table,
)

Lengths = Int64[np.ndarray, " sentences"]
NEVER = 1e9  # seconds
TRAINER, OURS = "Trainer", "ours"


def random_sentences(lengths: Lengths, vocabulary: int) -> Tokens:
    """Sentences of these lengths, made of random words with random labels."""
    generator = np.random.default_rng(0)
    offsets = offsets_of(lengths)
    return Tokens(
        input_ids=generator.integers(5, vocabulary, offsets[-1], dtype=np.int32),
        segments=np.zeros(offsets[-1], dtype=np.int8),
        token_type_ids=None,
        offsets=offsets,
        labels=generator.integers(0, 2, len(lengths), dtype=np.int16),
        ids=[str(number) for number in range(len(lengths))],
        pad_token_id=0,
        sha256="",
    )


def padded_tokens(batch: Indices, lengths: Lengths) -> int:
    """Tokens of a batch, padding included."""
    return len(batch) * int(lengths[batch].max())


def real_share(batches: Sequence[Indices], lengths: Lengths) -> float:
    """The share of tokens in `batches` that are no padding."""
    real = sum(int(lengths[batch].sum()) for batch in batches)
    return real / sum(padded_tokens(batch, lengths) for batch in batches)


def representative(batches: Sequence[Indices], lengths: Lengths, count: int) -> list[Indices]:
    """`count` full batches at evenly spaced quantiles of padded length, in a fixed random order."""
    full = [batch for batch in batches if len(batch) == len(batches[0])]
    rising = sorted(full, key=lambda batch: padded_tokens(batch, lengths))
    places = ((np.arange(count) + 0.5) / count * len(rising)).astype(int)
    return [rising[place] for place in np.random.default_rng(0).permutation(places)]


# --- the cases -----------------------------------------------------------------------------------


class Workload:
    """What all cases share: the suite, a stock model on the CPU and the sentences."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        suite = load_suite(args.suite, args.config)
        self.suite: Suite = suite.model_copy(
            update={"protocol": suite.protocol.model_copy(update={"threads": args.threads})}
        )
        self.args, self.folder, self.device = args, folder, device_for_stage()
        lengths = np.random.default_rng(0).permutation(sst2_lengths())
        wanted = self.suite.protocol.train_sentences
        self.tokens = random_sentences(lengths[:wanted], args.vocabulary)
        self.tokens = self.tokens.truncated(self.suite.protocol.max_length)
        self.lengths = self.tokens.lengths
        self.steps = len(self.epoch("random")) * self.suite.protocol.epochs
        self.table = TokenTable(self.tokens, self.device)
        self._model = random_deberta(args)

    def model(self) -> nn.Module:
        """A stock model of the case's own; where memory is measured there is only one case."""
        return self._model if self.args.memory_of else copy.deepcopy(self._model)

    @functools.cache  # noqa: B019 - there is one workload
    def epoch(self, batching: str) -> list[Indices]:
        """The batches of one epoch."""
        protocol = self.suite.protocol.model_copy(update={"batching": batching, "epochs": 1})
        return training_batches(self.lengths, protocol, seed=0)

    def batching(self, kind: str) -> str:
        return "random" if kind == TRAINER else self.suite.protocol.batching

    def chosen(self, kind: str) -> list[Indices]:
        """The batches of a round; where memory is measured, with the epoch's largest."""
        epoch = self.epoch(self.batching(kind))
        chosen = representative(epoch, self.lengths, self.args.steps)
        if self.args.memory_of:
            chosen[0] = max(epoch, key=lambda batch: padded_tokens(batch, self.lengths))
        return chosen

    def cases(self) -> dict[tuple[str, str], Callable[[], float]]:
        """(kind, method) → a function that trains for one round and says how long it took."""
        found: dict[tuple[str, str], Callable[[], float]] = {}
        for kind, name in case_names(self.suite):
            if self.args.memory_of in (None, f"{kind} {name}"):
                build = self.trainer if kind == TRAINER else self.ours
                found[kind, name] = build(name, self.suite.methods[name])
        return found

    def trainer(self, name: str, method: Method) -> Callable[[], float]:
        """Hugging Face's Trainer; a spectral method rebuilds its dense weight."""
        from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

        spec, protocol = self.suite.model, self.suite.protocol
        model = self.model()
        if method.spectral:
            rebuild_dense(model, spec.target_modules, spec.head_modules, method.rank)
        else:
            model = attach(model, method, spec)
        chosen = self.chosen(TRAINER)
        chosen = [chosen[-1], *chosen]  # the first step sets things up and is not timed
        sentences = [self.sentence(i) for batch in chosen for i in batch]
        arguments = TrainingArguments(
            output_dir=str(self.folder),
            per_device_train_batch_size=protocol.batch_size,
            num_train_epochs=1,
            learning_rate=method.learning_rate,
            train_sampling_strategy="sequential",
            bf16=protocol.precision == "bfloat16",
            use_cpu=self.device.type == "cpu",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        stamps: dict[int, float] = {}

        class Clock(TrainerCallback):
            def on_step_end(self, arguments, state, control, **kwargs) -> None:
                if state.global_step in (1, len(chosen)):
                    synchronise()
                    stamps[state.global_step] = time.perf_counter()

        def run() -> float:
            trainer = Trainer(
                model, arguments, data_collator=self.collate, train_dataset=sentences,
                callbacks=[Clock()],
            )  # fmt: skip
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            return stamps[len(chosen)] - stamps[1]

        return run

    def ours(self, name: str, method: Method) -> Callable[[], float]:
        """This project's own training loop."""
        steps = self.suite.protocol.epochs * len(self.epoch(self.batching(OURS)))
        model = attach(
            optimise(self.model()), method, self.suite.model, self.folder, self.suite.largest_rank,
            steps,
        ).to(self.device)  # fmt: skip
        chosen = self.chosen(OURS)

        def run() -> float:
            reproducible(self.args.threads)
            loop = Loop(model, method, self.suite, 0, self.table, self.device)
            loop.batches = chosen
            loop.run(f"{name}, {len(chosen)} steps", Checkpoints(self.folder, {}, NEVER))
            torch.use_deterministic_algorithms(False)
            return loop.seconds

        return run

    def sentence(self, i: int) -> dict:
        start, end = self.tokens.offsets[i : i + 2]
        return {"input_ids": self.tokens.input_ids[start:end], "label": self.tokens.labels[i]}

    @staticmethod
    def collate(sentences: list[dict]) -> dict[str, torch.Tensor]:
        """Pad to the longest sentence of the batch, as transformers' collator does."""
        ids = [torch.from_numpy(row["input_ids"].astype(np.int64)) for row in sentences]
        padded = nn.utils.rnn.pad_sequence(ids, batch_first=True)
        ones = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        labels = torch.tensor([int(row["label"]) for row in sentences])
        return {"input_ids": padded, "attention_mask": ones, "labels": labels}


def case_names(suite: Suite) -> list[tuple[str, str]]:
    """(kind, method) of every case: a LoRA and a spectral method by the Trainer, then all by us."""
    kinds = {
        name: (method.adapter or {}).get("peft_type") for name, method in suite.methods.items()
    }
    references = [
        next(name for name, kind in kinds.items() if kind == wanted)
        for wanted in ("LORA", "SPECTRAL")
        if wanted in kinds.values()
    ]
    trained = [name for name, method in suite.methods.items() if method.kind != "majority"]
    return [(TRAINER, name) for name in references] + [(OURS, name) for name in trained]


def title(kind: str, method: Method) -> str:
    if kind == OURS:
        return "ours"
    return "Trainer, dense rebuild" if method.spectral else "Trainer, PEFT"


# --- the report ----------------------------------------------------------------------------------


def memory_alone(case: tuple[str, str], argv: list[str]) -> int:
    """Peak bytes of a process that trains this case alone, its largest batch included."""
    command = [sys.executable, "-m", "benchmarks.steps", *argv, "--memory-of", " ".join(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["peak_memory_bytes"]


def rows_of(work: Workload, seconds: dict, memory: dict) -> list[dict]:
    """One row per case."""
    suite, rows = work.suite, []
    reference = next(iter(seconds))
    for (kind, name), times in seconds.items():
        per_step = statistics.median(times) / work.args.steps
        peak = memory.get((kind, name))
        rows.append(
            {
                "method": name,
                "run by": title(kind, suite.methods[name]),
                "steps/s": 1 / per_step,
                "sentences/s": suite.protocol.batch_size / per_step,
                "no padding %": 100 * real_share(work.epoch(work.batching(kind)), work.lengths),
                "peak MiB": peak and round(peak / 2**20),
                "times as fast": paired_ratio(seconds[reference], times),
                "one run, min": work.steps * per_step / 60,
                f"{len(suite.seeds)} seeds, min": len(suite.seeds) * work.steps * per_step / 60,
            }
        )
    return rows


def main(argv: list[str] | None = None) -> list[dict]:
    argv = sys.argv[1:] if argv is None else argv
    parser = arguments("Training steps of every method, ours and what else one would run.", 5)
    add_size_arguments(parser)
    parser.add_argument("--suite", default="deberta-v3-base_sst2", help="its methods and protocol")
    parser.add_argument("--config", type=Path, default=Path("config"))
    parser.add_argument("--steps", type=int, default=20, help="per case and round")
    parser.add_argument("--no-memory", action="store_true", help="skip the peaks of memory")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    memory = {}
    if not (args.no_memory or args.memory_of):
        # first, while this process is small: Linux counts the parent's peak as the child's
        names = case_names(load_suite(args.suite, args.config))
        memory = {case: memory_alone(case, argv) for case in names}
    with tempfile.TemporaryDirectory() as folder:
        work = Workload(args, Path(folder))
        cases = work.cases()
        if args.memory_of:
            for run in cases.values():
                run()
            print(json.dumps({"peak_memory_bytes": peak_memory()}))
            return []
        seconds = interleave(cases, args.rounds)
    rows = rows_of(work, seconds, memory)
    ours = [row for row in rows if row["run by"] == OURS]
    total = sum(row[f"{len(work.suite.seeds)} seeds, min"] for row in ours)
    size = size_in_words(args, ", so the projection is not of the suite")
    kind = "on the GPU" if work.device.type == "cuda" else "resident, of a process of its own"
    first = rows[0]
    text = (
        f"{size}; random weights; sentences with SST-2's lengths; batches of "
        f"{work.suite.protocol.batch_size}; {work.suite.protocol.precision}. "
        f"'times as fast' compares with '{first['method']}' by '{first['run by']}'. Peak memory is "
        f"{kind}. One run is {work.steps:,} steps.\n\n{table(rows)}\n\n"
        f"Projected for training all of ours: {' + '.join(row['method'] for row in ours)}, "
        f"{len(work.suite.seeds)} seeds each = {total:.1f} minutes; evaluation, loading and the "
        "once-only SVD are not in it."
    )
    report("steps", "Training steps", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
