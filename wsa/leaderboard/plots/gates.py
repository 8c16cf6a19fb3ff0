"""How the gates of a method's first run moved while it trained."""

from collections.abc import Mapping

import numpy as np

from wsa.leaderboard.plots.parts import svg
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
    with svg.settings():
        ax = svg.axes(400, 260, left=56)
        ax.grid(axis="y")
        for i in range(middle):
            ax.fill_between(steps, values[i], values[-1 - i], color=mark.colour, alpha=0.18, lw=0)
        ax.plot(steps, values[middle], color=mark.colour, lw=1.8)
        ax.axhline(level[0], color=svg.INK, lw=1, ls=(0, (4, 3)))
        ax.annotate(
            level[1], (1, level[0]), xycoords=("axes fraction", "data"), xytext=(-3, 3),
            textcoords="offset points", ha="right", fontsize=10,
        )  # fmt: skip
        ax.set_xlabel(axis[0])
        ax.set_ylabel(axis[1])
        ax.set_ylim(bottom=0)
        ax.tick_params(axis="y", labelcolor=svg.MUTED)
        ax.margins(x=0.01)
        image = svg.to_svg(ax, name, f"{title}. {caption}")
    picked = np.unique(np.linspace(0, len(steps) - 1, min(11, len(steps))).round().astype(int))
    rows = [[f"{steps[i]:,.0f}", *(f"{v[i]:.4f}" for v in values)] for i in picked]
    return Picture(name, title, caption, image, Numbers([axis[0], *names], rows))
