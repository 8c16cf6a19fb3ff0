"""Every entry of the leaderboard: its seeds, its mean and its interval."""

from wsa.leaderboard.entries import scale_of
from wsa.leaderboard.measures import axis, heading, places
from wsa.leaderboard.plots.parts.intervals import Bar, intervals
from wsa.leaderboard.plots.parts.pictures import Picture, slug
from wsa.leaderboard.view import SuiteView

SECTION, ORDER = "scores", 10


def draw(view: SuiteView) -> list[Picture]:
    metric, scale = view.metric, scale_of(view.entries)
    bars = [
        Bar(
            entry.mark, entry.state_label, entry.mean, entry.low, entry.high,
            [(f"seed {seed}", value) for seed, value in entry.by_seed.items()],
            hollow=not entry.headline,
        )
        for entry in view.entries
    ]  # fmt: skip
    side = "left" if metric.greater_is_better else "right"
    return [
        intervals(
            f"{slug(metric.name)}-per-seed", f"{heading(metric)} per seed",
            "Large marks: means with their 95 % interval; small dots: seeds; hollow: not the "
            f"headline state. An arrow means {side} of the axis; the mean ends the row.",
            bars, axis(metric), limits=(scale.low, scale.high), digits=places(metric),
        )
    ]  # fmt: skip
