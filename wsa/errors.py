"""The one error a person sees: what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

# the workflow enters the command here that it was started with
COMMAND = "WSA_COMMAND"


class InputError(Exception):
    """Something a person gave (a file, a key, a value) is wrong.

    The command line prints it as one message and exits with status 2, without a traceback.

    Args:
        problem: what is wrong, in one sentence.
        file: the file that holds it.
        key: the key inside that file, dotted (`protocol.batch_size`).
        value: the value found there.
        remedy: what would be right, or the command that mends it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: Path | str | None = None,
        key: str | None = None,
        value: object | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem, self.file, self.key, self.value = problem, file, key, value
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        where = ": ".join(str(part) for part in (self.file, self.key) if part is not None)
        message = f"{where}: {self.problem}" if where else self.problem
        if self.value is not None:
            message += f" (found {_shorten(self.value)})"
        if self.remedy:
            message += f"\n  what to do: {self.remedy}"
        return message


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The nearest of `choices` as a question, then all of them.

    >>> did_you_mean("epoch", ["epochs", "seeds"])
    "did you mean 'epochs'? (one of: epochs, seeds)"
    """
    choices = sorted(choices)
    if not choices:
        return "there is none"
    near = difflib.get_close_matches(word, choices, n=1)
    question = f"did you mean '{near[0]}'? " if near else ""
    return f"{question}(one of: {', '.join(choices)})"


def remake(path: Path | str) -> str:
    """The command that makes a file of the workflow anew, and all that follows from it.

    Inside the workflow it is the user's own command, with his options.
    """
    command = os.environ.get(COMMAND, "snakemake --cores 1")
    return f"{command} -R {shlex.quote(str(path))}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, of the GPU or of the CPU, has refused."""
    refusals = ("out of memory", "can't allocate memory", "not enough memory")
    if isinstance(error, RuntimeError):  # torch has no type of its own for the CPU's
        return any(refusal in str(error) for refusal in refusals)
    return isinstance(error, MemoryError)


def _shorten(value: object, limit: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
