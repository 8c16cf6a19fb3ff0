"""docs/adding-a-method.md, followed word for word in a copy of the project."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from tests.helpers.project import ROOT, make_project, snakemake, wsa
from wsa.suite.load import read_yaml

pytestmark = pytest.mark.workflow
PAGE = (ROOT / "docs/adding-a-method.md").read_text(encoding="utf-8")


def steps() -> list[tuple[str, str, str]]:
    """(file, language, text) of every block of the page, in order; no file: commands."""
    found = re.findall(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
    assert len(found) == PAGE.count("```") / 2
    return found


def test_a_newcomer_s_methods_stand_in_the_table_with_no_change_to_existing_code(tmp_path):
    project = make_project(tmp_path, methods=["lora"])
    suite = project / "config/suites/tiny.yaml"
    # the suite that the page extends, small
    text = suite.read_text().replace("name: tiny\n", "name: minilm-l6_films\n", 1)
    text = text.replace("- 1\n", "", 1)  # one seed
    (project / "config/suites/minilm-l6_films.yaml").write_text(text)
    assert read_yaml(project / "config/suites/minilm-l6_films.yaml")["seeds"] == [0]
    before = {path: path.read_bytes() for path in (project / "wsa").rglob("*.py")}
    for command in ("fetch-model tiny", "fetch-data tiny", "tokenise tiny tiny"):
        assert wsa(project, *command.split()).returncode == 0
    ran = []
    for file, language, content in steps():
        if file:
            assert language in ("yaml", "python") and not (project / file).exists()
            (project / file).parent.mkdir(exist_ok=True)
            (project / file).write_text(content, encoding="utf-8")
            continue
        for line in content.splitlines():
            program, *arguments = shlex.split(line)
            ran.append(program)
            if program == "snakemake":
                snakemake(project, *arguments)
            else:
                done = wsa(project, *arguments)
                assert done.returncode == 0, line + done.stdout + done.stderr
    assert ran == ["wsa", "wsa", "wsa", "snakemake"]
    assert all(path.read_bytes() == content for path, content in before.items())
    table = pd.read_csv(project / "results/mine_bottleneck/table.csv").set_index("method")
    assert {"lora", "dora", "scale", "bottleneck"} <= set(table.index)
    assert (table["n"] == 1).all()
    page = (project / "site/mine_bottleneck/index.html").read_text()
    assert "A bottleneck after the projections" in page


def test_the_page_names_only_files_that_a_newcomer_makes():
    assert [Path(file).parts[:2] for file, *_ in steps() if file] == [
        ("config", "suites"), ("wsa", "tuners"), ("config", "suites"),
        ("wsa", "tuners"), ("config", "suites"),
    ]  # fmt: skip
