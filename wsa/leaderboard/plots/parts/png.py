"""A drawing as an image of its own, in the light colours of the stylesheet."""

from __future__ import annotations

import functools
import io
import re
from pathlib import Path as File

from wsa.leaderboard.plots.parts.canvas import Canvas, Group, Marker, Path, Words

STYLE = File(__file__).parents[2] / "static" / "site.css"
SHADES = 48  # colours of an image: enough for soft edges, a third of the size


@functools.cache
def colours() -> dict[str, str]:
    """The stylesheet's variables of the light scheme, by name."""
    light = re.search(r":root\s*{(.*?)}", STYLE.read_text(encoding="utf-8"), re.DOTALL)
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", light[1]))


def png(canvas: Canvas, scale: float) -> bytes:
    """The drawing with `scale` pixels of the image for each of its own.

    Equal drawings give equal bytes: no date, no version.
    """
    import matplotlib  # takes long: only where an image is made
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with matplotlib.rc_context({"text.parse_math": False, "font.family": "DejaVu Sans"}):
        figure = Figure(
            (canvas.width / 72, canvas.height / 72), dpi=72 * scale, facecolor=colours()["paper"]
        )
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, canvas.width)
        axes.set_ylim(canvas.height, 0)
        _draw(axes, canvas.root, 0)
        agg = FigureCanvasAgg(figure)
        agg.draw()
        size, pixels = agg.get_width_height(), bytes(agg.buffer_rgba())
    found = io.BytesIO()
    whole = Image.frombytes("RGBA", size, pixels).convert("RGB")
    whole.quantize(SHADES, Image.Quantize.MAXCOVERAGE).save(found, "PNG")
    return found.getvalue()


def _draw(axes, group: Group, order: int) -> int:
    """Draw a group's parts one over the other; returns the order of the last."""
    for part in group.parts:
        order += 1
        match part:
            case Group():
                order = _draw(axes, part, order)
            case Path():
                xs, ys = zip(*part.points, strict=True)
                style = {"alpha": part.opacity, "zorder": order}
                if part.fill:
                    axes.fill(xs, ys, color=colours()[part.fill], lw=0, **style)
                if part.stroke:
                    dash = (0, [d / part.width for d in part.dash]) if part.dash else "-"
                    axes.plot(
                        xs, ys, color=colours()[part.stroke], lw=part.width, ls=dash,
                        solid_capstyle="butt", dash_capstyle="butt", **style,
                    )  # fmt: skip
            case Marker():
                colour = colours()[part.colour]
                axes.plot(
                    part.x, part.y, part.shape, ms=part.size - 1.4, color=colour, mew=1.6,
                    mfc=colours()["paper"] if part.hollow else colour, zorder=order,
                )  # fmt: skip
            case Words():
                _write(axes, part, order)
    return order


def _write(axes, part: Words, order: int) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground=colours()["paper"])] if part.halo else None
    axes.text(
        part.x, part.y, part.text, color=colours()[part.colour], size=part.size * 0.94,
        ha={"start": "left", "middle": "center", "end": "right"}[part.anchor], va="baseline",
        weight="bold" if part.bold else "normal", rotation=90 if part.turned else 0, zorder=order,
        path_effects=halo,
    )  # fmt: skip
