"""What the pages of a suite say, in words and numbers, before any drawing and any template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from wsa.leaderboard.drawing import marks
from wsa.leaderboard.formats import repeats
from wsa.leaderboard.pictures import Mark
from wsa.leaderboard.results import Difference, Run, SuiteResults
from wsa.leaderboard.rows import STATES, Row, rows_of
from wsa.records.evidence import Finding, Judgement
from wsa.suite.schema import Claim, Method, Suite


@dataclass(frozen=True)
class Gap:
    """Something not measured, and the command that measures it."""

    text: str
    command: str


@dataclass(frozen=True)
class ClaimedLine:
    """A method's claimed, published and measured accuracies, in percent."""

    name: str
    title: str
    claimed: float | None
    published: Sequence[float]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Judged:
    """A claim in one state: its verdict, what is published on it, the runs it rests on."""

    claim: Claim
    judgement: Judgement | None
    published: Sequence[float]
    runs: Sequence[Run]

    @property
    def verdict(self) -> str:
        return self.judgement.verdict if self.judgement else "not measured"

    @property
    def state(self) -> str:
        return STATES[self.judgement.state] if self.judgement and self.judgement.state else ""


@dataclass(frozen=True)
class Reading:
    """A method beside the suite's baseline: its rows, and differences in the same state."""

    name: str
    method: Method
    unpruned: Row | None
    pruned: Row | None
    differences: tuple[Difference | None, Difference | None]  # unpruned, pruned

    @property
    def effective_rank(self) -> float | None:
        return self.pruned.effective_rank if self.pruned else None


@dataclass(frozen=True)
class Speed:
    """Of a merged model: seconds for the timed sentences, and paired ratios to the base model."""

    title: str
    seconds: float
    ratio: float
    lowest: float
    highest: float


class SuiteView:
    """A suite with all that its pages show."""

    def __init__(self, results: SuiteResults) -> None:
        self.results = results
        self.suite: Suite = results.suite
        self.measured = results.measured
        self.claims_apply = results.claims_apply

    @cached_property
    def rows(self) -> list[Row]:
        return rows_of(self.results, self.marks)

    @cached_property
    def marks(self) -> dict[str, Mark]:
        return marks(self.suite)

    def mark(self, method: str) -> Mark:
        return self.marks[method]

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
                known = [p.accuracy for p in self.suite.published if p.row == claim.method]
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
        """The findings, the gravest first, those that say the same together."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.results.findings:
            groups.setdefault((finding.severity, finding.message), []).append(finding)
        return list(groups.values())

    @cached_property
    def inference(self) -> list[Speed]:
        """How long merged models take, beside the pretrained model in the same rounds."""
        found = self.results.inference
        if found is None:
            return []
        base = found.seconds["base"]
        speeds = []
        for name, seconds in found.seconds.items():
            ratios = [own / ref for own, ref in zip(seconds, base, strict=True)]
            method = self.suite.methods.get(name)
            title = method.title if method else "The pretrained model"
            speeds.append(
                Speed(title, median(seconds), median(ratios), min(ratios), max(ratios))
            )  # fmt: skip
        return speeds

    @cached_property
    def readings(self) -> list[Reading]:
        """The baseline and what is compared with it, in the suite's order; none without one.

        What has no gates is compared as trained only; a baseline without gates is as trained
        always.
        """
        base = self.suite.baseline
        if base is None:
            return []
        readings = []
        for name, method in sorted(self.suite.methods.items(), key=lambda item: item[0] != base):
            if method.kind == "majority":
                continue
            differences = [
                self.results.difference(
                    (name, state), (base, state if self.suite.methods[base].gated else "unpruned")
                )
                for state in ("unpruned", "pruned")
            ]
            rows = [self.row(name, state) for state in ("unpruned", "pruned")]
            readings.append(Reading(name, method, *rows, tuple(differences)))
        return readings

    @cached_property
    def claimed_lines(self) -> list[ClaimedLine]:
        """The methods that have a claimed or a published accuracy."""
        claimed = {c.method: c.expected for c in self.suite.claims if c.kind == "value"}
        lines = []
        for name, method in self.suite.methods.items():
            published = [p.accuracy for p in self.suite.published if p.row == name]
            if name in claimed or published:
                rows = [row for row in self.rows if row.name == name and row.state != "gate_only"]
                lines.append(ClaimedLine(name, method.title, claimed.get(name), published, rows))
        return sorted(lines, key=lambda line: -(line.claimed or 0))

    @property
    def claims_below_published(self) -> bool:
        """Whether every claimed accuracy lies below every published one."""
        claimed = [claim.expected for claim in self.suite.claims if claim.kind == "value"]
        published = [known.accuracy for known in self.suite.published]
        return bool(claimed and published) and max(claimed) < min(published)

    def row(self, method: str, state: str) -> Row | None:
        return next((r for r in self.rows if r.name == method and r.state == state), None)

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


def answer(views: Sequence[SuiteView]) -> str:
    """The answer so far, in a few sentences; first where the claims were made for."""
    sentences = []
    for view in sorted(views, key=lambda view: not view.claims_apply):
        where = f"On {view.suite.title}"
        if view.claims_apply:
            where += ", which the claims were made for"
        if not view.suite.claims:
            continue
        if not view.measured:
            sentences.append(f"{where}: not measured yet.")
        else:
            sentences.append(f"{where}: {view.tally}.")
    return " ".join(sentences) or "Nothing has been claimed for these suites."


def gaps_of(view: SuiteView) -> list[Gap]:
    """The suite's runs that are not there."""
    suite = view.suite
    if not view.measured:
        where = ", on a machine with a GPU" if suite.needs_gpu else ""
        return [Gap(f"{suite.title}: all of its {len(suite.runs())} runs{where}.", _command(suite))]
    missing = []
    for name, method in suite.methods.items():
        there = {run.seed for run in view.results.runs[name]}
        seeds = [str(seed) for seed in suite.seeds if seed not in there]
        if seeds:
            missing.append(f"{method.title}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}")
    if not missing:
        return []
    return [Gap(f"{suite.title}, runs missing: {'; '.join(missing)}.", _command(suite))]


def _command(suite: Suite) -> str:
    """What runs a suite, or the rest of it."""
    resources = "--cores 1 --resources gpu=1" if suite.needs_gpu else "--cores 2"
    return f"snakemake {resources} --config suites={suite.name}"
