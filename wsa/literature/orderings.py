"""What tables print above what of their own runs, and what a suite's runs say to it.

An ordering is generated from two numbers of one table, never typed. Every ordering whose two
methods a suite has is judged by its rows, all pairs of rows as one family (Holm). On another model
or task that is the same question elsewhere, not a replication.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from wsa.evidence.claims.order import OrderClaim
from wsa.evidence.runs import Runs, read_runs
from wsa.layout import Layout
from wsa.literature.copies import alike
from wsa.literature.schema import Literature, Row
from wsa.records.evidence import Judgement
from wsa.records.literature import Judged, JudgedOrdering, Printed
from wsa.records.record import write_record
from wsa.suite.schema import Method, Suite


@dataclass(frozen=True)
class Ordering:
    """A table's own run that it prints above another."""

    better: Row
    worse: Row


def orderings(literature: Literature) -> list[Ordering]:
    """Every pair of a table's own runs on one task that differ in method, or in rank, and in what
    is printed.
    """
    found = []
    for table in literature.tables:
        rows = [row for row in literature.rows if row.number.table == table and row.own]
        for a, b in itertools.combinations(rows, 2):
            if alike(a, b) and a.value != b.value and a.configuration[:2] != b.configuration[:2]:
                found.append(Ordering(a, b) if a.value > b.value else Ordering(b, a))
    return found


def rows_of(literature: Literature, suite: Suite) -> dict[str, str]:
    """The suite's methods that the record knows → their names there."""
    named = {name: literature.identify(method) for name, method in suite.methods.items()}
    return {name: found for name, found in named.items() if found}


def pairs_of(
    literature: Literature, suite: Suite
) -> dict[tuple[str, str], list[tuple[Ordering, bool]]]:
    """(better, worse) of the suite's methods → the orderings that they can judge, each with
    whether it is of the suite's own model and task.

    A method is judged by the row of the nearest rank; two ranks of one method by rows of just
    these ranks.
    """
    rows = rows_of(literature, suite)
    metric = suite.data.task.headline.name
    own = {row.id for row in literature.of(suite.model.name, suite.data.name, metric)}
    found: dict[tuple[str, str], list[tuple[Ordering, bool]]] = {}
    for ordering in orderings(literature):
        ends = (ordering.better, ordering.worse)
        one_method = ordering.better.number.method == ordering.worse.number.method
        better, worse = (_row_for(row, rows, suite.methods, exact=one_method) for row in ends)
        if better and worse and better != worse:
            row = ordering.better
            found.setdefault((better, worse), []).append((ordering, row.id in own))
    return found


def _row_for(
    row: Row, rows: Mapping[str, str], methods: Mapping[str, Method], exact: bool
) -> str | None:
    """The suite's row that is most like a published one; the first of equally near ranks."""
    names = [name for name, method in rows.items() if method == row.number.method]
    rank = row.number.rank
    if exact:
        names = [name for name in names if rank and methods[name].rank == rank]
    if not names:
        return None
    return min(names, key=lambda name: _far(methods[name].rank, rank))


def _far(a: int, b: int | None) -> float:
    """How far two ranks are apart, by their ratio; 0 where one is not known."""
    return abs(math.log(a / b)) if a and b else 0.0


def judge_literature(literature: Literature, suite: Suite, layout: Layout) -> Judged:
    """Write `literature.json` of a suite from its runs; missing runs are not measured."""
    pairs = pairs_of(literature, suite)
    judgements = judge_pairs(list(pairs), read_runs(suite, layout))
    judged = tuple(
        JudgedOrdering(
            better=better,
            worse=worse,
            printed=tuple(
                Printed(better=one.better.id, worse=one.worse.id, same_question=same)
                for one, same in printed
            ),
            judgement=judgements[better, worse],
        )
        for (better, worse), printed in pairs.items()
    )
    record = Judged(
        suite=suite.name,
        model=suite.model.name,
        data=suite.data.name,
        rows=rows_of(literature, suite),
        orderings=judged,
        said=summed_up(judged),
    )
    write_record(layout.literature_json(suite.name), record)
    return record


def judge_pairs(pairs: Collection[tuple[str, str]], runs: Runs) -> dict[tuple[str, str], Judgement]:
    """Whether the first method of each pair is better than the second, all judged together.

    A pair that stands both ways round, as tables disagree, is one comparison of the family.
    """
    once = list(dict.fromkeys(tuple(sorted(pair)) for pair in pairs))
    found = {}
    for ways in (once, [(worse, better) for better, worse in once]):
        claims = [
            OrderClaim(
                id=f"pair-{place}", kind="order", better=better, worse=worse,
                sentence="printed", source="a table of the record",
            )
            for place, (better, worse) in enumerate(ways)
        ]  # fmt: skip
        judged = OrderClaim.judge_all(claims, runs, ())
        found |= {pair: judgement for pair, (judgement,) in zip(ways, judged, strict=True)}
    return {pair: found[pair] for pair in pairs}


def summed_up(judged: Sequence[JudgedOrdering]) -> str:
    """What the suite says of all the orderings, in one sentence, and how to read it."""
    if not judged:
        return "No published ordering has both of its methods among this suite's rows."
    by_verdict: dict[str, list[Judgement]] = {}
    for one in judged:
        by_verdict.setdefault(one.judgement.verdict, []).append(one.judgement)
    count = {word: len(several) for word, several in by_verdict.items()}
    said = (
        f"Of {_many(len(judged), 'published ordering')} that this suite can judge, it supports "
        f"{count.get('supported', 0)}, contradicts {count.get('contradicted', 0)} and cannot tell "
        f"{count.get('undecided', 0)}"
    )
    if unmeasured := count.get("not measured"):
        said += f"; {unmeasured} {'has' if unmeasured == 1 else 'have'} no runs yet"
    said += _needed(by_verdict.get("undecided", [])) + "."
    same = sum(any(one.same_question for one in ordering.printed) for ordering in judged)
    if same == len(judged):
        return f"{said} All are of this model and task."
    rest = "All" if not same else f"All but {same}"
    return (
        f"{said} {rest} are of another model or task: the same question elsewhere, not a "
        "replication."
    )


def _needed(undecided: Sequence[Judgement]) -> str:
    """What would decide the orderings that are not."""
    seeds = sorted(one.more_seeds for one in undecided if one.more_seeds)
    sentences = sorted(one.sentences_needed for one in undecided if one.sentences_needed)
    neither = len(undecided) - len(seeds) - len(sentences)
    parts = []
    if seeds:
        parts.append(f"about {_range(seeds)} more seeds would probably decide {len(seeds)} of them")
    if sentences:
        words = f"{len(sentences)} would take about {_range(sentences)} sentences"
        parts.append(words if seeds else words.replace("would", "of them would", 1))
    if neither and parts:
        parts.append(f"{neither} more than can be planned for")
    return f" ({', '.join(parts)})" if parts else ""


def _range(values: Sequence[int]) -> str:
    low, high = values[0], values[-1]
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
