"""What `wsa admit` found, as Markdown: for a terminal, and as a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsa.errors import InputError
from wsa.layout import Layout
from wsa.submissions.admit import Admitted
from wsa.submissions.measured import (
    Agreement,
    Measured,
    agreement,
    measured_here,
    measured_in,
    read_entry,
)


def report(admitted: Sequence[Admitted], refused: Mapping[Path, InputError], layout: Layout) -> str:
    """A section a submission: what it is, how far it was checked, how it differs from what is here.

    Args:
        admitted: those that were taken in.
        refused: archive → why it was not.
        layout: where this project's own runs lie.
    """
    sections = [_admitted(one, layout) for one in admitted]
    for path, error in refused.items():
        lines = [_plain(line) for line in str(error).splitlines()]
        sections.append("\n".join([f"## {_plain(path.name)}: refused", "", "  \n".join(lines)]))
    return "\n\n".join(sections) + "\n"


def _admitted(one: Admitted, layout: Layout) -> str:
    from tabulate import tabulate

    entry = read_entry(one.files, layout)
    own = {found.configuration: found for found in measured_here(entry.suite, layout)}
    card, check = entry.submission.card, one.check
    metric = entry.suite.data.task.headline
    rows = []
    for found in measured_in(entry):
        here = own.get(found.configuration)
        both = agreement(here, found) if here else None
        rows.append(
            [
                _plain(found.name), spread(found), str(len(found.results)),
                _plain("; ".join(found.hardware)), spread(here) if here else "–",
                difference(both), both.verdict if both else "not measured here",
                found.standing,
            ]
        )  # fmt: skip
    unit = f", {metric.unit}" if metric.unit else ""
    header = [
        "method", f"{metric.title}{unit}", "n", "hardware", "this project", "difference",
        "verdict", "checked",
    ]  # fmt: skip
    table = tabulate(rows, header, tablefmt="github", disable_numparse=True)
    lines = [
        f"## {_plain(entry.suite.title)}: {_plain(card.who)}",
        "",
        f"- where: {_plain(card.where)}",
        f"- why: {_plain(card.why)}",
        f"- licence: {card.licence}",
        "",
        table,
        "",
        f"Checked {check.date} on {_plain(check.machine)} by {_plain(check.by)}; kept in "
        f"`{one.files.folder}`.",
    ]
    for run in check.runs:
        if run.details:
            lines.append(f"- {run.method}, seed {run.seed}: {run.standing}")
            lines += [f"  - {_plain(detail)}" for detail in run.details]
    lines += [f"- note: {_plain(note)}" for note in check.notes]
    return "\n".join(lines)


def spread(found: Measured) -> str:
    """'83.49 ± 0.46': mean and sample standard deviation over seeds, as shown."""
    places = found.suite.data.task.headline.places
    text = f"{found.headline.mean:.{places}f}"
    return text if found.headline.std is None else f"{text} ± {found.headline.std:.{places}f}"


def difference(both: Agreement | None) -> str:
    """Of the headline metric, with its sign; of equal bits none."""
    if both is None:
        return "–"
    places = both.a.suite.data.task.headline.places
    return f"{both.difference:+z.{places}f}"


def _plain(text: object) -> str:
    """`text` in one line, as Markdown shows it and does nothing with it."""
    line = " ".join(str(text).split())
    # no link, no HTML, no table cell, no one mentioned
    return (
        re.sub(r"([\\`*_{}\[\]<>|~#@!])", r"\\\1", line)
        .replace("\\@", "@\u200b")
        .replace("://", ":\u200b//")
    )
