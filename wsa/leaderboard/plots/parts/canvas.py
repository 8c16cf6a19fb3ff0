"""A drawing of lines, marks and words, which becomes inline SVG, or an image of its own.

Places are CSS pixels from the upper left corner. Colours are the names of the stylesheet's
variables (`ink`, `series-3`), so that a picture follows the page's colours, light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

Point = tuple[float, float]

SIZE = 12.5  # of words, in pixels
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
    kind: str = ""  # its class


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
    """What belongs together; `tip` is what a reader is told who points at it."""

    tip: str = ""
    kind: str = ""
    parts: list[Path | Marker | Words | Group] = field(default_factory=list)


class Canvas:
    """What has been drawn so far, on `width` × `height` pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.root = Group()
        self._into = self.root

    @contextmanager
    def group(self, tip: str = "", kind: str = "") -> Iterator[None]:
        """What is drawn inside belongs together."""
        outer, self._into = self._into, Group(printable(tip), kind)
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
        kind: str = "",
    ) -> None:
        self._into.parts.append(Path(list(points), colour, "", width, dash, opacity, kind))

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

    def svg(self, description: str, kind: str = "") -> Markup:
        """An `<svg>` to put into a page; equal drawings give equal text.

        Args:
            description: what a reader who cannot see the picture is told.
            kind: its class.
        """
        inside = "".join(map(_element, self.root.parts))
        size = f"{_short(self.width)} {_short(self.height)}"
        attributes = f'viewBox="0 0 {size}" width="{_short(self.width)}" role="img"'
        if kind:
            attributes += f' class="{kind}"'
        described = quoteattr(printable(description), {'"': "&quot;"})
        return Markup(f'<svg {attributes} font-size="{SIZE}" aria-label={described}>{inside}</svg>')


def _element(part: Path | Marker | Words | Group) -> str:
    match part:
        case Group():
            title = f"<title>{escape(part.tip)}</title>" if part.tip else ""
            kind = f' class="{part.kind}"' if part.kind else ""
            return f"<g{kind}>{title}{''.join(map(_element, part.parts))}</g>"
        case Path():
            return _path(part)
        case Marker():
            return _marker(part)
        case Words():
            return _words(part)


def _path(part: Path) -> str:
    (x, y), *rest = [(round(x, 1), round(y, 1)) for x, y in part.points]
    steps = [f"M{_short(x)} {_short(y)}"]
    for a, b in rest:
        if b == y:
            steps.append(f"H{_short(a)}")
        elif a == x:
            steps.append(f"V{_short(b)}")
        else:
            steps.append(f"L{_short(a)} {_short(b)}")
        x, y = a, b
    style = f'fill="var(--{part.fill})"' if part.fill else 'fill="none"'
    if part.stroke:
        style += f' stroke="var(--{part.stroke})"'
        if part.width != 1:
            style += f' stroke-width="{_short(part.width)}"'
    if part.dash:
        style += f' stroke-dasharray="{" ".join(map(_short, part.dash))}"'
    if part.opacity != 1:
        style += f' opacity="{part.opacity:g}"'
    if part.kind:
        style += f' class="{part.kind}"'
    end = "z" if part.fill else ""
    return f'<path d="{"".join(steps)}{end}" {style}/>'


def _marker(part: Marker) -> str:
    colour = f"var(--{part.colour})"
    dim = f' opacity="{part.opacity:g}"' if part.opacity != 1 else ""
    if part.size < 5:  # a dot
        place = f'cx="{_short(part.x)}" cy="{_short(part.y)}" r="{_short(part.size / 2)}"'
        return f'<circle {place} fill="{colour}"{dim}/>'
    scale = part.size / 9
    corner = f"{_short(part.x - 5 * scale)} {_short(part.y - 5 * scale)}"
    place = f"translate({corner})" + (f"scale({scale:.3g})" if scale != 1 else "")
    fill = "var(--paper)" if part.hollow else colour
    return (
        f'<path transform="{place}" d="{SHAPES[part.shape]}" fill="{fill}" stroke="{colour}"'
        f' stroke-width="1.6"{dim}/>'
    )


def _words(part: Words) -> str:
    x, y = _short(part.x), _short(part.y)
    style = f'x="{x}" y="{y}" fill="var(--{part.colour})"'
    if part.size != SIZE:
        style += f' font-size="{_short(part.size)}"'
    if part.anchor != "start":
        style += f' text-anchor="{part.anchor}"'
    if part.bold:
        style += ' font-weight="600"'
    if part.turned:
        style += f' transform="rotate(-90 {x} {y})"'
    if part.halo:
        style += ' class="halo"'
    return f"<text {style}>{escape(part.text)}</text>"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0").replace("-0", "-0" if round(value, 1) else "0")


_NARROW, _WIDE = frozenset("iljtfrI.,:;'|()[]! "), frozenset("mwMW%@—→")


def text_width(text: str, size: float = SIZE, bold: bool = False) -> float:
    """About how many pixels `text` takes in a sans serif; rather too many than too few."""
    ems = sum(
        0.34 if c in _NARROW else 0.92 if c in _WIDE else 0.7 if c.isupper() else 0.58 for c in text
    )
    return ems * size * (1.1 if bold else 1.0)


def printable(text: str) -> str:
    """`text` without the control characters that XML and HTML forbid."""
    return "".join(c if c in "\t\n" or c.isprintable() or ord(c) > 159 else "\ufffd" for c in text)


def both(wide: Canvas, narrow: Canvas, description: str) -> Markup:
    """Two drawings of one picture, of which the page shows the one that fits the screen."""
    return wide.svg(description, "for-wide") + narrow.svg(description, "for-narrow")
