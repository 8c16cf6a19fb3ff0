"""Who took a number from whom, how far reruns of one method lie apart, how far new ones lead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from wsa.literature.schema import Literature, Row


@dataclass(frozen=True)
class Copied:
    """A number that later tables print again.

    Attributes:
        original: the row it comes from.
        copies: the rows that repeat it.
    """

    original: Row
    copies: tuple[Row, ...]

    @property
    def changed(self) -> tuple[Row, ...]:
        """Copies that print something else."""
        return tuple(row for row in self.copies if row.value != self.original.value)


@dataclass(frozen=True)
class Reruns:
    """One method, rank and variant on one task, run by several papers, each by itself.

    Attributes:
        rows: their own runs, the lowest first.
        leads: how far proposed methods are printed above the same method in their own tables,
            whoever ran that one; the smallest first.
    """

    rows: tuple[Row, ...]
    leads: tuple[tuple[Row, Decimal], ...]

    @property
    def apart(self) -> Decimal:
        return self.rows[-1].value - self.rows[0].value

    @property
    def within(self) -> int:
        """The leads that are no larger than the reruns lie apart."""
        return sum(lead <= self.apart for _, lead in self.leads)


def copies(literature: Literature) -> list[Copied]:
    """Every number that is copied, in the record's order.

    A copy whose original the record does not have is left out.
    """
    taken: dict[str, list[Row]] = {}
    for row in literature.rows:
        if row.own:
            continue
        original = _original(row, literature.rows)
        if original:
            taken.setdefault(original.id, []).append(row)
    return [Copied(literature.by_id[name], tuple(rows)) for name, rows in taken.items()]


def _original(copy: Row, rows: Iterable[Row]) -> Row | None:
    """The row that `copy` repeats; MNLI without a word on the set is its matched set."""
    same = [
        row
        for row in rows
        if row.number.table == copy.number.copied_from
        and row.configuration == copy.configuration
        and row.task.data == copy.task.data
        and row.number.metric == copy.number.metric
    ]
    exact = [row for row in same if row.number.task == copy.number.task]
    return next(iter(exact or [row for row in same if not row.task.split]), None)


def reruns(literature: Literature) -> list[Reruns]:
    """Every method that two papers or more have run themselves, on one task, one model and one
    metric; those with most papers first.

    Sentences may be others (a half of the validation set): that is part of how far they lie apart.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in literature.rows:
        if row.own:
            key = (row.table.model, row.number.task, row.number.metric)
            method, rank, _ = row.configuration
            groups.setdefault((*key, method, rank), []).append(row)
    found = []
    for rows in groups.values():
        if len({row.table.paper for row in rows}) > 1:
            ordered = sorted(rows, key=lambda row: row.value)
            found.append(Reruns(tuple(ordered), tuple(_leads(literature, rows[0]))))
    return sorted(found, key=lambda one: -len(one.rows))


def _leads(literature: Literature, over: Row) -> list[tuple[Row, Decimal]]:
    leads = []
    for row in literature.rows:
        if not (row.own and row.number.table in row.method.tables) or not alike(row, over):
            continue
        below = [
            other
            for other in literature.rows
            if other.number.table == row.number.table
            and alike(other, over)
            and (other.number.method, other.number.rank) == (over.number.method, over.number.rank)
        ]
        if below and row.number.method != over.number.method:
            leads.append((row, row.value - max(other.value for other in below)))
    return sorted(leads, key=lambda lead: lead[1])


def alike(a: Row, b: Row) -> bool:
    """Whether two rows are of the same model, task and metric."""
    return (a.table.model, a.number.task, a.number.metric) == (
        b.table.model, b.number.task, b.number.metric,
    )  # fmt: skip
