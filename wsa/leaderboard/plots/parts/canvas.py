"""A drawing of lines, marks and words, which becomes inline SVG, or an image of its own.

Places are CSS pixels from the upper left corner. Colours are the names of the stylesheet's
variables (`ink`, `series-3`), so that a picture follows the page's colours, light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

Point = tuple[float, float]

SIZE = 12.5  # of words, in pixels
DOT = 5  # pixels: a smaller mark is a dot, whatever its shape
NARROW = 360  # pixels, of a picture that is read on a phone as it is

# How the markers look, in a box of 10 × 10; their names are matplotlib's.
SHAPES = {
    "o": "M5 1a4 4 0 1 0 .01 0z", "s": "M1.5 1.5h7v7h-7z", "D": "M5 .3 9.7 5 5 9.7.3 5z",
    "d": "M5 0l3 5-3 5-3-5z", "^": "M5 .8 9.4 9H.6z", "v": "M5 9.2.6 1h8.8z",
    "P": "M3.3.5h3.4v2.8h2.8v3.4H6.7v2.8H3.3V6.7H.5V3.3h2.8z",
    "X": "M2.5.5 5 3 7.5.5l2 2L7 5l2.5 2.5-2 2L5 7 2.5 9.5l-2-2L3 5 .5 2.5z",
    "x": "M1 2l1-1 3 3 3-3 1 1-3 3 3 3-1 1-3-3-3 3-1-1 3-3z",
}  # fmt: skip


@dataclass(frozen=True)
class Path:
    """Straight lines through points: a line, or an area where it is filled."""

    points: Sequence[Point]
    stroke: str = ""
    fill: str = ""
    width: float = 1.0
    dash: Sequence[float] = ()
    opacity: float = 1.0


@dataclass(frozen=True)
class Marker:
    shape: str
    x: float
    y: float
    size: float
    colour: str
    hollow: bool
    opacity: float = 1.0


@dataclass(frozen=True)
class Words:
    x: float
    y: float
    text: str
    colour: str
    size: float
    anchor: str  # start, middle, end
    bold: bool
    turned: bool  # read from bottom to top
    halo: bool  # parted from what lies behind it


@dataclass
class Group:
    """What belongs together; `rows` of the picture's numbers say what it is."""

    rows: Sequence[int] = ()
    parts: list[Path | Marker | Words | Group] = field(default_factory=list)


class Canvas:
    """What has been drawn so far, on `width` × `height` pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.root = Group()
        self._into = self.root

    @contextmanager
    def group(self, *rows: int) -> Iterator[None]:
        """What is drawn inside belongs together: to whoever points at it the `rows` are shown."""
        outer, self._into = self._into, Group(rows)
        yield
        outer.parts.append(self._into)
        self._into = outer

    def line(
        self,
        points: Iterable[Point],
        colour: str,
        width: float = 1.0,
        dash: Sequence[float] = (),
        opacity: float = 1.0,
    ) -> None:
        self._into.parts.append(Path(list(points), colour, "", width, dash, opacity))

    def area(self, points: Iterable[Point], colour: str, opacity: float = 1.0) -> None:
        self._into.parts.append(Path(list(points), fill=colour, opacity=opacity))

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0
    ) -> None:
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        self.area(corners, colour, opacity)

    def mark(
        self,
        shape: str,
        x: float,
        y: float,
        colour: str,
        size: float = 9.0,
        hollow: bool = False,
        opacity: float = 1.0,
    ) -> None:
        self._into.parts.append(Marker(shape, x, y, size, colour, hollow, opacity))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        colour: str = "ink",
        size: float = SIZE,
        anchor: str = "start",
        bold: bool = False,
        turned: bool = False,
        halo: bool = False,
    ) -> None:
        """`words` on a base line at `y`."""
        said = printable(words)
        self._into.parts.append(Words(x, y, said, colour, size, anchor, bold, turned, halo))

    def svg(self, title: str, kind: str = "") -> Markup:
        """An `<svg>` to put into a page; equal drawings give equal text.

        Args:
            title: what a reader who cannot see the picture is told; its caption and its numbers
                stand beside it.
            kind: its class.
        """
        inside = "".join(map(_elements, _alike(self.root.parts)))
        size = f"{_short(self.width)} {_short(self.height)}"
        attributes = f'viewBox="0 0 {size}" width="{_short(self.width)}" fill="none" role="img"'
        if kind:
            attributes += f' class="{kind}"'
        described = quoteattr(
            printable(f"{title}, a picture; its numbers stand below"), {'"': "&quot;"}
        )
        return Markup(f'<svg {attributes} font-size="{SIZE}" aria-label={described}>{inside}</svg>')


Part = Path | Marker | Words | Group


def _alike(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Neighbours that one element can hold: they differ in nothing but where they are."""
    return (list(those) for _, those in groupby(parts, _style))


def _style(part: Part) -> object:
    """Equal where two neighbours can share an element."""
    match part:
        case Words() if not part.turned:
            return replace(part, x=0, y=0, text="")
        case Path() if not part.fill and part.opacity == 1:
            return replace(part, points=())
        case Marker() if _is_dot(part):
            return replace(part, x=0, y=0)
    return id(part)


def _is_dot(mark: Marker) -> bool:
    return mark.size < DOT or (mark.shape == "o" and not mark.hollow)


def _elements(parts: Sequence[Part]) -> str:
    first = parts[0]
    match first:
        case Group():
            rows = f' data-row="{" ".join(map(str, first.rows))}"' if first.rows else ""
            return f"<g{rows}>{''.join(map(_elements, _alike(first.parts)))}</g>"
        case Path():
            return _paths(parts)
        case Marker() if _is_dot(first):
            return _dots(parts)
        case Marker():
            return _marker(first)
        case Words():
            return _words(parts)


def _paths(parts: Sequence[Path]) -> str:
    style = _drawn(parts[0].stroke, parts[0].fill, parts[0].width, parts[0].opacity)
    if parts[0].dash:
        style += f' stroke-dasharray="{" ".join(map(_short, parts[0].dash))}"'
    end = "z" if parts[0].fill else ""
    return f'<path d="{"".join(_steps(part.points) + end for part in parts)}"{style}/>'


def _steps(points: Sequence[Point]) -> str:
    """Lines through `points`, each from the last one: what is near is written short."""
    (x, y), *rest = [(round(10 * x), round(10 * y)) for x, y in points]  # tenths of a pixel
    steps, last = "M" + _pair(x, y), "M"
    for a, b in rest:
        if b == y:
            steps, last = f"{steps}h{_tenths(a - x)}", "h"
        elif a == x:
            steps, last = f"{steps}v{_tenths(b - y)}", "v"
        else:
            step = _pair(a - x, b - y)
            steps += (
                step if last == "l" and step[0] == "-" else f"{' ' if last == 'l' else 'l'}{step}"
            )
            last = "l"
        x, y = a, b
    return steps


def _pair(a: int, b: int) -> str:
    return _tenths(a) + ("" if b < 0 else " ") + _tenths(b)


def _tenths(value: int) -> str:
    """Tenths of a pixel as SVG writes them shortest.

    >>> _tenths(-105), _tenths(30), _tenths(-4), _tenths(0)
    ('-10.5', '3', '-.4', '0')
    """
    if value % 10 == 0:
        return str(value // 10)
    whole, tenth = divmod(abs(value), 10)
    return f"{'-' * (value < 0)}{whole or ''}.{tenth}"


def _drawn(stroke: str, fill: str = "", width: float = 1, opacity: float = 1) -> str:
    style = f' fill="var(--{fill})"' if fill else ""
    if stroke:
        style += f' stroke="var(--{stroke})"'
        if width != 1:
            style += f' stroke-width="{_short(width)}"'
    return style + (f' opacity="{opacity:g}"' if opacity != 1 else "")


def _dots(parts: Sequence[Marker]) -> str:
    """Round ends of lines without a length."""
    steps = "".join(f"M{_short(part.x)} {_short(part.y)}h0" for part in parts)
    style = _drawn(parts[0].colour, width=parts[0].size, opacity=parts[0].opacity)
    return f'<path d="{steps}"{style} stroke-linecap="round"/>'


def _marker(part: Marker) -> str:
    scale = part.size / 9
    corner = f"{_short(part.x - 5 * scale)} {_short(part.y - 5 * scale)}"
    place = f"translate({corner})" + (f"scale({scale:.3g})" if scale != 1 else "")
    kind = "mark hollow" if part.hollow else "mark"
    faint = f' opacity="{part.opacity:g}"' if part.opacity != 1 else ""
    return (
        f'<path class="{kind}" transform="{place}" d="{SHAPES[part.shape]}" '
        f'color="var(--{part.colour})"{faint}/>'
    )


def _words(parts: Sequence[Words]) -> str:
    first = parts[0]
    style = f' fill="var(--{first.colour})"'
    if first.size != SIZE:
        style += f' font-size="{_short(first.size)}"'
    if first.anchor != "start":
        style += f' text-anchor="{first.anchor}"'
    if first.bold:
        style += ' font-weight="600"'
    if first.halo:
        style += ' class="halo"'
    places = [f' x="{_short(part.x)}" y="{_short(part.y)}"' for part in parts]
    if first.turned:
        style += f' transform="rotate(-90 {_short(first.x)} {_short(first.y)})"'
    if len(parts) == 1:
        return f"<text{places[0]}{style}>{escape(first.text)}</text>"
    inside = (
        f"<text{where}>{escape(part.text)}</text>"
        for where, part in zip(places, parts, strict=True)
    )
    return f"<g{style}>{''.join(inside)}</g>"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0").replace("-0", "-0" if round(value, 1) else "0")


_NARROW, _WIDE = frozenset("iljtfrI.,:;'|()[]! "), frozenset("mwMW%@—→<>=+−±≈")


def text_width(text: str, size: float = SIZE, bold: bool = False) -> float:
    """About how many pixels `text` takes in a sans serif; rather too many than too few."""
    ems = sum(
        0.34 if c in _NARROW else 0.92 if c in _WIDE else 0.7 if c.isupper() else 0.58 for c in text
    )
    return ems * size * (1.1 if bold else 1.0)


def printable(text: str) -> str:
    """`text` without the control characters that XML and HTML forbid."""
    return "".join(c if c in "\t\n" or c.isprintable() or ord(c) > 159 else "\ufffd" for c in text)


def both(wide: Canvas, narrow: Canvas, title: str) -> Markup:
    """Two drawings of one picture, of which the page shows the one that fits the screen."""
    return wide.svg(title, "for-wide") + narrow.svg(title, "for-narrow")
