"""Effective rank by layer and projection, as a heat map with its numbers."""

from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle

from wsa.leaderboard.plots.parts import svg
from wsa.leaderboard.plots.parts.pictures import Numbers, Picture, shorten, slug
from wsa.leaderboard.results import mean_ranks
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "ranks", 10
ALSO_ON_SUITE = True


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
    with svg.settings():
        left = svg.text_width(layers) + 16
        width, height = left + 12 + 82 * len(projections), 38 + 25 * len(layers)
        ax = svg.axes(width, height, left, top=30, bottom=8)
        ax.grid(False)
        for (row, column), value in np.ndenumerate(grid):
            if not np.isfinite(value):
                continue
            share = value / largest if largest else 0.0
            ax.add_patch(_cell(column, row, svg.heat(share)))
            ax.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=11,
                color=svg.heat_ink(share),
            )  # fmt: skip
        ax.set_xlim(-0.5, len(projections) - 0.5)
        ax.set_ylim(len(layers) - 0.5, -0.5)
        ax.set_xticks(range(len(projections)), [shorten(p, 14) for p in projections])
        ax.set_yticks(range(len(layers)), [shorten(layer, 14) for layer in layers])
        ax.tick_params(length=0)
        ax.xaxis.tick_top()
        for spine in ax.spines.values():
            spine.set_visible(False)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    rows = [
        [layer, *(f"{v:.2f}" if np.isfinite(v) else "–" for v in grid[i])]
        for i, layer in enumerate(layers)
    ]
    return Picture(name, title, caption, image, Numbers(["layer", *projections], rows))


def _cell(column: int, row: int, colour: str) -> Rectangle:
    return Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, facecolor=colour, edgecolor="none")
