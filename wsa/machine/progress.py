"""One line that says how far long work is: a live line on a terminal, rare lines in a log."""

from __future__ import annotations

import sys
import time


def say(line: str) -> None:
    """One line to the person at the terminal and to the log; results never go this way."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Progress of a loop of known length.

    Args:
        title: what is being done.
        total: steps in all.
        unit: what `count` counts, for the rate per second.
        seconds: what the steps before took, of a loop that goes on where it was interrupted.
    """

    def __init__(self, title: str, total: int, unit: str = "steps", seconds: float = 0.0) -> None:
        self.title, self.total, self.unit = title, total, unit
        self._begin = time.perf_counter() - seconds
        self._live = sys.stderr.isatty()
        self._last = seconds

    def update(self, step: int, count: int, text: str = "") -> None:
        """Say that `step` steps are done, and `count` units in them."""
        elapsed = time.perf_counter() - self._begin
        # a log file wants a line every ten seconds at most
        if not self._live and elapsed - self._last < 10 and step < self.total:
            return
        self._last = elapsed
        left = elapsed / step * (self.total - step)
        line = (
            f"{self.title}: {step}/{self.total} {text} "
            f"{count / max(elapsed, 1e-9):.0f} {self.unit}/s, {_clock(left)} left"
        )
        print(f"\r{line}\x1b[K" if self._live else line, end="" if self._live else "\n",
              file=sys.stderr, flush=True)  # fmt: skip

    def close(self) -> None:
        """End the live line."""
        if self._live:
            print(file=sys.stderr)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}"
