"""The suite that a submission is read with: the one that is here, and the submitter's methods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from wsa.errors import InputError
from wsa.records.submission import Submission
from wsa.suite.schema import Method, Suite

CONTROLS = ("majority", "head_only")  # kinds of methods that a method must beat

# text in a PEFT configuration of a submission: a word such as `gaussian`, never the name of a file,
# of a folder or of something to fetch
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_OUTSIDE = re.compile(r"path|file|dir(?!ection)|kwargs|mapping|revision|url")


def controls_of(suite: Suite) -> tuple[str, ...]:
    """The suite's controls, in its order."""
    return tuple(name for name, method in suite.methods.items() if method.kind in CONTROLS)


def extended(suite: Suite, own: Mapping[str, Method]) -> Suite:
    """`suite` with further methods.

    Raises:
        InputError: one is called as a method of the suite is, or is more than configuration.
    """
    for name, method in own.items():
        if name in suite.methods:
            raise InputError(
                f"suite '{suite.name}' has a method of this name, which this one is not",
                key=f"own.{name}", remedy="give yours a name of its own",
            )  # fmt: skip
        for key, value in _texts("adapter", method.adapter or {}):
            if _OUTSIDE.search(key) or not _WORD.fullmatch(value):
                raise InputError(
                    "a method should be numbers and plain words alone: it may name nothing that "
                    "would be opened, fetched or run", key=f"own.{name}.{key}", value=value,
                    remedy="leave it out; a method that needs code or files is a change of the "
                    "project, with its tuner and its test",
                )  # fmt: skip
    return suite.model_copy(update={"methods": suite.methods | own})


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """(dotted key, text) of every text and of every key in a configuration."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{key}.{name}", name
            yield from _texts(f"{key}.{name}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(key, inner)
    elif isinstance(value, str):
        yield key, value


def suite_of(submission: Submission, suite: Suite) -> Suite:
    """What a submission's runs are runs of: `suite` with its methods, under the name they give it.

    Claims, published numbers and the baseline are left out: they are about the suite's own table.

    Raises:
        InputError: a method is unknown, submitted twice, or as `extended`.
    """
    joined = extended(suite, submission.own)
    names = submission.runs()
    for name in names:
        joined.method(name)
    if len(set(names)) < len(names):
        raise InputError("a method is named twice", key="methods", value=list(names))
    if idle := submission.own.keys() - set(submission.methods):
        raise InputError("has no runs here", key=f"own.{min(idle)}")
    methods = {name: joined.methods[name] for name in names}
    return joined.model_copy(
        update={
            "name": submission.run_as, "methods": methods, "claims": (), "published": (),
            "baseline": None,
        }
    )  # fmt: skip
