"""How the gates of a method's first run moved while it trained."""

from collections.abc import Mapping

import numpy as np

from wsa.leaderboard.plots.parts.axes import frame, ticks
from wsa.leaderboard.plots.parts.canvas import NARROW
from wsa.leaderboard.plots.parts.lines import thin
from wsa.leaderboard.plots.parts.pictures import Mark, Numbers, Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "gates", 10
ALSO_ON_SUITE = True
QUANTILES = {"5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}


def draw_method(view: SuiteView, name: str) -> list[Picture]:
    """|g| of all directions."""
    runs, mark = view.results.runs[name], view.mark(name)
    if not runs or not view.suite.methods[name].gated:
        return []
    run = runs[0]
    table = run.gates
    if table is None or table.empty or run.result.rank is None:
        return []
    sizes = table.assign(size=table["gate"].abs()).groupby("step")["size"]
    levels = sizes.quantile(list(QUANTILES.values())).unstack()
    rank = run.result.rank
    return [
        _bands(
            f"gates-{slug(name)}", f"Gates of {mark.label}",
            f"|g| of all directions, seed {run.seed}: the median and the ranges that hold half and "
            f"nine tenths of them. AdamW could move a gate by about Σ lr = "
            f"{rank.sum_of_learning_rates:.3g}; τ = {rank.threshold:g}.",
            mark, levels.index.to_numpy(float),
            {name: levels[q].to_numpy(float) for name, q in QUANTILES.items()},
            (rank.threshold, f"τ = {rank.threshold:g}"), ("optimiser step", "|g|"),
        )
    ]  # fmt: skip


def _bands(
    name: str,
    title: str,
    caption: str,
    mark: Mark,
    steps: np.ndarray,
    quantiles: Mapping[str, np.ndarray],
    level: tuple[float, str],
    axis: tuple[str, str],
) -> Picture:
    """How a crowd of values moves: nested bands between quantiles, the median, a level.

    Args:
        quantiles: name → values over `steps`, from the lowest quantile to the highest, an odd
            number of them, the median in the middle.
    """
    names, values = list(quantiles), list(quantiles.values())
    middle = len(values) // 2
    top = 1.05 * float(max(level[0], np.nanmax(values[-1])))
    area = frame(NARROW, 260, (float(steps[0]), float(steps[-1]) or 1.0), (0.0, top))
    canvas = area.canvas
    area.upwards(ticks(0.0, top), axis[1])
    area.across(ticks(float(steps[0]), float(steps[-1]) or 1.0, 5), axis[0], grid=False)
    thinned = [thin(steps, value) for value in values]
    points = [[(area.x(x), area.y(y)) for x, y in zip(*one, strict=True)] for one in thinned]
    for i in range(middle):
        canvas.area([*points[i], *reversed(points[-1 - i])], mark.variable, 0.18)
    canvas.line(points[middle], mark.variable, 1.8)
    y = area.y(level[0])
    canvas.line([(area.left, y), (area.right, y)], "ink", dash=(4, 3))
    canvas.text(area.right - 3, y - 4, level[1], size=11, anchor="end", halo=True)
    image = canvas.svg(title)
    picked = np.unique(np.linspace(0, len(steps) - 1, min(11, len(steps))).round().astype(int))
    rows = [[f"{steps[i]:,.0f}", *(f"{v[i]:.4f}" for v in values)] for i in picked]
    return Picture(name, title, caption, image, Numbers([axis[0], *names], rows))
