"""Lint, format, and what tests may reach into."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.project import ROOT

PYTHON = ["wsa", "tests", "benchmarks", "docs"]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", *PYTHON],
        ["ruff", "format", "--check", *PYTHON],
        ["snakefmt", "--check", "Snakefile", "workflow"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_code_is_lint_and_format_clean(command):
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names() -> set[str]:
    """Every private function, class, method, attribute and constant of wsa."""
    found = set()
    for path in (ROOT / "wsa").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    found.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                    found.add(name)
    return {name for name in found if is_private(name)}


def reaches(tree: ast.AST, private: set[str]) -> Iterator[str]:
    """What of wsa's own a module reaches into: by import, as an attribute, or in a dotted name."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "wsa":
                parts = [*module.split("."), *(alias.name for alias in node.names)]
                yield from (part for part in parts if is_private(part))
            case ast.Attribute(value=ast.Name(id="self")):
                pass  # a test's own
            case ast.Attribute(attr=name) if name in private:
                yield ast.unparse(node)
            case ast.Constant(value=str(text)) if text.startswith("wsa.") and " " not in text:
                if any(is_private(part) for part in text.split(".")):
                    yield text


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_no_test_and_no_benchmark_reaches_into_what_is_private(folder):
    private = private_names()
    found = [
        f"{path.relative_to(ROOT)}: {reach}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for reach in reaches(ast.parse(path.read_text()), private)
    ]
    assert not found


def test_a_reach_is_noticed():
    source = """
from wsa.learning.loop import Loop, _peak_memory
patch("wsa.learning.curves._POINTS", 3)
loop._full_memory_told(checkpoints)
model._forward_hooks, self._cell, path.__name__
"""
    found = sorted(reaches(ast.parse(source), private_names()))
    assert ", ".join(found) == "_peak_memory, loop._full_memory_told, wsa.learning.curves._POINTS"
