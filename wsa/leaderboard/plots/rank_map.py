"""Effective rank by layer and projection, as a heat map with its numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from wsa.leaderboard.plots.parts.canvas import Canvas, both, text_width
from wsa.leaderboard.plots.parts.pictures import Numbers, Picture, shorten, slug
from wsa.leaderboard.results import mean_ranks
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "ranks", 10
ALSO_ON_SUITE = True
STEPS = 16  # the stylesheet's sequential scale is --heat-0 … --heat-16
FEW = 4  # projections that one drawing has room for, on a phone too
DARK = 8  # the last of them on which the page's ink is read


def draw_method(view: SuiteView, name: str) -> list[Picture]:
    """Mean over a method's seeds."""
    runs, method = view.results.runs[name], view.suite.methods[name]
    cells = mean_ranks(runs)
    if not cells:
        return []
    return [
        _heat_map(
            f"rank-{slug(name)}", f"Effective rank of {method.title}",
            f"Directions kept of {method.rank}, by layer and projection; mean of {len(runs)} "
            f"seed{'s' * (len(runs) > 1)}.",
            cells, method.rank,
        )
    ]  # fmt: skip


def _heat_map(
    name: str, title: str, caption: str, cells: Mapping[tuple[str, str], float], largest: int
) -> Picture:
    """Layers down and projections across."""
    layers = list(dict.fromkeys(layer for layer, _ in cells))
    projections = list(dict.fromkeys(projection for _, projection in cells))
    grid = np.array([[cells.get((la, pr), np.nan) for pr in projections] for la in layers])
    said = f"{title}. {caption}"
    if len(projections) <= FEW:
        image = _cells(grid, layers, projections, largest, 84, False).svg(said)
    else:
        narrow = int(300 / len(projections))
        image = both(
            _cells(grid, layers, projections, largest, 96, False),
            _cells(grid, layers, projections, largest, narrow, True), said,
        )  # fmt: skip
    rows = [
        [layer, *(f"{v:.2f}" if np.isfinite(v) else "–" for v in grid[i])]
        for i, layer in enumerate(layers)
    ]
    return Picture(name, title, caption, image, Numbers(["layer", *projections], rows))


def _cells(
    grid: np.ndarray,
    layers: Sequence[str],
    projections: Sequence[str],
    largest: int,
    width: float,
    turned: bool,
) -> Canvas:
    """A cell of `width` pixels for each; `turned`: names of projections upright, for a phone."""
    height, left = 25, max(map(text_width, layers), default=0) + 14
    top = max(map(text_width, projections), default=0) + 10 if turned else 28
    canvas = Canvas(left + width * len(projections) + 2, top + height * len(layers) + 4)
    for i, projection in enumerate(projections):
        x = left + width * (i + 0.5)
        if turned:
            canvas.text(x + 4, top - 6, projection, "muted", turned=True)
        else:
            canvas.text(x, top - 8, shorten(projection, 14), "muted", anchor="middle")
    for i, layer in enumerate(layers):
        canvas.text(left - 8, top + height * (i + 0.5) + 4, layer, "muted", anchor="end")
    for (row, column), value in np.ndenumerate(grid):
        if not np.isfinite(value):
            continue
        step = round(STEPS * min(max(value / largest if largest else 0.0, 0.0), 1.0))
        x, y = left + width * column, top + height * row
        canvas.box(x + 1, y + 1, width - 2, height - 2, f"heat-{step}")
        ink = "paper" if step > DARK else "ink"
        canvas.text(x + width / 2, y + height / 2 + 4, f"{value:.1f}", ink, anchor="middle")
    return canvas
