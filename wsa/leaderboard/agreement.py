"""What the methods of a suite say about the same sentences, over their seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from wsa.leaderboard.said import Said


@dataclass(frozen=True)
class Agreement:
    """For every sentence how many of a method's seeds are right, in the state it is quoted for."""

    ids: list[str]
    labels: np.ndarray
    methods: list[str]
    seeds: list[int]
    right: np.ndarray  # (sentences, methods): number of seeds that are right

    def first(self, count: int) -> Agreement:
        """Of the first `count` methods only."""
        return Agreement(
            self.ids, self.labels, self.methods[:count], self.seeds[:count], self.right[:, :count]
        )

    @cached_property
    def mostly(self) -> np.ndarray:
        """(sentences, methods): whether more than half of the seeds are right."""
        import numpy as np

        return self.right * 2 > np.array(self.seeds)[None, :]


@dataclass(frozen=True)
class Closeness:
    """For every sentence the number that a method says, and how far off it is, over its seeds."""

    ids: list[str]
    labels: np.ndarray
    methods: list[str]
    said: np.ndarray  # (sentences, methods): mean over seeds
    errors: np.ndarray  # (sentences, methods): squared error, mean over seeds

    def first(self, count: int) -> Closeness:
        """Of the first `count` methods only."""
        return Closeness(
            self.ids, self.labels, self.methods[:count], self.said[:, :count],
            self.errors[:, :count],
        )  # fmt: skip


def agreement(found: Said) -> Agreement:
    """The `Agreement` of the methods whose predictions are of the same sentences."""
    import numpy as np

    right = [
        sum(table["right"].to_numpy().astype(int) for table in those.values())
        for those in found.tables.values()
    ]
    seeds = [len(those) for those in found.tables.values()]
    return Agreement(found.ids, found.labels, list(found.tables), seeds, np.stack(right, axis=1))


def closeness(found: Said) -> Closeness:
    """The `Closeness` of the methods whose predictions are of the same sentences."""
    import numpy as np

    said = [
        np.stack([table["predicted"].to_numpy(float) for table in those.values()])
        for those in found.tables.values()
    ]
    errors = [((one - found.labels.astype(float)) ** 2).mean(0) for one in said]
    return Closeness(
        found.ids, found.labels, list(found.tables),
        np.stack([one.mean(0) for one in said], axis=1), np.stack(errors, axis=1),
    )  # fmt: skip
