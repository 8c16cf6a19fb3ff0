"""What was not measured, and the command that measures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.suite.schema import Suite

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView


@dataclass(frozen=True)
class Gap:
    """Something not measured, and the command that measures it."""

    text: str
    command: str


def gaps_of(view: SuiteView) -> list[Gap]:
    """The suite's runs that are not there."""
    suite = view.suite
    if not view.measured:
        where = ", on a machine with a GPU" if suite.needs_gpu else ""
        return [Gap(f"{suite.title}: all of its {len(suite.runs())} runs{where}.", _command(suite))]
    missing: dict[tuple[int, ...], list[str]] = {}  # seeds that are not there → of which methods
    for name, method in suite.methods.items():
        there = {run.seed for run in view.results.runs[name]}
        seeds = tuple(seed for seed in suite.seeds if seed not in there)
        if seeds:
            missing.setdefault(seeds, []).append(method.title)
    if not missing:
        return []
    said = [
        f"{'all seeds' if seeds == suite.seeds else _named(seeds)} of {'; '.join(titles)}"
        for seeds, titles in missing.items()
    ]
    return [Gap(f"{suite.title}, runs missing: {'. And '.join(said)}.", _command(suite))]


def _named(seeds: tuple[int, ...]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _command(suite: Suite) -> str:
    """What runs a suite, or the rest of it."""
    resources = "--cores 1 --resources gpu=1" if suite.needs_gpu else "--cores 2"
    return f"snakemake {resources} --config suites={suite.name}"
