"""What a printed figure can be, by arithmetic alone.

A mean accuracy of k runs on n sentences is a whole number of steps of 100 / (k·n): the GRIM test
(Brown & Heathers 2017, "The GRIM Test", Social Psychological and Personality Science 8(4)). A
figure may have been rounded or cut off; both are allowed. None of this says why a figure is as it
is: only which numbers of runs, which statistic, which metric, which modules it is consistent with.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from jaxtyping import Int

from wsa.literature.schema import Formula, Model, Row, Table, Targets
from wsa.suite.schema import ModelSize

RUNS = range(1, 11)  # the numbers of runs that are tried
TELLING = 0.5  # a test that more than this share of all figures pass says nothing


# --- accuracies --------------------------------------------------------------------------------


def window(printed: str) -> tuple[Fraction, Fraction]:
    """From where to where a number may lie that is printed so, rounded or cut off.

    >>> window("94.95")
    (Fraction(18989, 200), Fraction(2374, 25))
    """
    unit = Fraction(1, 10 ** len(printed.partition(".")[2]))
    return Fraction(printed) - unit / 2, Fraction(printed) + unit


@functools.cache
def fits(printed: str, sentences: int, runs: int) -> bool:
    """Whether some mean accuracy, in percent, of `runs` runs on `sentences` is printed so.

    >>> fits("94.95", 872, 1), fits("94.90", 872, 1)
    (True, False)
    """
    low, high = (end * sentences * runs / 100 for end in window(printed))
    return ceil(low) < high and ceil(low) <= sentences * runs


def fitting_runs(printed: str, sizes: Sequence[int]) -> list[int]:
    """The numbers of runs, of `RUNS`, of which a mean on some of `sizes` is printed so."""
    return [runs for runs in RUNS if any(fits(printed, size, runs) for size in sizes)]


@functools.cache
def chance(sentences: int, runs: int, decimals: int, means_of: int | None = None) -> float:
    """The share of figures that fit `runs` runs without being of so many.

    Args:
        sentences: they are an accuracy on.
        decimals: as printed.
        means_of: the figures are rounded means of so many runs, every one as likely; None: every
            figure that can be printed is as likely.
    """
    unit = 10**decimals
    if 2 * 100 * unit <= 3 * sentences * runs:  # steps are closer than windows are wide
        return 1.0
    printable = _printed(sentences * runs, decimals)
    if means_of is None:
        return len(np.unique(printable)) / (100 * unit + 1)
    _, rounded, _ = _printed(sentences * means_of, decimals)
    return float(np.isin(rounded, printable).mean())


def _printed(steps: int, decimals: int) -> Int[np.ndarray, "3 steps"]:
    """Every share of `steps` as it may be printed, in units of the last digit: cut off, rounded
    half up, rounded half down.
    """
    exact = 100 * 10**decimals * np.arange(steps + 1)
    return np.stack(
        [exact // steps, (2 * exact + steps) // (2 * steps), -((steps - 2 * exact) // (2 * steps))]
    )


def at_least(hits: int, chances: Sequence[float]) -> float:
    """The probability of `hits` or more, each with its own chance: binomial where all are alike.

    >>> round(at_least(2, [0.5, 0.5]), 3)
    0.25
    """
    counts = [1.0]
    for p in chances:
        counts = [
            (counts[k] if k < len(counts) else 0.0) * (1 - p) + (counts[k - 1] * p if k else 0.0)
            for k in range(len(counts) + 1)
        ]
    return min(sum(counts[hits:]), 1.0)


@dataclass(frozen=True)
class Tally:
    """How many figures of a table fit a number of runs, and how many would by chance.

    Attributes:
        runs: the number that is tried.
        expected: by chance, if the figures are what the table states; if it states nothing or
            `runs` itself, if they were any figures.
        tail: the probability of as many or more by chance.
    """

    runs: int
    fit: int
    of: int
    expected: float
    tail: float


def sizes(row: Row) -> tuple[int, ...]:
    """How many sentences the row may be reported on; empty where that is not known.

    The half of an odd number may be the larger or the smaller one.
    """
    whole = row.task.sentences
    if whole is None or row.reported_on == "own test split":
        return ()
    if row.reported_on == "validation":
        return (whole,)
    if whole > HALVED:
        return ()
    return tuple(sorted({whole // 2, whole - whole // 2}))


HALVED = 2000  # papers that halve the validation set cut larger ones in other ways


def tallies(rows: Iterable[Row]) -> list[Tally]:
    """One for every number of runs that the table's own accuracies can tell from chance."""
    rows = [row for row in rows if row.own and row.number.metric == "accuracy" and sizes(row)]
    found = []
    for runs in RUNS:
        telling = [(row, p) for row in rows if (p := _chance_of(row, runs)) <= TELLING]
        if not telling:
            continue
        hits = sum(runs in fitting_runs(row.number.value, sizes(row)) for row, _ in telling)
        chances = [p for _, p in telling]
        found.append(
            Tally(runs, hits, len(telling), sum(chances), at_least(hits, chances) if hits else 1.0)
        )
    return found


def _chance_of(row: Row, runs: int) -> float:
    """That the row fits so many runs if it is what its table states, or any figure."""
    stated = row.table.run_of
    of = None if stated in (None, runs) else stated
    # a half of either size: at most the sum of both
    return min(sum(chance(size, runs, row.decimals, of) for size in sizes(row)), 1.0)


def in_words(table: Table, found: Sequence[Tally]) -> str:
    """What the tallies of a table are consistent with; empty where they tell nothing."""
    by_runs = {tally.runs: tally for tally in found}
    stated = table.run_of
    said = []
    if one := by_runs.get(1):
        what = "a single run"
        if table.statistic != "single run":
            what += " or a median of an odd number"
        said.append(
            f"{one.fit} of {one.of} accuracies are consistent with {what}; {_by(one, table)}"
        )
    if stated not in (None, 1) and (own := by_runs.get(stated)):
        said.append(
            f"{own.fit} of {own.of} are consistent with a mean of {stated}, as stated; "
            f"{_by(own, table)}"
        )
    return ". ".join(said) + "." if said else ""


def _by(tally: Tally, table: Table) -> str:
    if table.run_of in (None, tally.runs):
        return f"of any {tally.of} figures about {tally.expected:.1f} would be"
    return f"of {tally.of} means of {table.run_of} about {tally.expected:.1f} would be"


# --- accuracy or F1 ----------------------------------------------------------------------------


def fits_f1(printed: str, sentences: int, positives: int) -> bool:
    """Whether some F1 of one run, in percent, is printed so.

    >>> fits_f1("93.69", 408, 279)
    True
    """
    low, high = window(printed)
    for right in range(1, positives + 1):
        # F1 = 2·right / (positives + said): said from the printed value
        said_low, said_high = (Fraction(200 * right) / end - positives for end in (high, low))
        first = max(floor(said_low) + 1, right)
        if first <= min(said_high, right + sentences - positives):
            return True
    return False


def f1_range(accuracy: str, sentences: int, positives: int) -> tuple[float, float]:
    """The lowest and the highest F1 of predictions with this accuracy, all in percent.

    With e errors F1 = 2·tp / (2·tp + e), from all errors on positives to none of them.

    >>> [round(end, 2) for end in f1_range("89.5", 408, 279)]
    [91.58, 92.95]
    """
    low, high = window(accuracy)
    most, fewest = (sentences * (1 - float(end) / 100) for end in (low, high))
    # as many errors on positives as there can be, and as few
    worst = max(positives - most, 0.0)
    best = positives - max(fewest - (sentences - positives), 0.0)
    return 200 * worst / (2 * worst + most or 1), 200 * best / (2 * best + fewest)


def metric_notes(row: Row, others: Iterable[Row]) -> list[str]:
    """What speaks for or against a figure being the metric that it stands for.

    Args:
        row: an accuracy.
        others: the table's rows; an F1 of the same predictions is looked for in them.
    """
    if row.number.metric != "accuracy" or not sizes(row):
        return []
    notes = []
    value, counts = row.number.value, sizes(row)
    stated = row.table.run_of
    tried = [stated] if stated else [1, 3, 5]
    if not any(fits(value, size, runs) for size in counts for runs in tried):
        over = _either(tried) + (" runs" if tried != [1] else " run")
        said = f"fits no accuracy on {_either(counts)} sentences over {over}"
        if others_fit := fitting_runs(value, counts):
            said += f" (of 1 to {RUNS[-1]} it fits {', '.join(map(str, others_fit))})"
        positives = row.task.positives
        if positives and counts == (row.task.sentences,) and fits_f1(value, counts[0], positives):
            said += "; an F1 of one run would be printed so"
        notes.append(said)
    positives = row.task.positives
    if positives and counts == (row.task.sentences,):
        for other in others:
            same = (other.configuration, other.number.task) == (row.configuration, row.number.task)
            if same and other.number.metric == "f1":
                low, high = f1_range(value, counts[0], positives)
                printed_low, printed_high = map(float, window(other.number.value))
                if printed_high < low or printed_low > high:
                    notes.append(
                        f"predictions with this accuracy have an F1 of {low:.1f} to {high:.1f}; "
                        f"the F1 printed beside it, {other.number.value}, is of others"
                    )
    return notes


def _either(counts: Sequence[int]) -> str:
    return " or ".join(f"{count:,}" for count in counts)


# --- parameters --------------------------------------------------------------------------------

Shape = tuple[int, int]  # in, out


def modules(size: ModelSize, targets: Targets) -> list[Shape]:
    """The shapes of the linear modules that are adapted, of all layers."""
    wide, inner = size.hidden_size, size.intermediate_size
    square = (wide, wide)
    layer = {
        "qkv": [square] * 3,
        "qv": [square] * 2,
        "all": [*[square] * 4, (wide, inner), (inner, wide)],
    }[targets]
    return layer * size.num_hidden_layers


# Trainable parameters of an adapter with rank r on modules of these shapes, without the head.
FORMULAS: dict[Formula, Callable[[int, Sequence[Shape]], int]] = {
    # A (r × in) and B (out × r): Hu et al. 2022, section 4.1
    "lora": lambda r, shapes: sum(r * (a + b) for a, b in shapes),
    # and a magnitude for every output: Liu et al. 2024, section 4.1
    "dora": lambda r, shapes: sum(r * (a + b) + b for a, b in shapes),
    # vectors d (r) and b (out): Kopiczko et al. 2024, section 3.3
    "vera": lambda r, shapes: sum(r + b for _, b in shapes),
    # r × r between frozen factors: Bałazy et al. 2024
    "square": lambda r, shapes: len(shapes) * r * r,
    # r reflections of the input: Yuan et al. 2024, section 4.1
    "householder": lambda r, shapes: sum(r * a for a, _ in shapes),
}


@dataclass(frozen=True)
class Count:
    """A printed number of parameters against what its rank and modules give.

    Attributes:
        given: parameters at the stated rank on the stated modules; None: modules not stated.
        fit: whether that is printed so.
        fitting: the sets of modules with which it would be.
    """

    printed: str
    given: int | None
    fit: bool | None
    fitting: tuple[Targets, ...]


def count(row: Row) -> Count | None:
    """The row's parameters checked; None where no formula or nothing to check is known."""
    number, size = row.number, row.model.size
    if not (row.method.parameters and number.rank and number.parameters and size):
        return None
    by_targets = {
        targets: FORMULAS[row.method.parameters](number.rank, modules(size, targets))
        for targets in ("qv", "qkv", "all")
    }
    fitting = tuple(
        targets
        for targets, value in by_targets.items()
        if _printed_so(value, number.parameters, row.model)
    )
    given = by_targets[number.targets] if number.targets else None
    return Count(
        number.parameters, given, number.targets in fitting if number.targets else None, fitting
    )


def _printed_so(value: int, printed: str, model: Model) -> bool:
    unit = {"M": 10**6, "K": 10**3, "%": Fraction(model.parameters, 100)}[printed[-1]]
    low, high = window(printed[:-1])
    return low <= Fraction(value) / unit < high
