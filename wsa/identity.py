"""Which code decides a stage's numbers, and its hash: the layout says what moves bits.

A stage's identity is that of the folders and files in `DECIDES`, by their tokens: comments,
docstrings and line breaks do not count, and every version of Python gives the same hash. A tuner of
`tuners/` counts for the runs of its own PEFT type alone, and what tuners share, `tuners/shared/`,
for those of every such type. What lies elsewhere (messages, sources, claims, pages, estimates) can
change without a run being made again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsa.errors import InputError
from wsa.files import write_json

_ROOT = Path(__file__).parent
# file → SHA-256 of its bytes and of this module's, and what `token_hash` gives: to cut all code
# into tokens takes a fifth of the time of `snakemake -n`. It may go at any time, as what is beside
# it, Python's compiled files.
_KEPT = _ROOT / "__pycache__" / "token_hashes.json"

# stage → what decides its numbers, below the package
_LEARNING = (
    "adapters",
    "learning",
    "suite/defaults.py",
    "stages/session.py",
    "tuners/__init__.py",
)
DECIDES = {
    "tokenise": ("learning/tokens.py", "stages/tokenise.py"),
    "factors": ("adapters/factors.py", "stages/factors.py"),
    "tune": ("suite/tuning.py", "stages/tune.py"),
    "train": (*_LEARNING, "stages/train.py"),
    "packed": (*_LEARNING, "packed", "stages/packed.py"),
    "prune": ("adapters", "suite/defaults.py", "stages/prune.py"),
    "evaluate": (*_LEARNING, "stages/evaluate.py"),
    "inference": (*_LEARNING, "stages/inference.py"),
    "thresholds": (*_LEARNING, "stages/thresholds.py"),
    # what makes tables and pages moves no run: these are for the workflow alone
    "aggregate": ("evidence", "records", "task.py"),
    "across": ("evidence", "records", "task.py"),
    "literature": ("evidence", "literature", "records", "task.py"),
    "site": ("evidence", "leaderboard", "literature", "records", "submissions", "task.py"),
}

_SHARED = "tuners/shared"

_LAYOUT = (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER)
_SPACE = {tokenize.NEWLINE: "\n", tokenize.INDENT: "<indent>", tokenize.DEDENT: "<dedent>"}
# f-strings: one token before Python 3.12, several since; t-strings since 3.14
_STRING_STARTS = {getattr(tokenize, f"{kind}STRING_START", None) for kind in "FT"} - {None}
_STRING_ENDS = {getattr(tokenize, f"{kind}STRING_END", None) for kind in "FT"} - {None}


@functools.cache
def code_hash(stage: str, peft_types: tuple[str, ...] = ()) -> str:
    """SHA-256 of the code that decides the numbers of `stage`, one of `DECIDES`.

    Args:
        stage: its name.
        peft_types: of the methods that it works on; those of `tuners/` have code of their own.
    """
    digest = hashlib.sha256()
    tuners = [_folder(name) for name in own_tuners(peft_types)]
    if tuners:
        tuners.append(_SHARED)
    kept, new = _kept(), {}
    for name in sorted({*_files(DECIDES[stage]), *_files(tuners)}):
        source = (_ROOT / name).read_bytes()
        content = hashlib.sha256(_own() + source).hexdigest()
        if kept.get(name, ("", ""))[0] != content:
            new[name] = content, token_hash(source.decode())
        digest.update(f"{name}\0{(new.get(name) or kept[name])[1]}\0".encode())
    if new:
        _keep(kept | new)
    return digest.hexdigest()


@functools.cache
def _own() -> bytes:
    return Path(__file__).read_bytes()


def _kept() -> dict[str, list[str]]:
    with contextlib.suppress(OSError, ValueError):
        if isinstance(kept := json.loads(_KEPT.read_bytes()), dict):
            return kept
    return {}


def _keep(hashes: dict[str, object]) -> None:
    """For other processes, of which some may do the same just now."""
    with contextlib.suppress(OSError, InputError):  # a package that is not to be written to
        write_json(_KEPT, hashes)


def own_tuners(peft_types: Iterable[str]) -> list[str]:
    """Those of these PEFT types whose code is a folder of `tuners/`."""
    folders = {name: _folder(name) for name in peft_types}
    return [name for name, path in folders.items() if path != _SHARED and (_ROOT / path).is_dir()]


def _folder(peft_type: str) -> str:
    return f"tuners/{peft_type.lower()}"


def _files(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = _ROOT / name
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            yield file.relative_to(_ROOT).as_posix()


@functools.cache
def token_hash(source: str) -> str:
    """SHA-256 of a module's tokens; a statement that is nothing but a string is left out."""
    digest = hashlib.sha256()
    statement: list[tuple[int, str]] = []
    for kind, text in _tokens(source):
        if kind in (tokenize.INDENT, tokenize.DEDENT):
            digest.update(f"{text}\0".encode())
            continue
        statement.append((kind, text))
        if kind == tokenize.NEWLINE:
            if any(kind not in (tokenize.STRING, tokenize.NEWLINE) for kind, _ in statement):
                digest.update("".join(f"{text}\0" for _, text in statement).encode())
            statement = []
    return digest.hexdigest()


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """(kind, text) of every token that counts; an f-string is one, as it is written."""
    lines = list(io.StringIO(source))  # as tokenize counts them: only a line feed ends one
    begin, depth = (0, 0), 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _STRING_STARTS:
            begin = begin if depth else token.start
            depth += 1
        elif token.type in _STRING_ENDS:
            depth -= 1
            if not depth:
                yield tokenize.STRING, _between(lines, begin, token.end)
        elif not depth and token.type not in _LAYOUT:
            yield token.type, _SPACE.get(token.type, token.string)


def _between(lines: list[str], begin: tuple[int, int], end: tuple[int, int]) -> str:
    """The source from one (line, column) to another; lines count from 1."""
    (first, left), (last, right) = begin, end
    if first == last:
        return lines[first - 1][left:right]
    return "".join([lines[first - 1][left:], *lines[first : last - 1], lines[last - 1][:right]])
