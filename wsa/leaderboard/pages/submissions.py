"""What other people measured, beside this project's own runs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wsa.layout import Layout, run_below
from wsa.leaderboard.entries import STATES
from wsa.records.submission import STANDINGS

if TYPE_CHECKING:
    from wsa.records.evidence import Estimate
    from wsa.submissions.measured import Agreement, Entry, Measured
    from wsa.suite.schema import Suite
    from wsa.task import Metric


@dataclass(frozen=True)
class Line:
    """A method of one person in one state."""

    measured: Measured
    estimate: Estimate

    @property
    def headline(self) -> bool:
        return self.estimate is self.measured.headline

    @property
    def state_label(self) -> str:
        return STATES[self.estimate.state] if self.measured.method.gated else ""

    @property
    def aside(self) -> bool:
        return self.measured.control or not self.headline

    @property
    def machines(self) -> str:
        """On what it ran; of several machines, which seeds on which."""
        found = self.measured.hardware
        if len(found) == 1:
            return next(iter(found))
        return "; ".join(
            f"{name}: seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
            for name, seeds in found.items()
        )

    @property
    def mixed(self) -> bool:
        """Whether its mean is over seeds of several machines."""
        return len(self.measured.hardware) > 1

    @property
    def checked(self) -> str:
        """The furthest standing of its runs, to filter by."""
        best = self.measured.standing
        return best.split(" (")[0]


class Table:
    """A suite with everything that was measured on it, by whomever.

    Attributes:
        entries: the submissions to it.
    """

    def __init__(self, suite: Suite, here: list[Measured], entries: Sequence[Entry]) -> None:
        from wsa.submissions.measured import measured_in

        self.suite, self.entries = suite, entries
        self.metric: Metric = suite.data.task.headline
        self.of_entry = {entry.name: measured_in(entry) for entry in entries}
        self.measured = [*here, *(found for own in self.of_entry.values() for found in own)]

    @cached_property
    def lines(self) -> list[Line]:
        """The best mean first."""
        lines = [Line(found, one) for found in self.measured for one in found.estimates]
        sign = 1 if self.metric.greater_is_better else -1
        return sorted(lines, key=lambda line: -sign * line.estimate.mean)

    @cached_property
    def agreements(self) -> list[Agreement]:
        """Every method that two people measured; those that do not agree first."""
        from wsa.submissions.measured import agreements

        found = agreements(self.measured)
        return sorted(found, key=lambda one: one.verdict != "disagree")

    @property
    def options(self) -> dict[str, list[tuple[str, str]]]:
        """What the table can be filtered by."""
        whose = dict.fromkeys(line.measured.who for line in self.lines)
        machines = dict.fromkeys(name for line in self.lines for name in line.measured.hardware)
        checked = {line.checked for line in self.lines}
        known = [word for word in STANDINGS if word in checked]
        return {
            "who": [(name, name) for name in whose],
            "hardware": [(name, name) for name in machines],
            "checked": [(word, word) for word in (*known, *sorted(checked - set(known)))],
            "state": [("headline", "the headline state"), ("other", "the other states")]
            if any(not line.headline for line in self.lines)
            else [],
        }


def tables_of(suites: Sequence[Suite], layout: Layout) -> tuple[list[Table], dict[str, str]]:
    """The suites that somebody submitted to; and what could not be read, with why."""
    if not layout.admitted():
        return [], {}
    from wsa.submissions.measured import measured_here, read_entries

    entries, unreadable = read_entries(layout)
    tables = []
    for suite in suites:
        own = [entry for entry in entries if entry.suite.name == suite.name]
        if own:
            tables.append(Table(suite, measured_here(suite, layout), own))
    return tables, unreadable


def submissions_context(tables: Sequence[Table], unreadable: dict[str, str]) -> dict[str, object]:
    """For `submissions.html`."""
    from wsa.evidence.runs import hardware

    return {"tables": tables, "unreadable": unreadable, "device": hardware}


def copy_records(found: Measured, folder: Path) -> None:
    """Put the records of a submission's runs into `folder`, where the page links to them."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in found.results:
        record = run_below(found.folder, found.name, seed).result
        shutil.copyfile(record, folder / f"{found.name}_seed-{seed}.json")
