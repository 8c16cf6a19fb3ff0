"""What the pages of a suite say, in words and numbers, before any drawing and any template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from wsa.leaderboard.drawing import marks
from wsa.leaderboard.pictures import Mark
from wsa.leaderboard.reading import Run, SuiteResults
from wsa.leaderboard.rows import Row, rows_of
from wsa.suite import Suite


@dataclass(frozen=True)
class Gap:
    """Something not measured, and the command that measures it."""

    text: str
    command: str


@dataclass(frozen=True)
class ClaimedLine:
    """A line of the table of claimed, published and measured accuracies, in percent."""

    method: str
    claimed: float | None
    published: float | None
    source: str
    row: Row | None
    here: bool


@dataclass(frozen=True)
class ClaimView:
    id: str
    sentence: str
    source: str
    verdict: str
    text: str
    runs: Sequence[Run] = ()


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
        """In the evaluation set."""
        first = self.results.all_runs[0].result
        return next(iter(first.states.values())).n

    @cached_property
    def claims(self) -> list[ClaimView]:
        return [
            ClaimView(claim.id, claim.sentence, claim.source, "not measured", "")
            for claim in self.suite.claims
        ]

    @cached_property
    def findings(self) -> list:
        return []

    @property
    def answer(self) -> list[ClaimView]:
        return self.claims

    @cached_property
    def claimed_lines(self) -> list[ClaimedLine]:
        lines = []
        for claim in self.suite.claims:
            if claim.kind == "value":
                for state in claim.states:
                    row = self.row(claim.method, state)
                    title = self.suite.methods[claim.method].title
                    title += f", {row.state_label}" if row and row.state_label else ""
                    lines.append(ClaimedLine(title, claim.expected, None, "", row, True))
        for known in self.suite.published:
            source = f"{known.protocol}; {known.source}"
            lines.append(ClaimedLine(known.method, None, known.accuracy, source, None, False))
        return lines

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
                note("Same inputs give the same bits", "yes" if where.deterministic else "no")
                for package, number in where.versions.items():
                    note(f"{package} version", number)
                clean = {True: "", False: ", with changes", None: ""}[where.git_clean]
                note("Git commit", where.git_commit and where.git_commit[:12] + clean)
        return [(name, list(values)) for name, values in found.items()]


def gaps_of(view: SuiteView) -> list[Gap]:
    """The suite's runs that are not there."""
    suite = view.suite
    if not view.measured:
        where = " It wants a GPU." if suite.needs_gpu else ""
        return [
            Gap(
                f"{suite.title}: none of its {len(suite.runs())} runs.{where}",
                f"snakemake --cores 2 --config suites={suite.name}",
            )
        ]
    there = {(run.method, run.seed) for run in view.results.all_runs}
    gaps = []
    for name, method in suite.methods.items():
        missing = [seed for seed in suite.seeds if (name, seed) not in there]
        if missing:
            seeds = ", ".join(map(str, missing))
            path = view.results.layout.run(suite.name, name, missing[0]).training
            gaps.append(
                Gap(
                    f"{suite.title}: {method.title}, seed{'s' if len(missing) > 1 else ''} {seeds}",
                    f"snakemake --cores 2 -R {path.as_posix()}",
                )
            )
    return gaps
