"""Effective rank by layer and projection, as a heat map."""

from collections.abc import Mapping

from markupsafe import Markup, escape

from wsa.leaderboard.formats import DASH, decimals, heat
from wsa.leaderboard.plots.parts.pictures import Picture, slug
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
    """Layers down and projections across: a table, its cells coloured."""
    layers = list(dict.fromkeys(layer for layer, _ in cells))
    projections = list(dict.fromkeys(projection for _, projection in cells))
    head = "".join(f'<th scope="col" class="number">{escape(one)}' for one in projections)
    rows = "".join(
        f'<tr><th scope="row">{escape(layer)}'
        + "".join(_cell(cells.get((layer, one)), largest) for one in projections)
        for layer in layers
    )
    table = (
        f'<table class="heat"><thead><tr><th scope="col">Layer{head}</thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return Picture(name, title, caption, Markup(table))


def _cell(value: float | None, largest: int) -> str:
    if value is None:
        return f"<td>{DASH}"
    return f'<td class="h{heat(value, largest)}">{decimals(value, 1)}'
