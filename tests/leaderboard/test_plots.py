"""A picture is one file: dropped into the folder, it is on its page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import wsa
from tests.helpers.fresh import run_python
from tests.helpers.results import make_results, make_suite
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout

PICTURE = '''
"""How many seeds each method has."""

from wsa.leaderboard.plots.parts.intervals import Bar, intervals

SECTION, ORDER = {section!r}, 1


def draw(view):
    bars = [Bar(e.mark, "", e.n, None, None) for e in view.entries]
    return [intervals("seeds-of-methods", "Seeds of each method", "A count.", bars, "seeds")]
'''
COMMAND = """
import sys
from pathlib import Path
from wsa.identity import code_hash
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.suite.schema import Suite
root = Path(sys.argv[1])
suite = Suite.model_validate_json((root / "suite.json").read_text())
render([suite], Layout(results=root / "r", resources=root / "d", site=root / sys.argv[2]))
print(code_hash("train"))
"""


def _render(package: Path, root: Path, site: str) -> tuple[str, str]:
    """The suite's page as the package in `package` makes it, and that package's train hash."""
    environment = os.environ | {"PYTHONPATH": str(package)}
    done = run_python(["-c", COMMAND, str(root), site], root, environment)
    assert done.returncode == 0, done.stderr
    return (root / site / "tiny/index.html").read_text(encoding="utf-8"), done.stdout.strip()


def test_a_picture_is_added_by_one_file(tmp_path):
    suite, layout = make_suite(), Layout(results=tmp_path / "r", resources=tmp_path / "d")
    make_results(layout, suite, {"full": 95.0, "lora": 93.0}, sentences=60)
    aggregate(suite, layout)
    (tmp_path / "suite.json").write_text(suite.model_dump_json())
    copy = tmp_path / "package"
    shutil.copytree(Path(wsa.__file__).parent, copy / "wsa")
    before, train = _render(copy, tmp_path, "before")
    assert "Seeds of each method" not in before

    for number, section in enumerate(("scores", "A section of its own")):
        picture = copy / f"wsa/leaderboard/plots/seeds_{number}.py"
        picture.write_text(PICTURE.format(section=section))
        after, hashed = _render(copy, tmp_path, f"after-{number}")
        picture.unlink()
        assert '<figure id="seeds-of-methods">' in after
        assert hashed == train
        first, own = after.index("seeds-of-methods"), after.index("accuracy-per-seed")
        assert (first < own) == (section == "scores")
        assert ("A section of its own" in after) == (section != "scores")
