"""What the pages of a suite say, in words and numbers, before any drawing and any template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from wsa.leaderboard.entries import STATES, Entry, Further, entries_of
from wsa.leaderboard.formats import repeats
from wsa.leaderboard.plots.parts.pictures import Mark, of_suite
from wsa.leaderboard.results import Difference, RunView, SuiteResults
from wsa.leaderboard.said import Said, said
from wsa.records.evidence import Finding, Judgement, PairComparison
from wsa.suite.schema import Claim, Method, Suite
from wsa.task import Metric, Task

if TYPE_CHECKING:
    from wsa.literature.schema import Literature, Row, Table
    from wsa.records.literature import JudgedOrdering

BASE = "base"  # the pretrained model among the timed ones


@dataclass(frozen=True)
class ClaimedLine:
    """A method's claimed, published and measured values of the headline metric."""

    name: str
    title: str
    claimed: float | None
    published: Sequence[float]
    rows: Sequence[Entry]


@dataclass(frozen=True)
class Judged:
    """A claim in one state: its verdict, what is published on it, the runs it rests on."""

    claim: Claim
    judgement: Judgement | None
    published: Sequence[float]
    runs: Sequence[RunView]

    @property
    def verdict(self) -> str:
        return self.judgement.verdict if self.judgement else "not measured"

    @property
    def claimed(self) -> str:
        """In short; of what was not judged only a claimed value is known in short."""
        if self.judgement:
            return self.judgement.claimed
        return f"{self.claim.expected:g}" if self.claim.kind == "value" else "–"

    @property
    def state(self) -> str:
        return STATES[self.judgement.state] if self.judgement and self.judgement.state else ""


@dataclass(frozen=True)
class Reading:
    """A method beside the suite's baseline: its rows, and differences in the same state."""

    name: str
    method: Method
    unpruned: Entry | None
    pruned: Entry | None
    differences: tuple[Difference | None, Difference | None]  # unpruned, pruned

    @property
    def effective_rank(self) -> float | None:
        return self.pruned.effective_rank if self.pruned else None


@dataclass(frozen=True)
class Speed:
    """Seconds for the timed sentences, and their ratio to the pretrained model's: means of rounds.

    The seconds are of the rounds that all were timed in. The interval of the ratio is the one that
    a verdict on it has.
    """

    title: str
    adapter: str  # how it is held: merged, or beside the weights
    seconds: float
    ratio: float
    low: float | None
    high: float | None


class SuiteView:
    """A suite with all that its pages show.

    Attributes:
        collections: those that the suite is part of, as (name, title).
        literature: the published record, if there is one.
    """

    def __init__(
        self,
        results: SuiteResults,
        marks: Mapping[str, Mark],
        collections: Sequence[tuple[str, str]] = (),
        literature: Literature | None = None,
    ) -> None:
        self.literature = literature
        self.results = results
        self.suite: Suite = results.suite
        self.task: Task = self.suite.data.task
        self.metric: Metric = self.task.headline
        self.marks = of_suite(self.suite, marks)
        self.collections = collections
        self.measured = results.measured
        self.claims_apply = results.claims_apply
        self.asks_hypothesis = results.asks_hypothesis

    @cached_property
    def entries(self) -> list[Entry]:
        return entries_of(self.results, self.marks)

    def mark(self, method: str) -> Mark:
        return self.marks[method]

    @cached_property
    def further(self) -> list[Further]:
        """The other metrics and splits that the entries have estimates of, in the suite's order."""
        there = {key for entry in self.entries for key in entry.further}
        order = [
            (metric.name, split)
            for split in ("", *self.suite.data.validation[1:])
            for metric in self.task.metrics
        ]
        return [key for key in order if key in there]

    @cached_property
    def said(self) -> Said | None:
        """What every run says of every sentence."""
        return said(self.results.runs)

    @property
    def sentences(self) -> int:
        """In the evaluation set; 0 where nothing was measured."""
        runs = self.results.all_runs
        return next(iter(runs[0].result.states.values())).n if runs else 0

    @cached_property
    def claims(self) -> list[list[Judged]]:
        """Every claim with its judgements: one, or one for each state it is judged in."""
        by_path = {run.path: run for run in self.results.all_runs}
        found = self.results.claims
        judged = {one.claim.id: one.judgements for one in found.claims} if found else {}
        claims = []
        for claim in self.suite.claims:
            known = []
            if claim.kind == "value":
                known = [float(row.value) for row in self.published_like(claim.method)]
            claims.append(
                [
                    Judged(
                        claim, one, known,
                        [by_path[path] for path in one.runs if path in by_path] if one else [],
                    )
                    for one in judged.get(claim.id) or [None]
                ]
            )  # fmt: skip
        return claims

    def sides(self, pair: PairComparison) -> tuple[str, str]:
        """The titles of the two methods of a comparison."""
        return self.suite.method(pair.method_a).title, self.suite.method(pair.method_b).title

    @property
    def verdicts(self) -> list[tuple[str, int]]:
        """How often each verdict was reached, the decided ones first."""
        words = [one.verdict for several in self.claims for one in several]
        order = ["supported", "contradicted", "undecided", "not measured"]
        return [(word, words.count(word)) for word in order if word in words]

    @property
    def tally(self) -> str:
        """The verdicts in a few words: '2 contradicted, 1 undecided'."""
        return ", ".join(f"{times} {word}" for word, times in self.verdicts)

    @cached_property
    def findings(self) -> list[list[Finding]]:
        """The findings, the gravest first, those that say the same together; methods by title."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in map(self._titled, self.results.findings):
            groups.setdefault((finding.severity, finding.message), []).append(finding)
        return list(groups.values())

    def _titled(self, finding: Finding) -> Finding:
        """The finding with titles where the record has ids of methods, as "wsa (pruned)"."""
        titles = {name: method.title for name, method in self.suite.methods.items()}
        ids = "|".join(re.escape(name) for name in sorted(titles, key=len, reverse=True))
        about = re.sub(rf"^({ids})(?=$| \(|, seed )", lambda m: titles[m[0]], finding.about)
        # in a sentence an id may also be a word: only those with a state or a value behind them
        message = re.sub(rf"(?<!\w)({ids})(?= \()", lambda m: titles[m[0]], finding.message)
        message = message.replace("learning_rate", "learning rate")
        return finding.model_copy(update={"about": about, "message": message})

    @cached_property
    def inference(self) -> list[Speed]:
        """How long the trained models take, beside the pretrained model in the same rounds."""
        found = self.results.inference
        if found is None:
            return []
        held = [(name, "merged" if name != BASE else "", s) for name, s in found.seconds.items()]
        for name, rounds in found.adapters.items():
            own = name.removesuffix(" pruned")
            pruned = "pruned, " if own != name else ""
            held.append((own, f"{pruned}beside the weights", rounds))
        base = found.seconds[BASE]
        return [self._speed(name, adapter, rounds, base) for name, adapter, rounds in held]

    def rounds_of(self, entry: Entry) -> Sequence[float]:
        """Seconds of each timed round of the entry's model; empty where it was not timed.

        An adapter stays beside the weights; what has none is the model itself.
        """
        found = self.results.inference
        if found is None or entry.state == "gate_only":
            return ()
        beside = f"{entry.name} pruned" if entry.state == "pruned" else entry.name
        own = () if entry.method.gated else found.seconds.get(entry.name, ())
        return found.adapters.get(beside, own)

    def _speed(
        self, name: str, adapter: str, rounds: Sequence[float], base: Sequence[float]
    ) -> Speed:
        import numpy as np

        from wsa.evidence.statistics import t_interval

        ratios = np.divide(rounds, base[: len(rounds)])
        low, high = map(float, t_interval(ratios)) if len(ratios) > 1 else (None, None)
        title = self._timed(name)
        seconds = fmean(rounds[: self.results.inference.common_rounds])
        return Speed(title, adapter, seconds, float(ratios.mean()), low, high)

    def _timed(self, name: str) -> str:
        """The title of what was timed."""
        method = self.suite.methods.get(name)
        return method.title if method else "The pretrained model" if name == BASE else name

    @property
    def alike(self) -> dict[str, list[str]]:
        """The title of a merged model that was timed → of those that it was timed for."""
        found: dict[str, list[str]] = {}
        for name, other in self.results.inference.alike.items():
            found.setdefault(self._timed(other), []).append(self._timed(name))
        return found

    @cached_property
    def readings(self) -> list[Reading]:
        """The baseline and what is compared with it, in the suite's order; none without one.

        A method without a run is left out.
        What has no gates is compared as trained only; a baseline without gates is as trained
        always.
        """
        base = self.suite.baseline
        if base is None:
            return []
        readings = []
        for name, method in sorted(self.suite.methods.items(), key=lambda item: item[0] != base):
            rows = [self.entry(name, state) for state in ("unpruned", "pruned")]
            if method.kind == "majority" or not any(rows):
                continue
            differences = [
                self.results.difference(
                    (name, state), (base, state if self.suite.methods[base].gated else "unpruned")
                )
                for state in ("unpruned", "pruned")
            ]
            readings.append(Reading(name, method, *rows, tuple(differences)))
        return readings

    @cached_property
    def claimed_lines(self) -> list[ClaimedLine]:
        """The methods that have a claimed or a published value."""
        claimed = {c.method: c.expected for c in self.suite.claims if c.kind == "value"}
        lines = []
        for name, method in self.suite.methods.items():
            published = [float(row.value) for row in self.published_like(name)]
            if name in claimed or published:
                rows = [e for e in self.entries if e.name == name and e.state != "gate_only"]
                lines.append(ClaimedLine(name, method.title, claimed.get(name), published, rows))
        return sorted(lines, key=lambda line: -(line.claimed or 0))

    @cached_property
    def published(self) -> list[Row]:
        """What the record has of the suite's model and task, in its headline metric: those whose
        sentences did not choose first, each group from the highest.
        """
        if self.literature is None:
            return []
        suite = self.suite
        rows = self.literature.of(suite.model.name, suite.data.name, self.metric.name)
        return sorted((row for row in rows if row.own), key=lambda row: (not row.apart, -row.value))

    def printed(self, one: JudgedOrdering) -> list[tuple[Table, list[tuple[Row, Row]]]]:
        """The tables that print an ordering, each with the pairs of rows in which it does."""
        found: dict[str, list[tuple[Row, Row]]] = {}
        known = self.literature.by_id if self.literature else {}
        for pair in one.printed:
            if pair.better in known and pair.worse in known:
                rows = (known[pair.better], known[pair.worse])
                found.setdefault(rows[0].number.table, []).append(rows)
        return [(pairs[0][0].table, pairs) for pairs in found.values()]

    def published_like(self, name: str) -> list[Row]:
        """The published rows of just this method at just its rank; their modules may be others."""
        method = self.suite.methods[name]
        known = self.literature.identify(method) if self.literature else None
        if known is None:
            return []
        return [
            row for row in self.published
            if row.number.method == known and (row.number.rank or 0) == method.rank
        ]  # fmt: skip

    @property
    def claimed_among_published(self) -> list[str]:
        """Where each claimed value lies among the published ones, those whose sentences did not
        choose and the others apart.
        """
        claims = [claim for claim in self.suite.claims if claim.kind == "value"]
        groups = [
            (
                "whose settings were chosen on the very sentences they report, or may have been",
                False,
            ),
            ("whose settings were chosen on other sentences", True),
        ]
        said = []
        for words, apart in groups:
            values = [float(row.value) for row in self.published if row.apart == apart]
            if not (claims and values):
                continue
            below = [sum(value < claim.expected for value in values) for claim in claims]
            places = [
                f"{count or 'none'} {'are' if count > 1 else 'is'} below {claim.expected:.1f}"
                for claim, count in zip(claims, below, strict=True)
            ]
            which = ", ".join(f"{claim.expected:.1f}" for claim in claims)
            said.append(
                f"Of the {len(values)} published figures {words} ({min(values):.2f} to "
                f"{max(values):.2f}), "
                + (
                    f"{', '.join(places)}, as claimed."
                    if any(below)
                    else f"every one is above the claimed {which}."
                )
            )
        return said

    def entry(self, method: str, state: str) -> Entry | None:
        return next((e for e in self.entries if e.name == method and e.state == state), None)

    @cached_property
    def provenance(self) -> list[tuple[str, list[str]]]:
        """What the runs were made with: a name and all the values that occur."""
        found: dict[str, dict[str, None]] = {}

        def note(name: str, value: object) -> None:
            if value not in (None, ""):
                found.setdefault(name, {})[str(value)] = None

        for run in self.results.all_runs:
            made = run.result.provenance
            note("Model", made.model)
            note("Data", made.data)
            note("Factors", made.factors)
            for where in made.environments.values():
                note("Processor", where.processor)
                note("Accelerator", where.accelerator)
                note("Platform", where.platform)
                note("Linear algebra", where.blas)
                note("Threads", where.threads)
                note("Run again, the numbers are the same", repeats(where.determinism))
                for package, number in where.versions.items():
                    note(f"{package} version", number)
                clean = {True: "", False: ", with changes", None: ""}[where.git_clean]
                note("Git commit", where.git_commit and where.git_commit[:12] + clean)
        return [(name, list(values)) for name, values in found.items()]
