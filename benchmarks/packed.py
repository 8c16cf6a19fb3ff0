"""`python -m benchmarks.packed`: several runs on one frozen backbone beside the same, one by one.

A model of DeBERTa-v3-base's size with random weights, sentences of SST-2's lengths, and the
suite's methods that can be packed. Per round, every method's runs take the same few steps twice:
one after the other, as `wsa train` does them, and together, as `wsa train-packed` does. Each run
has a seed of its own, and with it its own batches, so that together there is more padding.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from wsa.learning.batches import TokenTable, training_batches
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import attach
from wsa.learning.optimise import optimise
from wsa.learning.reproducible import reproducible
from wsa.machine.devices import device_for_stage
from wsa.packed.loop import Member, Pack
from wsa.suite.load import load_suite
from wsa.suite.packing import why_alone
from wsa.suite.schema import Method, Suite

from benchmarks.deberta import add_size_arguments, random_deberta, size_in_words
from benchmarks.lengths import sst2_lengths
from benchmarks.steps import padded_tokens, random_sentences
from benchmarks.timing import arguments, interleave, paired_ratio, report, table

ALONE, TOGETHER = "one by one", "together"


class Workload:
    """A backbone, sentences, and the runs of one method in both forms."""

    def __init__(self, args: argparse.Namespace, suite: Suite, folder: Path) -> None:
        self.args, self.suite, self.folder = args, suite, folder
        self.device = device_for_stage()
        lengths = np.random.default_rng(0).permutation(sst2_lengths())
        tokens = random_sentences(lengths[: suite.protocol.train_sentences], args.vocabulary)
        self.table = TokenTable(tokens.truncated(suite.protocol.max_length), self.device)
        self._model = optimise(random_deberta(args))

    def model(self, method: Method) -> nn.Module:
        model = copy.deepcopy(self._model)
        largest = self.suite.largest_rank
        return attach(model, method, self.suite.model, self.folder, largest).to(self.device)

    def cases(self, method: Method) -> dict[str, Callable[[], None]]:
        """What takes the steps of all runs of `method`; it begins again with each call."""
        never = Checkpoints(self.folder / "none", {})
        parts = [
            (method, self.suite, seed, self.table, self.device) for seed in range(self.args.runs)
        ]
        loops = [Loop(self.model(method), *part) for part in parts]
        pack = Pack([Member(str(part[2]), self.model(method), *part) for part in parts])
        for run in [*loops, *pack.members]:
            run.model.train()

        def alone() -> None:
            for loop in loops:
                loop.step = 0
                for _ in range(self.args.steps):
                    loop.train_step(never)

        def together() -> None:
            for member in pack.members:
                member.step = 0
            for _ in range(self.args.steps):
                pack.train_step()

        return {ALONE: alone, TOGETHER: together}

    def more_tokens(self) -> float:
        """Tokens of the steps together over those of the same steps one by one."""
        lengths, protocol = self.table.lengths, self.suite.protocol
        batches = [training_batches(lengths, protocol, seed) for seed in range(self.args.runs)]
        padded = [
            [padded_tokens(batch, lengths) for batch in step]
            for step in zip(*(own[: self.args.steps] for own in batches), strict=True)
        ]
        return sum(len(step) * max(step) for step in padded) / sum(map(sum, padded))


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments("Several runs on one frozen backbone beside the same, one by one.", 5)
    add_size_arguments(parser)
    parser.add_argument("--suite", default="deberta-v3-base_sst2", help="its methods and protocol")
    parser.add_argument("--config", type=Path, default=Path("config"))
    parser.add_argument("--methods", nargs="+", help="of these that can be packed (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="of each method")
    parser.add_argument("--steps", type=int, default=20, help="of each run and round")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    suite = load_suite(args.suite, args.config)
    methods = {name: m for name, m in suite.methods.items() if not why_alone(m)}
    if unknown := sorted({*(args.methods or ())} - {*methods}):
        parser.error(f"cannot be packed: {', '.join(unknown)}; these can: {', '.join(methods)}")
    rows = []
    reproducible(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = Workload(args, suite, Path(folder))
        for name in args.methods or methods:
            seconds = interleave(work.cases(methods[name]), args.rounds)
            took = {case: statistics.median(times) for case, times in seconds.items()}
            rows.append(
                {
                    "method": name,
                    **{f"{case}, steps/s": args.runs * args.steps / took[case] for case in took},
                    "times as fast": paired_ratio(seconds[ALONE], seconds[TOGETHER]),
                    "times the tokens": work.more_tokens(),
                }
            )
    torch.use_deterministic_algorithms(False)
    text = (
        f"{size_in_words(args)}; random weights; sentences with SST-2's lengths; batches of "
        f"{suite.protocol.batch_size}; {suite.protocol.precision}; {args.runs} runs of each method "
        f"with seeds of their own. A step is one of one run.\n\n{table(rows)}"
    )
    report("packed", "Runs together on one frozen backbone", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
