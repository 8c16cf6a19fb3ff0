"""Several tasks together: methods by tasks, mean ranks, and order claims judged on every task.

Tasks are not a sample of anything here: each is judged by itself, with Holm over all of them, and
a rank is averaged over these tasks only. Accuracies of different tasks are never averaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from wsa.evidence import bootstrap
from wsa.evidence.judgements import called
from wsa.evidence.measure import Unit
from wsa.evidence.runs import Runs, read_runs
from wsa.evidence.statistics import ALPHA, CONTRADICTED, SUPPORTED, TwoWay, holm
from wsa.layout import Layout
from wsa.records.across import (
    Across,
    AcrossCell,
    AcrossMethod,
    AcrossOrder,
    AcrossSuite,
    AcrossTask,
)
from wsa.records.evidence import Interval
from wsa.records.record import write_record
from wsa.suite.schema import Collection, Suite

NOTES = (
    "Ranks are among the methods of this table, the best is 1; the majority class is left out. The "
    "interval of a mean rank is for other seeds and other sentences of these tasks, not for other "
    "tasks; with few seeds it is too narrow rather than too wide.",
    "Not clearly worse: than the method with the best mean on the task (5 %, Holm over its "
    "methods). The best is chosen by the same numbers, which favours none of the others.",
    "Order claims are judged on every task by itself, with Holm over all claims, states and tasks "
    "together, so that a wrong verdict anywhere has at most 5 %.",
)


def across(collection: Collection, suites: Sequence[Suite], layout: Layout) -> Across:
    """Write `across.json` of a collection from the runs of its suites.

    What is missing or broken is told in each suite's own findings, and left out here.
    """
    runs = [read_runs(suite, layout) for suite in suites]
    tables = [_Table.of(one) for one in runs]
    times = Counter(suite.data.title for suite in suites)
    record = Across(
        name=collection.name,
        title=collection.title,
        suites=tuple(
            AcrossSuite(
                suite=one.suite.name,
                # what tells it from the others: mostly its data
                title=one.suite.title if times[one.suite.data.title] > 1 else one.suite.data.title,
                metric=one.task.headline.title,
                unit=one.task.headline.unit,
                sentences=one.predictions.sentences,
            )
            for one in runs
        ),
        methods=_methods(runs, tables),
        cells=tuple(cell for table in tables for cell in table.cells()),
        orders=_orders(collection, runs),
        notes=NOTES,
    )
    write_record(layout.across_json(collection.name), record)
    return record


# --- ranks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """The methods of one task, in the states they are quoted for.

    Attributes:
        runs: of the task's suite.
        units: (method, state).
        means: of the headline metric, better ones greater.
        draws: the same on resampled seeds and sentences; None with one seed.
    """

    runs: Runs
    units: list[Unit]
    means: Float[np.ndarray, " methods"]
    draws: Float[np.ndarray, "methods draws"] | None

    @classmethod
    def of(cls, runs: Runs) -> _Table:
        units = [
            (method, state)
            for method, state in runs.units()
            if state == runs.headline_state(method) and runs.suite.method(method).kind != "majority"
        ]
        measure = runs.headline
        every = [runs.seeds(unit) for unit in units]
        means = [
            measure.values(unit, seeds).mean() for unit, seeds in zip(units, every, strict=True)
        ]
        draws = None
        if units and all(len(seeds) > 1 for seeds in every):
            resampled = [
                bootstrap.over_seeds(measure.draws(unit, seeds))[0]
                for unit, seeds in zip(units, every, strict=True)
            ]
            draws = measure.sign * np.stack(resampled)
        return cls(runs, units, measure.sign * np.array(means), draws)

    def ranks(self) -> dict[str, float]:
        """Method → its rank."""
        ranks = _ranked(self.means) if self.units else []
        return {method: float(rank) for (method, _), rank in zip(self.units, ranks, strict=True)}

    def drawn_ranks(self) -> dict[str, Float[np.ndarray, " draws"]]:
        """Method → its rank in every draw; empty without draws."""
        if self.draws is None:
            return {}
        ranks = _ranked(self.draws)
        return {method: rank for (method, _), rank in zip(self.units, ranks, strict=True)}

    def cells(self) -> list[AcrossCell]:
        ranks, noise = self.ranks(), self._within_noise()
        cells = []
        for method, state in self.units:
            seeds = self.runs.seeds((method, state))
            values = self.runs.headline.values((method, state), seeds)
            cells.append(
                AcrossCell(
                    suite=self.runs.suite.name,
                    method=method,
                    state=state,
                    seeds=len(seeds),
                    mean=float(values.mean()),
                    std=float(values.std(ddof=1)) if len(seeds) > 1 else None,
                    rank=ranks[method],
                    within_noise=noise[method],
                )
            )
        return cells

    def _within_noise(self) -> dict[str, bool]:
        """Method → whether it is not clearly worse than the one with the best mean."""
        if not self.units:
            return {}
        best = self.units[int(self.means.argmax())]
        p = []
        for unit in self.units:
            seeds = self.runs.seeds(best, unit)
            clear = unit != best and len(seeds) > 1
            spread = self.runs.headline.difference(best, unit, seeds) if clear else None
            p.append(1.0 if spread is None else float(spread.p_value()))
        adjusted = holm(np.array(p))
        return {unit[0]: bool(q > ALPHA) for unit, q in zip(self.units, adjusted, strict=True)}


def _ranked(values: Float[np.ndarray, "methods ..."]) -> Float[np.ndarray, "methods ..."]:
    """Ranks over the methods, the greatest value is 1; values that differ in their last bits, as
    the means of the same numbers in another order may, are equal.
    """
    return stats.rankdata(-np.round(values, 12), axis=0)


def _methods(runs: Sequence[Runs], tables: Sequence[_Table]) -> tuple[AcrossMethod, ...]:
    cells = [cell for table in tables for cell in table.cells()]
    drawn = [table.drawn_ranks() for table in tables]
    found = []
    for name in dict.fromkeys(cell.method for cell in cells):
        own = [cell for cell in cells if cell.method == name]
        draws = [ranks[name] for ranks in drawn if name in ranks]
        interval = None
        if len(draws) == len(own):
            low, high = bootstrap.percentiles(np.mean(draws, axis=0))
            interval = Interval(low=float(low), high=float(high))
        suite = next(one.suite for one in runs if name in one.suite.methods)
        found.append(
            AcrossMethod(
                method=name,
                title=suite.methods[name].title,
                state=own[0].state,
                mean_rank=float(np.mean([cell.rank for cell in own])),
                rank_interval=interval,
                within_noise=sum(cell.within_noise for cell in own),
                tasks=len(own),
            )
        )
    return tuple(sorted(found, key=lambda method: (-method.tasks, method.mean_rank)))


# --- order claims --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """An order claim in one state on one task; `spread` is of better minus worse."""

    runs: Runs
    better: Unit
    worse: Unit
    spread: TwoWay | None


def _orders(collection: Collection, runs: Sequence[Runs]) -> tuple[AcrossOrder, ...]:
    asked = [
        (claim, state, [_ask(one, claim.better, claim.worse, state) for one in runs])
        for claim in collection.claims
        for state in claim.states
    ]
    family = [one for _, _, several in asked for one in several if one.spread is not None]
    adjusted = dict(zip(map(id, family), _adjusted(family), strict=True))
    return tuple(_judge(claim, state, several, adjusted) for claim, state, several in asked)


def _ask(runs: Runs, better: str, worse: str, state: str) -> _Asked:
    units = ((better, runs.state_of(better, state)), (worse, runs.state_of(worse, state)))
    seeds = runs.seeds(*units)
    spread = runs.headline.difference(*units, seeds) if len(seeds) > 1 else None
    return _Asked(runs, *units, spread)


def _adjusted(family: Sequence[_Asked]) -> Float[np.ndarray, " tests"]:
    """Holm's p-values of all that is asked together."""
    p = [float(one.spread.p_value()) for one in family]
    return holm(np.array(p)) if p else np.empty(0)


def _judge(claim, state: str, several: Sequence[_Asked], adjusted: dict[int, float]) -> AcrossOrder:
    tasks = [_judge_task(one, adjusted.get(id(one))) for one in several]
    words = [task.verdict for task in tasks]
    supported, contradicted = words.count("supported"), words.count("contradicted")
    measured = len(words) - words.count("not measured")
    verdict = "undecided"
    if not measured:
        verdict = "not measured"
    elif supported and not contradicted:
        verdict = "supported"
    elif contradicted and not supported:
        verdict = "contradicted"
    first = several[0]
    names = f"{called(first.runs, *first.better)} and {called(first.runs, *first.worse)}"
    said = (
        f"Of {measured} tasks with runs of {names}: better on {supported}, worse on "
        f"{contradicted}, undecided on {measured - supported - contradicted}."
        if measured
        else f"No task has two seeds of {names}."
    )
    return AcrossOrder(
        id=claim.id, sentence=claim.sentence, better=claim.better, worse=claim.worse, state=state,
        verdict=verdict, said=said, tasks=tuple(tasks),
    )  # fmt: skip


def _judge_task(one: _Asked, adjusted: float | None) -> AcrossTask:
    if one.spread is None:
        return AcrossTask(
            suite=one.runs.suite.name, difference=0.0, interval=None, p=None, p_adjusted=None,
            verdict="not measured",
        )  # fmt: skip
    measure = one.runs.headline
    code = measure.sign * int(np.sign(one.spread.mean)) if adjusted <= ALPHA else 0
    words = {SUPPORTED: "supported", CONTRADICTED: "contradicted"}
    return AcrossTask(
        suite=one.runs.suite.name,
        difference=float(measure.shown(one.spread.mean)),
        interval=measure.interval(one.spread.interval()),
        p=float(one.spread.p_value()),
        p_adjusted=float(adjusted),
        verdict=words.get(code, "undecided"),
    )
