"""The parts that every kind of judgement is put together from."""

from __future__ import annotations

from collections.abc import Collection

from wsa.evidence.runs import Runs
from wsa.evidence.statistics import CONTRADICTED, FEWEST_SEEDS, LOOKS, SUPPORTED
from wsa.records.evidence import Judgement, VerdictWord
from wsa.records.predictions import STATE_WORDS
from wsa.task import Metric

NOTHING = "—"
TOO_FEW = {1: "One {0} says nothing about other {0}s", 2: "Two {0}s say too little about others"}
AGAIN = f"; valid if judged again at {', '.join(map(str, LOOKS[:-1]))} and {LOOKS[-1]} seeds"
MORE = f"At least {FEWEST_SEEDS} seeds are needed, better 5."

_WORDS: dict[int, VerdictWord] = {SUPPORTED: "supported", CONTRADICTED: "contradicted"}
_EMPTY = {
    "measured": NOTHING, "estimate": None, "interval": None, "p": None, "sentences": None,
    "notes": (), "more_seeds": None, "advice": "",
}  # fmt: skip


def number(value: float, digits: int = 2, sign: str = "") -> str:
    """A number for a sentence, with a true minus sign; `sign` "+" shows that of a gain, too."""
    return f"{value:{sign}z.{digits}f}".replace("-", "\u2212")


def unit_word(metric: Metric) -> str:
    """The unit of a metric's value in a record."""
    return "percent" if metric.unit == "%" else metric.unit


def decided(code: int, sentence: str, **fields) -> Judgement:
    """A claim that is `SUPPORTED` or `CONTRADICTED`."""
    return Judgement(**_EMPTY | fields | {"verdict": _WORDS[code], "sentence": sentence})


def undecided(sentence: str, **fields) -> Judgement:
    """A claim that the runs can neither bear out nor refute."""
    return Judgement(**_EMPTY | fields | {"verdict": "undecided", "sentence": sentence})


def not_measured(sentence: str, **fields) -> Judgement:
    """A claim about something that nobody has measured here."""
    return Judgement(**_EMPTY | fields | {"verdict": "not measured", "sentence": sentence})


def called(runs: Runs, method: str, state: str | None = None) -> str:
    """A method in a sentence, by its title; with its state in words where it has several."""
    known = runs.suite.method(method)
    return f"{known.title} ({STATE_WORDS[state]})" if state and known.gated else known.title


def undecided_yet(sentence: str, count: int, what: str = "seed", **fields) -> Judgement:
    """A claim for which one or two seeds are too few; `sentence` says what they gave."""
    return undecided(f"{sentence}. {TOO_FEW[count].format(what)}.", advice=MORE, **fields)


def undecided_alike(sentence: str, count: int, **fields) -> Judgement:
    """A claim whose seeds give the same answers; `sentence` says which."""
    said = f"{sentence}, but all {count} seeds give the very same answers: others may well differ."
    return undecided(said, advice="Seeds that all answer alike cannot decide it.", **fields)


def too_few(runs: Runs, seeds: Collection[int], *methods: str) -> tuple[str, ...]:
    """A note where some of the suite's seeds are missing for one of `methods`."""
    wanted = len(runs.suite.seeds)
    names = " and ".join(called(runs, method) for method in methods)
    return (f"From {len(seeds)} of {wanted} seeds of {names}.",) if len(seeds) < wanted else ()
