"""Each method's mean rank over several tasks, with the ranks it has in each."""

from wsa.leaderboard.pages.across import CollectionView
from wsa.leaderboard.plots.parts.intervals import Bar, intervals
from wsa.leaderboard.plots.parts.pictures import Picture

SECTION, ORDER = "across", 10


def draw_across(collection: CollectionView) -> list[Picture]:
    bars = [
        Bar(
            collection.mark(one.method), collection.state_label(one), one.mean_rank,
            one.rank_interval.low if one.rank_interval else None,
            one.rank_interval.high if one.rank_interval else None,
            [(task.title, cell.rank) for task, cell in collection.cells_of(one) if cell],
        )
        for one in collection.methods
    ]  # fmt: skip
    if not bars:
        return []
    return [
        intervals(
            "mean-ranks", "Mean rank over the tasks",
            "1 is the best method of a task. Large marks: the mean over the tasks, with its 95 % "
            "interval where there is one; small dots: the tasks.",
            bars, "rank (less is better)",
        )
    ]  # fmt: skip
