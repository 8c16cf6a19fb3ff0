"""Methods as one person measured them, this project or somebody else; do two of them agree?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from wsa.archive.compare import Row, Side, compare_sides
from wsa.errors import InputError
from wsa.evidence.comparisons import estimate
from wsa.evidence.runs import Runs, hardware, read_runs
from wsa.layout import Layout, SubmissionFiles
from wsa.records.evidence import Estimate
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.records.submission import STANDINGS, Admission, Check, RunCheck, Submission
from wsa.submissions.checks import read_submission, runs_of
from wsa.submissions.suites import CONTROLS
from wsa.suite.schema import Method, Suite

PROJECT = "this project"
PACKAGES = ("torch", "transformers", "peft")  # those whose versions are told


def versions(result: Result) -> dict[str, str]:
    """Package → its version in training, or 'unknown'."""
    place = result.provenance.environments.get("train")
    known = place.versions if place else {}
    return {name: known.get(name, "unknown") for name in PACKAGES}


def finished(result: Result) -> str:
    """When the last stage of a run ended: UTC, ISO 8601."""
    return max(place.finished for place in result.provenance.environments.values())


def commit(result: Result) -> str:
    """Of the code that trained a run; empty if that is not known."""
    place = result.provenance.environments.get("train")
    return (place.git_commit or "")[:12] if place else ""


@dataclass(frozen=True)
class Entry:
    """An admitted submission, as it is kept.

    Attributes:
        suite: the suite of this project that it is for.
        problems: what is wrong with its files now, if anything: they may have changed since.
    """

    files: SubmissionFiles
    submission: Submission
    admission: Admission
    suite: Suite
    runs: Runs
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """Unique among the submissions to its suite."""
        return self.files.folder.name

    @property
    def check(self) -> Check:
        """The latest look at it."""
        return self.admission.checks[-1]


@dataclass(frozen=True)
class Measured:
    """A method's runs by one person.

    Attributes:
        suite: the suite of this project whose table it stands in.
        results: seed → the run's record.
        estimates: the headline metric in every state, the state it is quoted for first.
        folder: holds `runs/<method>/seed-<k>`.
        entry: None for this project's own runs.
    """

    suite: Suite
    name: str
    method: Method
    results: dict[int, Result]
    estimates: tuple[Estimate, ...]
    folder: Path
    entry: Entry | None = None

    @property
    def who(self) -> str:
        return self.entry.submission.card.who if self.entry else PROJECT

    @property
    def control(self) -> bool:
        return self.method.kind in CONTROLS

    @property
    def configuration(self) -> str:
        """Of protocol and method: equal where the same was computed, whatever it is called."""
        return next(iter(self.results.values())).provenance.configuration

    @property
    def headline(self) -> Estimate:
        return self.estimates[0]

    @property
    def missing(self) -> list[int]:
        """The suite's seeds that were not run."""
        return [seed for seed in self.suite.seeds if seed not in self.results]

    @cached_property
    def hardware(self) -> dict[str, list[int]]:
        """Device → the seeds that were trained on it."""
        found: dict[str, list[int]] = {}
        for seed, result in self.results.items():
            found.setdefault(hardware(result), []).append(seed)
        return found

    @cached_property
    def versions(self) -> dict[str, str]:
        """Package → its version, or versions, in training."""
        every = [versions(result) for result in self.results.values()]
        return {name: ", ".join(dict.fromkeys(own[name] for own in every)) for name in PACKAGES}

    @property
    def date(self) -> str:
        """When the last of its runs ended: UTC, ISO 8601."""
        return max(map(finished, self.results.values()))

    @property
    def commits(self) -> list[str]:
        """Of the code that trained it."""
        return sorted({commit(result) for result in self.results.values()} - {""})

    def checks(self) -> dict[int, tuple[Check, RunCheck]]:
        """Seed → the check that went furthest; empty for this project's own."""
        if self.entry is None:
            return {}
        found = {s: self.entry.admission.of_run(self.name, s) for s in self.results}
        return {seed: pair for seed, pair in found.items() if pair is not None}

    @property
    def standing(self) -> str:
        """How far its runs were checked: the furthest, with how many of them."""
        if self.entry is None:
            return "measured here"
        reached = [run.standing for _, run in self.checks().values()]
        best = max(reached, key=STANDINGS.index, default=STANDINGS[0])
        times = reached.count(best)
        if times == len(self.results):
            return best
        return f"{best} ({times} of {len(self.results)} runs)"

    @property
    def side(self) -> Side:
        return Side(self.folder, self.name, self.results)


@dataclass(frozen=True)
class Agreement:
    """The same method measured twice, on the seeds that both have.

    Attributes:
        row: what `wsa compare` says of them.
        conditions: how `b` was made otherwise than `a`.
    """

    a: Measured
    b: Measured
    row: Row
    conditions: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Of the headline metric in the state it is quoted for, as shown: b minus a."""
        change = [
            self.b.results[seed].headline - self.a.results[seed].headline for seed in self.row.seeds
        ]
        return self.a.suite.data.task.headline.scale * fmean(change)

    @property
    def verdict(self) -> str:
        words = {"within noise": "agree within noise", "different": "disagree"}
        return words.get(self.row.sameness, self.row.sameness)


def agreement(a: Measured, b: Measured) -> Agreement | None:
    """Whether two measurements of one method agree; None where they have no seed in common."""
    if not a.results.keys() & b.results.keys():
        return None
    return Agreement(a, b, *compare_sides(a.side, b.side))


def agreements(measured: Sequence[Measured]) -> Iterator[Agreement]:
    """Every method of a suite that was measured more than once, each pair of them."""
    for a, b in itertools.combinations(measured, 2):
        if a.configuration == b.configuration and (found := agreement(a, b)):
            yield found


def measured_here(suite: Suite, layout: Layout) -> list[Measured]:
    """This project's own runs of a suite, by method; what cannot be read is left out."""
    if not layout.suite(suite.name).exists():
        return []
    return list(_by_method(suite, read_runs(suite, layout)))


def measured_in(entry: Entry) -> list[Measured]:
    """The runs of a submission, by method."""
    return list(_by_method(entry.suite, entry.runs, entry))


def _by_method(suite: Suite, runs: Runs, entry: Entry | None = None) -> Iterator[Measured]:
    for name, method in runs.suite.methods.items():
        results = {seed: result for (own, seed), result in runs.results.items() if own == name}
        if not results:
            continue
        quoted = runs.headline_state(name)
        units = [unit for unit in runs.units() if unit[0] == name]
        units.sort(key=lambda unit: unit[1] != quoted)
        yield Measured(
            suite, name, method, results, tuple(estimate(runs, unit) for unit in units),
            runs.layout.suite(runs.suite.name), entry,
        )  # fmt: skip


def read_entries(layout: Layout) -> tuple[list[Entry], dict[str, str]]:
    """Every submission that was admitted; and folder → why it cannot be read, of the others."""
    entries, unreadable = [], {}
    for files in layout.admitted():
        try:
            entries.append(read_entry(files, layout))
        except InputError as error:
            unreadable[str(files.folder)] = str(error).splitlines()[0]
    return entries, unreadable


def read_entry(files: SubmissionFiles, layout: Layout) -> Entry:
    """One that was admitted; its metrics are computed from its predictions once more.

    Raises:
        InputError: it cannot be read, or is for a suite that is not here.
    """
    submission, suite, own = read_submission(files, layout)
    admission = read_record(files.admission, Admission)
    runs = runs_of(files, own, layout)
    missing = {
        f"{method}, seed {seed}" for method, seed in own.runs()
        if not runs.files((method, seed)).result.exists()
    }  # fmt: skip
    problems = [f"{f.about}: {f.message}" for f in runs.findings if f.about not in missing]
    for (method, seed), result in list(runs.results.items()):
        if result.provenance.configuration != own.run_digest(method):
            problems.append(
                f"{method}, seed {seed}: the suite has another protocol or configuration now"
            )
    return Entry(files, submission, admission, suite, runs, tuple(problems))
