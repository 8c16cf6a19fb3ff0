"""How far long work is: a live bar on a terminal, rare lines in a log."""

from __future__ import annotations

import sys

from tqdm import tqdm


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
        self._unit, live = unit, sys.stderr.isatty()
        self._bar = _Bar(
            desc=title,
            total=total,
            file=sys.stderr if live else _Lines(),
            mininterval=0.1 if live else 10,
            miniters=1,
            position=0,  # whatever other bars a library has left open
            smoothing=0,  # what is left is told from the mean over all steps
            dynamic_ncols=live,
            bar_format=f"{'{l_bar}{bar}| ' if live else '{desc}: '}"
            "{n_fmt}/{total_fmt}{postfix}, {remaining} left",
        )
        self._bar.start_t -= seconds

    def update(self, step: int, count: int, text: str = "") -> None:
        """Say that `step` steps are done, and `count` units in them."""
        elapsed = max(self._bar.format_dict["elapsed"], 1e-9)
        self._bar.set_postfix_str(f"{text} {count / elapsed:.0f} {self._unit}/s".strip(), False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Show how it ended."""
        self._bar.close()


class _Bar(tqdm):
    monitor_interval = 0  # no thread that watches over it

    def __del__(self) -> None:
        """Where work ended with an error, nothing is said after it."""


class _Lines:
    """A log: whatever a bar draws over itself becomes a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            say(text.strip())

    def flush(self) -> None:
        """Every line is written at once."""
