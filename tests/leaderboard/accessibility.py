"""What axe-core finds wrong with a page."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


def axe_source() -> str:
    """axe-core's source, from the package selenium-axe-python; the test is skipped without it."""
    spec = find_spec("selenium_axe_python")
    if spec is None:
        pytest.skip("selenium-axe-python is not installed")
    return (Path(spec.origin).parent / "axe-core/axe.min.js").read_text(encoding="utf-8")


# of hundreds of rows that are alike the first and the last
RUN = """
for (const body of document.querySelectorAll('tbody'))
  for (const row of [...body.rows].slice(20, -20)) row.remove();
axe.run(document, {resultTypes: ['violations'], ...arguments[0]})
  .then(arguments[arguments.length - 1])
"""
CONTRAST, TARGETS = "color-contrast", "target-size"


def graves(page, axe: str, *, contrast: bool | None = None) -> list[tuple]:
    """What axe finds that is serious or critical, with all details open.

    Args:
        contrast: whether of contrast alone, which is most of the work and all that differs in
            another colour scheme, or of everything else; absent: of everything.
    """
    options = {"rules": {TARGETS: {"enabled": True}}}
    if contrast:
        options = {"runOnly": [CONTRAST]}
    elif contrast is False:
        options["rules"][CONTRAST] = {"enabled": False}
    page.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    page.execute_script(axe)  # meanwhile what was opened is filled
    page.set_script_timeout(120)
    found = page.execute_async_script(RUN, options)
    return [
        (one["id"], one["help"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
