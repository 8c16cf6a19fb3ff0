"""Timing that holds up on a machine others use too: interleaved rounds and paired ratios."""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from wsa.files import write_json, write_text
from wsa.machine.devices import accelerator_name
from wsa.machine.environment import environment, now

Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class Ratio:
    """The ratio of two cases, taken round by round.

    Attributes:
        median: of the ratios.
        low, high: their quartiles.
        rounds: how many there are.
    """

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def paired_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """numerator / denominator, where entries of equal index were measured right after each other.

    A machine that slows down for a while slows both halves of a pair, so ratios of pairs spread
    less than a ratio of means.
    """
    ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
    if len(ratios) < 2:
        return Ratio(ratios[0], ratios[0], ratios[0], len(ratios))
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high, len(ratios))


def interleave(cases: Mapping[str, Callable[[], float | None]], rounds: int) -> Seconds:
    """Seconds per case and round, after one round that does not count.

    Every round runs all cases, each time starting with another one. A case that returns a number
    has timed itself, and the number is taken.
    """
    names = list(cases)
    seconds: Seconds = {name: [0.0] * rounds for name in names}
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            synchronise()
            start = time.perf_counter()
            own = cases[name]()
            synchronise()
            took = time.perf_counter() - start if own is None else own
            if number >= 0:
                seconds[name][number] = took
    return seconds


def synchronise() -> None:
    """Wait until the accelerator has done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> int:
    """The most bytes that this process held so far: on the GPU where there is one, else resident.

    On Linux a process begins with the peak that its parent had when it started it.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def children_seconds() -> float:
    """Processor time, user and system, of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def arguments(description: str, rounds: int | None = None) -> argparse.ArgumentParser:
    """The arguments all benchmarks share; those of timing only where there are `rounds`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="interleaved repetitions")
        parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--out", type=Path, default=Path("results/benchmarks"), help="folder for JSON and Markdown"
    )
    return parser


def report(
    name: str, title: str, folder: Path, settings: dict, rows: list[dict], text: str
) -> None:
    """Write `<name>.json` (all numbers) and `<name>.md` (the tables) and print the tables.

    Args:
        settings: what was asked for.
        rows: one flat mapping per case; `Ratio` values become mappings.
        text: the Markdown below the title.
    """
    where = environment(now(), accelerator=accelerator_name())
    value = {
        "benchmark": name,
        "settings": {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
        "environment": where.model_dump(mode="json", exclude={"deterministic", "started"}),
        "rows": [{key: _plain(entry) for key, entry in row.items()} for row in rows],
    }
    machine = where.accelerator or f"{where.processor}, {where.threads} thread(s)"
    text = (
        f"# {title}\n\n{text}\n\nMeasured {where.finished} on {machine}, torch "
        f"{where.versions['torch']}, transformers {where.versions['transformers']}, peft "
        f"{where.versions['peft']}."
    )
    if any(isinstance(value, Ratio) for row in rows for value in row.values()):
        text += (
            " Ratios are medians of paired ratios, with quartiles in brackets; the cases ran "
            "interleaved in one process."
        )
    write_json(folder / f"{name}.json", value)
    write_text(folder / f"{name}.md", text + "\n")
    print(text)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table with the keys of the first row as its head."""
    shown = [{key: _shown(row[key]) for key in rows[0]} for row in rows]
    return tabulate(shown, headers="keys", tablefmt="github", missingval="–", disable_numparse=True)


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return value


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Ratio) else value
