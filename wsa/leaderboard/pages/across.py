"""The page of several tasks together: methods × tasks, and claims judged over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wsa.leaderboard.entries import STATES
from wsa.leaderboard.plots.parts.pictures import Mark
from wsa.task import METRICS, Metric

if TYPE_CHECKING:
    from wsa.records.across import Across, AcrossCell, AcrossMethod, AcrossOrder, AcrossSuite
    from wsa.suite.schema import Suite

UNKNOWN = Mark("", "control")


class CollectionView:
    """A collection of suites, as its page shows it.

    Attributes:
        record: what was found out.
        suites: the members whose pages this site has.
    """

    def __init__(
        self, record: Across, suites: Mapping[str, Suite], marks: Mapping[str, Mark]
    ) -> None:
        self.record = record
        self.name, self.title = record.name, record.title
        self.tasks: Sequence[AcrossSuite] = record.suites
        self.methods: Sequence[AcrossMethod] = record.methods
        names = [task.suite for task in self.tasks]
        self.suites = {name: suites[name] for name in names if name in suites}
        self._marks = marks
        self._cells = {(c.suite, c.method): c for c in record.cells}

    def metric(self, task: AcrossSuite) -> Metric:
        """What a task is measured in."""
        return next(metric for metric in METRICS.values() if metric.title == task.metric)

    def metric_of(self, suite: str) -> Metric:
        """What the task of `suite` is measured in."""
        return self.metric(next(task for task in self.tasks if task.suite == suite))

    def title_of(self, suite: str) -> str:
        """The title of the task of `suite`."""
        return next((task.title for task in self.tasks if task.suite == suite), suite)

    def cells_of(self, method: AcrossMethod) -> list[tuple[AcrossSuite, AcrossCell | None]]:
        """The method's result in every task; None where it has none."""
        return [(task, self._cells.get((task.suite, method.method))) for task in self.tasks]

    @property
    def most_seeds(self) -> int:
        """Of any cell."""
        return max((cell.seeds for cell in self.record.cells), default=0)

    def mark(self, method: str) -> Mark:
        """How the method looks in pictures, with its title here."""
        known = self._marks.get(method, UNKNOWN)
        return Mark(self.method_title(method), known.variable, known.marker)

    def method_title(self, method: str) -> str:
        return next((one.title for one in self.methods if one.method == method), method)

    def state_label(self, method: AcrossMethod) -> str:
        """The state in words; empty where no task has the method in another."""
        states = {cell.state for cell in self.record.cells if cell.method == method.method}
        return STATES[method.state] if states != {"unpruned"} else ""

    def page_of(self, method: str, suite: str) -> bool:
        """Whether this site has a page of the method in a suite."""
        return suite in self.suites and method in self.suites[suite].methods

    @property
    def orders(self) -> Sequence[AcrossOrder]:
        return self.record.orders

    def order_state(self, order: AcrossOrder) -> str:
        return STATES.get(order.state, order.state)


def across_context(collection: CollectionView, sections: Sequence[object]) -> dict[str, object]:
    """For `across.html`."""
    return {"collection": collection, "sections": sections}
