"""A method's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsa.leaderboard.about import about
from wsa.leaderboard.entries import STATES, scale_of
from wsa.leaderboard.pages.run import run_sections
from wsa.leaderboard.plots import Section
from wsa.task import METRICS

if TYPE_CHECKING:
    from wsa.leaderboard.view import SuiteView


def method_context(view: SuiteView, name: str, sections: Sequence[Section]) -> dict[str, object]:
    """For `method.html`."""
    own, shared = run_sections(view, name)
    return {
        "suite": view,
        "states": STATES,
        "labels": view.suite.data.labels,
        "sections_of_runs": own,
        "shared": shared,
        "scale": scale_of(view.entries),
        "method": view.suite.methods[name],
        "about": about(view.suite.methods[name], view.task),
        "rows": [entry for entry in view.entries if entry.name == name],
        "further": [(METRICS[metric], split, (metric, split)) for metric, split in view.further],
        "sections": sections,
        "configuration": configuration_of(view, name),
    }


def configuration_of(view: SuiteView, name: str) -> list[tuple[str, object]]:
    """A method as the suite's file has it, key by key, with what the protocol decides."""
    method = view.suite.methods[name]
    adapter = dict(method.adapter or {})
    lines: list[tuple[str, object]] = [("kind", method.kind)]
    lines += [(f"adapter.{key}", value) for key, value in adapter.items()]
    if method.kind == "adapter" and "target_modules" not in adapter:
        lines.append(("target_modules", view.suite.model.target_modules))
    if method.kind != "majority":
        protocol = view.suite.protocol
        lines += [
            ("learning_rate", method.learning_rate),
            ("head_learning_rate", method.head_learning_rate or protocol.head_learning_rate),
            ("schedule", method.schedule or protocol.schedule),
            ("epochs", protocol.epochs),
            ("batch_size", protocol.batch_size),
        ]
        if method.gated:
            lines.insert(-3, ("gate_reach", method.gate_reach))
        lines += [
            (f"tune.{key}", f"{low:g} to {high:g}, {view.suite.tuning.trials} trials")
            for key, (low, high) in (method.tune if view.suite.tuning else {}).items()
        ]
    return [(key, value) for key, value in lines if value is not None]
