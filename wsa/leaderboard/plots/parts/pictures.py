"""What every picture is: its drawing, its words, the numbers behind it, and a method's mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wsa.leaderboard.plots.parts import svg
from wsa.suite.schema import Suite

LABEL = 26  # characters of a method's title that fit beside an axis
MARKERS = "oDs^vPX"


@dataclass(frozen=True)
class Numbers:
    """The numbers behind a picture, for those who cannot see it or want them exactly."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Picture:
    """A picture with its caption and its numbers.

    Attributes:
        name: its identifier on the page.
        title: its heading.
        caption: what is shown and how to read it.
        svg: the drawing.
        numbers: what was drawn.
        outstanding: the group of lines that stands out among the others; empty: none.
    """

    name: str
    title: str
    caption: str
    svg: Markup
    numbers: Numbers
    outstanding: str = ""


@dataclass(frozen=True)
class Mark:
    """How a method looks in every picture: a colour, a marker, a short label."""

    label: str
    colour: str
    variable: str  # the CSS variable that `colour` stands for
    marker: str = "o"

    @property
    def short(self) -> str:
        return shorten(self.label)


def marks_of(suites: Sequence[Suite]) -> dict[str, Mark]:
    """A colour and a marker for every method of all `suites`: gated ones first, controls grey.

    A method that several suites have looks alike in all of them; its label is the first one's.
    """
    result: dict[str, Mark] = {}
    used = 0
    for suite in suites:
        for name in sorted(suite.methods, key=lambda name: not suite.methods[name].gated):
            method = suite.methods[name]
            if name in result:
                continue
            if method.kind in ("majority", "head_only"):
                marker = "x" if method.kind == "majority" else "d"
                result[name] = Mark(method.title, svg.CONTROL, "control", marker)
            else:
                result[name] = Mark(
                    method.title, svg.series(used), f"series-{used % svg.SERIES}",
                    MARKERS[used % len(MARKERS)],
                )  # fmt: skip
                used += 1
    return result


def of_suite(suite: Suite, marks: Mapping[str, Mark]) -> dict[str, Mark]:
    """The marks of the methods of `suite`, labelled with its own titles."""
    return {
        name: Mark(method.title, marks[name].colour, marks[name].variable, marks[name].marker)
        for name, method in suite.methods.items()
    }


def shorten(text: str, limit: int = LABEL) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def slug(name: str) -> str:
    """A method's name as part of an identifier that CSS can select."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
