"""What every picture is: its drawing, its words, the numbers behind it, and a method's mark."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wsa.suite.schema import Method, Suite

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
        drawing: an SVG, or a table with one in its cells.
        numbers: what was drawn, where the drawing does not say it itself.
    """

    name: str
    title: str
    caption: str
    drawing: Markup
    numbers: Numbers | None = None


@dataclass(frozen=True)
class Mark:
    """How a method looks in every picture: a short label, a colour, a marker."""

    label: str
    variable: str  # the CSS variable with its colour
    marker: str = "o"

    @property
    def short(self) -> str:
        return shorten(self.label)


# What a kind of method is drawn in, on every page of every site.
_COLOURS = {
    "WSA singular_value": 0, "WSA direction": 1, "SPECTRAL": 4, "LORA": 3, "full": 2,
    "WSA product": 6,
}  # fmt: skip
_OTHERS = (5, 7)  # for PEFT's other types


def marks_of(suites: Sequence[Suite]) -> dict[str, Mark]:
    """A colour and a marker for every method of all `suites`, whatever their order; controls grey.

    The colour is that of the kind of method. The shortest id of a colour has the colour's own
    marker, the others one that hangs on their id, or the next where that is taken. A method that
    several suites have looks alike in all of them; its label is the first one's.
    """
    methods: dict[str, Method] = {}
    for suite in suites:
        methods = dict(suite.methods) | methods
    result: dict[str, Mark] = {}
    taken: dict[int, list[str]] = {}
    for name in sorted(methods, key=lambda name: (len(name), name)):
        method = methods[name]
        if method.kind in ("majority", "head_only"):
            marker = "x" if method.kind == "majority" else "d"
            result[name] = Mark(method.title, "control", marker)
            continue
        number = _colour(method)
        used = taken.setdefault(number, [])
        first = (zlib.crc32(name.encode()) if used else number) % len(MARKERS)
        turned = MARKERS[first:] + MARKERS[:first]
        least = min(map(used.count, MARKERS))
        marker = next(one for one in turned if used.count(one) == least)
        used.append(marker)
        result[name] = Mark(method.title, f"series-{number}", marker)
    return result


def _colour(method: Method) -> int:
    """The number of the colour that methods of this kind have."""
    adapter = method.adapter or {}
    kind = str(adapter.get("peft_type", method.kind))
    if method.gated:
        kind += f" {adapter.get('gate', 'direction')}"
    other = _OTHERS[zlib.crc32(kind.encode()) % len(_OTHERS)]
    return _COLOURS.get(kind, other)


def of_suite(suite: Suite, marks: Mapping[str, Mark]) -> dict[str, Mark]:
    """The marks of the methods of `suite`, labelled with its own titles."""
    return {
        name: Mark(method.title, marks[name].variable, marks[name].marker)
        for name, method in suite.methods.items()
    }


def shorten(text: str, limit: int = LABEL) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def slug(name: str) -> str:
    """A method's name as part of an identifier that CSS can select."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
