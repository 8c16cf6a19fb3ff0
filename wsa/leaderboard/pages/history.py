"""How the numbers moved: by date, by the versions of what computes, by who improved on whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.leaderboard.measures import gain

if TYPE_CHECKING:
    from wsa.leaderboard.pages.submissions import Table
    from wsa.submissions.measured import Agreement, Measured


@dataclass(frozen=True)
class Step:
    """A measurement of a method, beside the one before it."""

    measured: Measured
    change: Agreement | None  # from the one before, on the seeds that both have

    @property
    def moved(self) -> list[str]:
        """The packages whose version is another than before."""
        if self.change is None:
            return []
        before, now = self.change.a.versions, self.measured.versions
        return [name for name in now if now[name] != before[name]]


@dataclass(frozen=True)
class Course:
    """One method over time: the same configuration, whatever it is called."""

    title: str
    steps: list[Step]


@dataclass(frozen=True)
class Best:
    """A measurement that was better than all before it, on average."""

    measured: Measured
    by: float | None  # how much better than the best before, as shown


def history_context(tables: Sequence[Table]) -> dict[str, object]:
    """For `history.html`."""
    from wsa.submissions.measured import PACKAGES

    return {
        "packages": PACKAGES,
        "tables": [(table, courses(table), bests(table)) for table in tables],
    }


def courses(table: Table) -> list[Course]:
    """Every method that was measured more than once, in the suite's order."""
    from wsa.submissions.measured import agreement

    groups: dict[str, list[Measured]] = {}
    for found in table.measured:
        groups.setdefault(found.configuration, []).append(found)
    made = []
    for group in groups.values():
        if len(group) < 2:
            continue
        group.sort(key=lambda found: found.date)
        changes = [None, *(agreement(a, b) for a, b in zip(group, group[1:], strict=False))]
        steps = [Step(*pair) for pair in zip(group, changes, strict=True)]
        made.append(Course(group[-1].method.title, steps))
    return made


def bests(table: Table) -> list[Best]:
    """The best mean so far, by date; controls left out."""
    metric, found = table.metric, []
    for one in sorted(table.measured, key=lambda one: (one.date, -gain(one.headline.mean, metric))):
        if one.control:
            continue
        before = found[-1].measured.headline.mean if found else None
        better = None if before is None else one.headline.mean - before
        if better is None or gain(better, metric) > 0:
            # of what came together, the best alone
            if found and found[-1].measured.entry is one.entry:
                before = found[-2].measured.headline.mean if len(found) > 1 else None
                better = None if before is None else one.headline.mean - before
                found.pop()
            found.append(Best(one, better))
    return found
