"""`python -m benchmarks.batching`: how much the batches of two epochs, and of two seeds, differ.

Two sentences that share a batch are a pair. Sorted by length in windows, batches have less padding;
but the fewer windows an epoch has, the more of its pairs lie together again in the next epoch, and
with another seed. Needs the suite's tokens, which `snakemake` makes; trains nothing.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from wsa.layout import Layout
from wsa.learning.batches import Indices, training_batches, training_sentences
from wsa.learning.tokens import load_tokens
from wsa.suite.load import load_suite
from wsa.suite.schema import Protocol

from benchmarks.timing import arguments, report, table

Lengths = Int64[np.ndarray, " sentences"]


def pairs(batches: Sequence[Indices], sentences: int) -> Int64[np.ndarray, " pairs"]:
    """Every pair that shares a batch, as one number, sorted."""
    found = []
    for batch in batches:
        first, second = np.triu_indices(len(batch), k=1)
        low, high = np.sort([batch[first], batch[second]], axis=0)
        found.append(low * sentences + high)
    return np.sort(np.concatenate(found))


def recurring(one: np.ndarray, other: np.ndarray) -> float:
    """The share of the pairs in `one` that are in `other` too, in percent."""
    return 100 * float(np.isin(one, other, assume_unique=True).mean())


def measure(lengths: Lengths, protocol: Protocol, seeds: Sequence[int]) -> dict[str, float]:
    """What recurs in the second epoch and across seeds, and how much is padding, in percent."""
    protocol = protocol.model_copy(update={"epochs": 2})
    first, again, padding = [], [], []
    for seed in seeds:
        batches = training_batches(lengths, protocol, seed)
        half = len(batches) // 2
        mine, next_ = (pairs(part, len(lengths)) for part in (batches[:half], batches[half:]))
        first.append(mine)
        again.append(recurring(mine, next_))
        padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
        padding.append(100 * (1 - 2 * int(lengths.sum()) / padded))
    return {
        "in the second epoch, %": statistics.fmean(again),
        "across seeds, %": statistics.fmean(
            recurring(*two) for two in itertools.combinations(first, 2)
        ),
        "padding, %": statistics.fmean(padding),
    }


def main(argv: list[str] | None = None) -> list[dict]:
    parser = arguments(__doc__)
    parser.add_argument("--suite", default="minilm-l6_movie-snippets")
    parser.add_argument("--resources", type=Path, default=Path("resources"))
    parser.add_argument("--windows", type=int, nargs="+", default=[50, 12, 6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="two or more")
    args = parser.parse_args(argv)
    suite = load_suite(args.suite, "config")
    path = Layout(resources=args.resources).tokens(suite.model.name, suite.data.name)
    lengths = training_sentences(load_tokens(path)["train"], suite.protocol).lengths
    ways = {
        f"sorted in windows of {count}": {"batching": "sorted_windows", "window_batches": count}
        for count in args.windows
    } | {"random": {"batching": "random"}}
    rows = [
        {"batches": way, **measure(lengths, suite.protocol.model_copy(update=change), args.seeds)}
        for way, change in ways.items()
    ]
    text = (
        f"{suite.name}: {len(lengths):,} training sentences in batches of "
        f"{suite.protocol.batch_size}, mean over seeds {', '.join(map(str, args.seeds))}. Of the "
        "pairs of sentences that share a batch in the first epoch, how many share one in the "
        f"second epoch, and in the first epoch of another seed.\n\n{table(rows)}"
    )
    report("batching", "What lies together in a batch", args.out, vars(args), rows, text)
    return rows


if __name__ == "__main__":
    main()
