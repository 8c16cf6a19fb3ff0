"""The pages of the published record: all of it, a page a method, a page a table."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from wsa.leaderboard.entries import Scale
from wsa.literature import arithmetic
from wsa.literature.copies import Copied, Reruns, copies, reruns
from wsa.literature.orderings import Ordering, orderings
from wsa.literature.schema import METRICS, TARGETS, Literature, PublishedMethod, Row, Table
from wsa.records.evidence import Judgement

if TYPE_CHECKING:
    from wsa.leaderboard.entries import Entry
    from wsa.leaderboard.view import SuiteView

# what a row says of the sentences that chose, as the pages put it
CHOSEN = {
    "same sentences": "chosen on them",
    "other sentences": "others chose",
    "not stated": "choice not stated",
}
REPORTED = {
    "validation": "validation set",
    "half of validation": "half of the validation set",
    "own test split": "a test split of its own",
}
_TURNED = {"supported": "contradicted", "contradicted": "supported"}


@dataclass(frozen=True)
class Task:
    """A task of one model in one metric: what figures can be compared on.

    Attributes:
        rows: every figure printed for it; the scale is from the lowest to the highest.
    """

    model: str
    task: str
    metric: str
    rows: Sequence[Row]

    @property
    def title(self) -> str:
        return self.task if self.metric == "accuracy" else f"{self.task}, {METRICS[self.metric]}"

    @property
    def scale(self) -> Scale:
        values = [float(row.value) for row in self.rows]
        return Scale(min(values), max(max(values), min(values) + 0.01))

    @cached_property
    def ticks(self) -> str:
        """The path of a tick for every figure, on a scale of 144; those at one place are one."""
        scale = self.scale
        places = sorted({round(144 * scale.place(float(row.value))) for row in self.rows})
        steps = (after - before for before, after in zip(places, places[1:], strict=False))
        return f"M{places[0]} 6v8" + "".join(f"m{step}-8v8" for step in steps)


@dataclass(frozen=True)
class Figures:
    """A method's own figures on one task, beside what was measured here of the same question."""

    task: Task
    rows: Sequence[Row]
    measured: Sequence[Entry]


@dataclass(frozen=True)
class Difference:
    """One configuration minus another, as one table prints both of its own runs."""

    table: Table
    one: Row
    other: Row
    by_task: dict[str, tuple[Row, Row]]

    def of(self, task: str) -> Decimal | None:
        pair = self.by_task.get(task)
        return pair[0].value - pair[1].value if pair else None


@dataclass(frozen=True)
class Verdict:
    """What a suite says to one method being above another."""

    suite: SuiteView
    word: str
    judgement: Judgement
    rows: tuple[str, str]


@dataclass(frozen=True)
class Against:
    """A method beside another: what tables print of their own runs, and what was measured here.

    Attributes:
        home: the method on whose page the differences stand task by task, the rarer one.
        reruns: how far runs of one of the two by several papers lie apart, task by task.
    """

    name: str
    method: PublishedMethod
    home: str
    reruns: Sequence[Decimal]
    differences: Sequence[Difference]
    above: int
    below: int
    level: int
    verdicts: Sequence[Verdict]

    @property
    def tasks(self) -> list[str]:
        """In the order in which the tables have them."""
        return list(dict.fromkeys(task for one in self.differences for task in one.by_task))

    @property
    def tables(self) -> int:
        return len({one.table.table for one in self.differences})

    @property
    def comparisons(self) -> int:
        return self.above + self.below + self.level

    @property
    def middle(self) -> Decimal:
        """The median of all differences."""
        values = [a.value - b.value for one in self.differences for a, b in one.by_task.values()]
        return median(values)

    @property
    def apart(self) -> Decimal | None:
        """The median of how far reruns lie apart; None where nothing was rerun."""
        return median(self.reruns) if self.reruns else None


@dataclass(frozen=True)
class Repeated:
    """The figures of one configuration of a table that other tables print again."""

    original: Row
    figures: int
    tables: Sequence[Table]
    changed: int


@dataclass(frozen=True)
class TableChecks:
    """A table with all that arithmetic says of it."""

    table: Table
    rows: Sequence[Row]
    tallies: Sequence[arithmetic.Tally]
    words: str
    notes: Sequence[tuple[Row, str]]
    counts: Sequence[tuple[Row, arithmetic.Count]]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(task, metric), in the table's order."""
        return list(dict.fromkeys((row.number.task, row.number.metric) for row in self.rows))

    @property
    def lines(self) -> list[tuple[Row, dict[tuple[str, str], Row]]]:
        """The table's rows as printed, each with its figures by column."""
        found: dict[tuple, dict[tuple[str, str], Row]] = {}
        for row in self.rows:
            figures = found.setdefault((row.configuration, row.number.targets), {})
            figures[row.number.task, row.number.metric] = row
        return [(next(iter(figures.values())), figures) for figures in found.values()]

    @property
    def own(self) -> int:
        return sum(row.own for row in self.rows)

    def runs(self, row: Row) -> list[int] | None:
        """The numbers of runs that the figure fits; None where all would."""
        if row.number.metric != "accuracy" or not (sizes := arithmetic.sizes(row)):
            return None
        fitting = arithmetic.fitting_runs(row.number.value, sizes)
        return fitting if len(fitting) < len(arithmetic.RUNS) else None


class LiteratureView:
    """The published record beside what was measured here."""

    def __init__(self, literature: Literature, suites: Sequence[SuiteView]) -> None:
        self.literature = literature
        self.suites = suites
        self.rows: Sequence[Row] = literature.rows
        self.orderings = orderings(literature)

    @cached_property
    def methods(self) -> dict[str, PublishedMethod]:
        """Those that have figures, by title."""
        there = {row.number.method for row in self.rows}
        known = [(name, one) for name, one in self.literature.methods.items() if name in there]
        return dict(sorted(known, key=lambda item: item[1].title.lower()))

    @property
    def most_compared(self) -> list[str]:
        """The methods that most tables print of their own runs, a few."""
        tables = {(row.number.method, row.number.table) for row in self.rows if row.own}
        return [name for name, _ in Counter(name for name, _ in sorted(tables)).most_common(5)]

    @property
    def own(self) -> int:
        """How many figures are a paper's own runs."""
        return sum(row.own for row in self.rows)

    @cached_property
    def tables(self) -> list[TableChecks]:
        by_table: dict[str, list[Row]] = {}
        for row in self.rows:
            by_table.setdefault(row.number.table, []).append(row)
        return [
            _checked(table, by_table[name])
            for name, table in self.literature.tables.items()
            if name in by_table
        ]

    @cached_property
    def tasks(self) -> dict[tuple[str, str, str], Task]:
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows:
            key = (row.table.model, row.number.task, row.number.metric)
            groups.setdefault(key, []).append(row)
        return {key: Task(*key, rows) for key, rows in groups.items()}

    @cached_property
    def copied(self) -> list[Copied]:
        return copies(self.literature)

    @cached_property
    def repeated(self) -> list[Repeated]:
        """What is copied, by table and configuration; what most tables print again first."""
        groups: dict[tuple, list[Copied]] = {}
        for one in self.copied:
            key = (one.original.number.table, one.original.configuration)
            groups.setdefault(key, []).append(one)
        found = []
        for several in groups.values():
            tables = {row.number.table: row.table for one in several for row in one.copies}
            changed = sum(len(one.changed) for one in several)
            found.append(
                Repeated(several[0].original, len(several), list(tables.values()), changed)
            )
        return sorted(found, key=lambda one: -len(one.tables))

    @cached_property
    def reruns(self) -> list[Reruns]:
        return reruns(self.literature)

    def reruns_of(self, method: str) -> list[Reruns]:
        return [one for one in self.reruns if one.rows[0].number.method == method]

    def figures(self, method: str) -> list[Figures]:
        """The method's own figures, task by task."""
        found = []
        for task in self.tasks.values():
            rows = [row for row in task.rows if row.number.method == method and row.own]
            if rows:
                found.append(Figures(task, rows, self._measured(method, task)))
        return found

    def _measured(self, method: str, task: Task) -> list[Entry]:
        """What was measured here of the method on this very model and task."""
        row = task.rows[0]
        return [
            entry
            for view, entry in self.measured(method)
            if (view.suite.model.name, view.suite.data.name) == (task.model, row.task.data)
            and not row.task.split
            and view.metric.name == task.metric
        ]

    def measured(self, method: str) -> list[tuple[SuiteView, Entry]]:
        """Every row of the suites here that is this method, with its suite."""
        return self._measured_here.get(method, [])

    @cached_property
    def _measured_here(self) -> dict[str | None, list[tuple[SuiteView, Entry]]]:
        found: dict[str | None, list[tuple[SuiteView, Entry]]] = {}
        for view in self.suites:
            for entry in view.entries:
                name = self.literature.identify(entry.method)
                found.setdefault(name, []).append((view, entry))
        return found

    def against(self, method: str) -> list[Against]:
        """The method beside every other that some table prints of its own runs too; those with
        most comparisons first.
        """
        others: dict[str, list[Ordering]] = {}
        for ordering in self.orderings:
            ends = (ordering.better.number.method, ordering.worse.number.method)
            if method in ends and ends[0] != ends[1]:
                others.setdefault(ends[ends[0] == method], []).append(ordering)
        found = [self._against(method, name, several) for name, several in others.items()]
        return sorted(found, key=lambda one: -one.comparisons)

    def _against(self, method: str, other: str, printed: Iterable[Ordering]) -> Against:
        tables = {ordering.better.number.table for ordering in printed}
        differences = [
            difference
            for name in self.literature.tables
            if name in tables
            for difference in self._differences(name, method, other)
        ]
        signs = [
            (a.value > b.value) - (a.value < b.value)
            for one in differences
            for a, b in one.by_task.values()
        ]
        rarer = min((method, other), key=lambda name: (self._own_of[name], name))
        apart = [one.apart for name in (method, other) for one in self.reruns_of(name)]
        return Against(
            other, self.literature.methods[other], rarer, apart, differences, signs.count(1),
            signs.count(-1), signs.count(0), self.verdicts(method, other),
        )  # fmt: skip

    @cached_property
    def _own_of(self) -> Counter[str]:
        """Method → its figures of own runs."""
        return Counter(row.number.method for row in self.rows if row.own)

    def _differences(self, table: str, method: str, other: str) -> list[Difference]:
        own: dict[str, dict[tuple, list[Row]]] = {method: {}, other: {}}
        for row in self.rows:
            if row.number.table == table and row.own and row.number.method in own:
                key = (row.configuration, row.number.targets)
                own[row.number.method].setdefault(key, []).append(row)
        found = []
        for ones in own[method].values():
            for others in own[other].values():
                on = {(row.number.task, row.number.metric): row for row in others}
                pairs = {
                    self.tasks[row.table.model, *key].title: (row, on[key])
                    for row in ones
                    if (key := (row.number.task, row.number.metric)) in on
                }
                if pairs:
                    found.append(Difference(ones[0].table, ones[0], others[0], pairs))
        return found

    def verdicts(self, method: str, other: str) -> list[Verdict]:
        """What the suites here say to `method` being above `other`, each pair of rows once."""
        found: dict[tuple[str, frozenset[str]], Verdict] = {}
        for view in self.suites:
            judged = view.results.literature
            for one in judged.orderings if judged else ():
                named = (judged.rows.get(one.better), judged.rows.get(one.worse))
                if set(named) != {method, other}:
                    continue
                word = one.judgement.verdict
                verdict = Verdict(
                    view, word if named[0] == method else _TURNED.get(word, word), one.judgement,
                    (one.better, one.worse),
                )  # fmt: skip
                key = (view.suite.name, frozenset((one.better, one.worse)))
                if key not in found or named[0] == method:
                    found[key] = verdict
        return list(found.values())

    def row_url(self, row: Row) -> str:
        """Where a figure stands, below the folder of these pages."""
        return f"tables/{row.number.table}.html#{row.anchor}"

    # --- downloads ---
    def as_csv(self) -> str:
        """One row a number, with all that is known of it."""
        file = io.StringIO()
        lines = [_flat(row) for row in self.rows]
        writer = csv.DictWriter(file, list(lines[0]) if lines else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return file.getvalue()

    def as_json(self) -> str:
        """The record as its files have it: tables, methods, numbers with their ids."""
        record = {
            "tables": [table.model_dump() for table in self.literature.tables.values()],
            "methods": {name: one.model_dump() for name, one in self.literature.methods.items()},
            "numbers": [
                {"id": row.id}
                | {key: value for key, value in row.number.model_dump().items() if value not in
                   (None, "")}
                for row in self.rows
            ],
        }  # fmt: skip
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def _checked(table: Table, rows: Sequence[Row]) -> TableChecks:
    tallies = arithmetic.tallies(rows)
    counts: dict[tuple, tuple[Row, arithmetic.Count]] = {}
    for row in rows:
        if row.own and (count := arithmetic.count(row)):
            counts.setdefault(row.configuration, (row, count))
    notes = [(row, note) for row in rows if row.own for note in arithmetic.metric_notes(row, rows)]
    words = arithmetic.in_words(table, tallies)
    return TableChecks(table, rows, tallies, words, notes, list(counts.values()))


def _flat(row: Row) -> dict[str, object]:
    number, table = row.number, row.table
    return {
        "id": row.id, "method": row.method.title, "rank": number.rank, "variant": number.variant,
        "targets": number.targets, "model": table.model, "task": number.task,
        "metric": number.metric, "value": number.value, "std": number.std,
        "parameters": number.parameters, "seeds": table.seeds, "statistic": table.statistic,
        "chosen_on": row.chosen_on, "reported_on": row.reported_on,
        "copied_from": number.copied_from, "source": table.source, "link": table.link,
        "second_hand": table.second_hand, "note": number.note,
    }  # fmt: skip


def record_page(record: LiteratureView) -> dict[str, object]:
    """For `literature.html`: what its table can be filtered by."""
    tasks = dict.fromkeys(row.number.task for row in record.rows)
    models = record.literature.models
    return {
        "choices": {
            "method": [(name, one.title) for name, one in record.methods.items()],
            "task": [(name, name) for name in tasks],
            "model": [(name, one.title) for name, one in models.items()],
            "apart": [(known[0], words) for known, words in CHOSEN.items()],
            "own": [("own", "the paper's own"), ("copy", "copied")],
        }
    }


def method_page(record: LiteratureView, name: str) -> dict[str, object]:
    """For `literature_method.html`."""
    figures = record.figures(name)
    measured = record.measured(name)
    mine = [row for row in record.rows if row.number.method == name]
    same = sum(len(one.measured) for one in figures)
    return {
        "name": name,
        "method": record.literature.methods[name],
        "own": sum(row.own for row in mine),
        "copied": sum(not row.own for row in mine),
        "figures": figures,
        "measured": measured,
        "elsewhere": len(measured) > same,
        "against": record.against(name),
        "reruns": record.reruns_of(name),
    }


FILTERS = {
    "chosen": CHOSEN.__getitem__,
    "reported": REPORTED.__getitem__,
    "metric_title": METRICS.__getitem__,
    "modules": lambda targets: TARGETS[targets] if targets else "",
}
