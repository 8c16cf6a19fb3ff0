"""Claims about two methods: what was measured of a pair, and what any verdict on it states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wsa.evidence.comparisons import find_pair
from wsa.evidence.judgements import AGAIN, number, too_few
from wsa.evidence.measure import Unit
from wsa.evidence.runs import Runs
from wsa.evidence.statistics import FEWEST_SEEDS, Decisions, TwoWay
from wsa.records.evidence import PairComparison


@dataclass(frozen=True)
class Pair:
    """Two methods in one state, and what was measured of their difference."""

    state: str
    first: Unit
    second: Unit
    seeds: tuple[int, ...]
    spread: TwoWay | None  # none for fewer than two common seeds

    @property
    def enough(self) -> bool:
        """Whether there are seeds enough to judge it."""
        return len(self.seeds) >= FEWEST_SEEDS


@dataclass(frozen=True)
class Decision:
    """What became of one pair among those that were judged together.

    Attributes:
        rivals: how many of the family have a p-value at least as large, this one included.
    """

    code: int
    p: float
    p_adjusted: float
    rivals: int


def measure_pair(runs: Runs, first: str, second: str, state: str) -> Pair:
    """`first` minus `second` over the seeds that both have."""
    units = [(name, runs.state_of(name, state)) for name in (first, second)]
    seeds = runs.seeds(*units)
    spread = runs.headline.difference(*units, seeds) if len(seeds) > 1 else None
    return Pair(state, *units, seeds, spread)


def decide_together(
    pairs: Sequence[Pair], decide: Callable[[list[Pair]], Decisions]
) -> tuple[int, list[Decision | None]]:
    """How many of the pairs can be judged, and what became of each; None: of too few seeds."""
    family = [pair for pair in pairs if pair.enough]
    if not family:
        return 0, [None] * len(pairs)
    made = decide(family)
    found = iter(
        Decision(int(code), float(p), float(adjusted), int((made.p >= p).sum()))
        for code, p, adjusted in zip(made.codes, made.p, made.p_adjusted, strict=True)
    )
    return len(family), [next(found) if pair.enough else None for pair in pairs]


def stated(runs: Runs, pair: Pair, claimed: str, test: str, family: int) -> dict[str, Any]:
    """The fields of a judgement that need no common seed."""
    return {
        "state": pair.state,
        "claimed": claimed,
        "unit": runs.task.headline.difference_unit,
        "test": test + AGAIN + (f"; Holm over {family} comparisons" if family > 1 else ""),
        "seeds": len(pair.seeds),
        "runs": runs.paths(pair.first[0], pair.seeds) + runs.paths(pair.second[0], pair.seeds),
    }


def measured(runs: Runs, pair: Pair, comparisons: Sequence[PairComparison]) -> dict[str, Any]:
    """The fields of a judgement that say the difference; there is a common seed."""
    gain = runs.headline.mean_difference(pair.first, pair.second, pair.seeds)
    return {
        "estimate": gain,
        "sentences": runs.predictions.sentences,
        "measured": f"{difference(runs, gain)} (n = {len(pair.seeds)})",
        "notes": too_few(runs, pair.seeds, pair.first[0], pair.second[0]),
        "comparison": find_pair((pair.first, pair.second), comparisons),
    }


def unit(runs: Runs) -> str:
    """The unit of a difference as it follows a number: ' points', or nothing."""
    word = runs.task.headline.difference_unit
    return f" {word}" if word else ""


def difference(runs: Runs, gain: float) -> str:
    """A difference with its sign and unit."""
    return f"{number(gain, runs.task.headline.places, sign='+')}{unit(runs)}"


def decided_fields(runs: Runs, pair: Pair, decision: Decision) -> tuple[dict[str, Any], str]:
    """The fields of a judgement that say the test, and '95 % interval −0.10 to +0.25'."""
    interval = runs.headline.interval(pair.spread.interval())
    places = runs.task.headline.places
    low, high = (number(end, places, sign="+") for end in (interval.low, interval.high))
    fields = {"interval": interval, "p": decision.p, "p_adjusted": decision.p_adjusted}
    return fields, f"95 % interval {low} to {high}"
