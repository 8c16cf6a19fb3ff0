"""Matplotlib figures as small inline SVG that takes its colours and fonts from the page's CSS."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HEAT_DARK = 8  # the last step of the sequential scale on which the page's ink is read
SERIES = 8  # colours for methods; the stylesheet defines --series-0 … --series-7

# Matplotlib must be given colours, the page wants CSS variables: these stand for the latter.
INK, MUTED, RULE, PAPER, GOOD, BAD, CONTROL = (f"#0000{i:02x}" for i in range(1, 8))
_VARIABLES = dict(
    zip(
        (INK, MUTED, RULE, PAPER, GOOD, BAD, CONTROL),
        ("ink", "muted", "rule", "paper", "supported", "contradicted", "control"),
        strict=True,
    )
)
_VARIABLES |= {f"#0001{i:02x}": f"series-{i}" for i in range(SERIES)}
_VARIABLES |= {f"#0002{i:02x}": f"heat-{i}" for i in range(17)}

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wsa",
    "text.parse_math": False,  # a method may be called "$x$"
    "font.size": 11.5,
    "font.family": "DejaVu Sans",  # matplotlib's own: the layout is the same on every machine
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
}


def stand_in(variable: str) -> str:
    """The stand-in for a variable of the stylesheet."""
    return next(colour for colour, name in _VARIABLES.items() if name == variable)


def series(index: int) -> str:
    """The stand-in for the colour of the `index`-th method."""
    return f"#0001{index % SERIES:02x}"


def heat(share: float) -> str:
    """The stand-in for step `share` (0 to 1) of the page's sequential colour scale."""
    return f"#0002{round(16 * min(max(share, 0.0), 1.0)):02x}"


def heat_ink(share: float) -> str:
    """The stand-in for the colour of a number that is read on `heat(share)`."""
    return PAPER if round(16 * share) > HEAT_DARK else INK


def settings():
    """Matplotlib's settings for all pictures; a context manager."""
    return matplotlib.rc_context(_SETTINGS)


def axes(
    width: float, height: float, left: float, right: float = 12, top: float = 8, bottom: float = 42
) -> Axes:
    """The axes of a new figure of `width` × `height` CSS pixels, with margins in pixels.

    The margins are given because the page's font, not matplotlib's, sets the labels; and fitting
    them would draw every picture twice.
    """
    fig = Figure(figsize=(width / 72, height / 72))
    return fig.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    )


def text_width(texts: Iterable[str]) -> float:
    """About how many pixels the longest of `texts` needs beside an axis."""
    return 6.3 * max(map(len, texts), default=0)


def to_svg(ax: Axes, name: str, description: str) -> Markup:
    """The figure of `ax` as an `<svg>` element to put into a page.

    Equal figures give equal text: no date, no random identifier.

    Args:
        ax: drawn inside `settings()`.
        name: unique on its page; prefixes the identifiers inside the picture.
        description: what a reader who cannot see the picture is told.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's fonts have more
        ax.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _drop(root, {"metadata", "style"})
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {k.rpartition("}")[2]: v for k, v in element.attrib.items()}
    _identify(root, name)
    for element in root.iter():
        _tidy(element)
    _unwrap(root)
    box = root.get("viewBox")
    width, height = (round(float(v)) for v in box.split()[2:])
    root.attrib = {
        "viewBox": box, "width": str(width), "height": str(height), "role": "img",
        "aria-label": _printable(description),
    } | ({"class": "broad"} if width > 440 else {})  # fmt: skip
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _drop(parent: ElementTree.Element, tags: set[str]) -> None:
    for child in list(parent):
        if child.tag.rpartition("}")[2] in tags:
            parent.remove(child)
        else:
            _drop(child, tags)


def _identify(root: ElementTree.Element, name: str) -> None:
    """Keep only the identifiers that something refers to, made unique to this picture."""
    used = set()
    for element in root.iter():
        for value in element.attrib.values():
            used.update(re.findall(r"(?:url\(#|^#)([\w.-]+)", value))
    new = {old: f"{name}-{i}" for i, old in enumerate(sorted(used))}
    for element in root.iter():
        if (old := element.attrib.pop("id", None)) in new:
            element.set("id", new[old])
        elif old and old.startswith("class:"):
            element.set("class", old.removeprefix("class:"))
        for key, value in element.attrib.items():
            if "#" in value and key != "style":
                element.set(
                    key,
                    re.sub(r"(url\(#|^#)([\w.-]+)", lambda m: m[1] + new.get(m[2], m[2]), value),
                )


_STYLE_NOISE = {"stroke-linecap", "stroke-linejoin", "stroke-miterlimit"}


def _tidy(element: ElementTree.Element) -> None:
    """Shorter numbers; fonts left to the page."""
    for key in ("d", "x", "y", "transform", "width", "height"):
        if (value := element.get(key)) and element.tag != "svg":
            element.set(key, re.sub(r"-?\d+\.\d+", _short, value).replace("\n", "").strip())
    if style := element.get("style"):
        parts = dict(part.strip().split(":", 1) for part in style.split(";") if ":" in part)
        if font := parts.pop("font", None):
            size = re.search(r"([\d.]+)px", font)
            parts["font-size"] = f"{size[1]}px"
            if "bold" in font or " 700 " in font:
                parts["font-weight"] = "700"
        parts = {k: v.strip() for k, v in parts.items() if k not in _STYLE_NOISE}
        element.set("style", _colour(";".join(f"{k}:{v}" for k, v in parts.items())))
    if element.tag == "text":
        element.text = _printable(element.text or "")


def _short(match: re.Match) -> str:
    text = f"{float(match[0]):.1f}"
    return text.removesuffix(".0")


def _unwrap(parent: ElementTree.Element) -> None:
    """Groups that say nothing give way to their children."""
    children: list[ElementTree.Element] = []
    for child in list(parent):
        _unwrap(child)
        child.tail = None
        if child.tag == "g" and not child.attrib:
            children.extend(child)
        else:
            children.append(child)
    if parent.tag != "text":
        parent.text = None
    parent[:] = children


def _colour(text: str) -> str:
    """Stand-ins replaced by the CSS variables they stand for."""
    return re.sub(
        r"#000[0-2][0-9a-f]{2}",
        lambda m: f"var(--{_VARIABLES[m[0]]})" if m[0] in _VARIABLES else m[0],
        text,
    )


def _printable(text: str) -> str:
    """`text` without the control characters that XML and HTML forbid."""
    return "".join(c if c in "\t\n" or c.isprintable() or ord(c) > 159 else "\ufffd" for c in text)
