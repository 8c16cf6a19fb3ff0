"""What the methods of a suite say about the same sentences, over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from wsa.leaderboard.results import RunView


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


def agreement(runs: Mapping[str, Sequence[RunView]]) -> Agreement | None:
    """The `Agreement` of the methods whose predictions are of the same sentences."""
    import numpy as np

    ids, labels, tables = _tables(runs)
    if ids is None or not tables:
        return None
    right = [sum(t["right"].to_numpy().astype(int) for t in those) for those in tables.values()]
    seeds = [len(those) for those in tables.values()]
    return Agreement(ids, labels, list(tables), seeds, np.stack(right, axis=1))


def closeness(runs: Mapping[str, Sequence[RunView]]) -> Closeness | None:
    """The `Closeness` of the methods whose predictions are of the same sentences."""
    import numpy as np

    ids, labels, tables = _tables(runs)
    if ids is None or not tables:
        return None
    said = [
        np.stack([table["predicted"].to_numpy(float) for table in those])
        for those in tables.values()
    ]
    errors = [((one - labels.astype(float)) ** 2).mean(0) for one in said]
    return Closeness(
        ids, labels, list(tables), np.stack([one.mean(0) for one in said], axis=1),
        np.stack(errors, axis=1),
    )  # fmt: skip


def _tables(runs: Mapping[str, Sequence[RunView]]) -> tuple:
    """The sentences' ids and labels, and each method's predictions of these very sentences."""
    ids, labels = None, None
    tables: dict[str, list] = {}
    for name, those in runs.items():
        for run in those:
            table = run.predictions
            if table is None:
                continue
            if ids is None:
                ids, labels = table["sentence_id"].tolist(), table["label"].to_numpy()
            if table["sentence_id"].tolist() == ids:
                tables.setdefault(name, []).append(table)
    return ids, labels, tables
