"""The sentences that two methods of a suite disagree on, for whoever has the data."""

from __future__ import annotations

from collections.abc import Iterator

from wsa.errors import InputError
from wsa.layout import Layout
from wsa.leaderboard.results import read_suite
from wsa.suite.schema import Suite


def disagreements(suite: Suite, layout: Layout, method_a: str, method_b: str) -> Iterator[str]:
    """A line a sentence: its id, its label, how many seeds of a and of b are right, its text.

    Each method in the state it is quoted for; a method gets a sentence right with more than half
    of its seeds.

    Raises:
        InputError: the suite has no such method, its labels are numbers, or predictions of the two
            on the same sentences are missing.
    """
    for method in (method_a, method_b):
        suite.method(method)
    if not suite.data.task.classes:
        raise InputError(
            f"the labels of '{suite.name}' are numbers: no method is simply right",
            remedy=f"see {layout.suite_page(suite.name).parent / 'compare.html'}",
        )
    results = read_suite(suite, layout)
    found = results.agreement
    if found is None or not {method_a, method_b} <= set(found.methods):
        raise InputError(
            "there are no predictions of both methods on the same sentences",
            file=layout.suite(suite.name),
            remedy=f"snakemake --cores 2 --config suites={suite.name}",
        )
    a, b = (found.methods.index(method) for method in (method_a, method_b))
    texts, labels = results.sentences, suite.data.labels
    if not texts:
        yield f"# texts are not here; they come with: wsa fetch-data {suite.data.name}"
    yield "\t".join(("id", "is", f"right with {method_a}", f"right with {method_b}", "sentence"))
    for i in (found.mostly[:, a] != found.mostly[:, b]).nonzero()[0]:
        right = (f"{found.right[i, column]} of {found.seeds[column]}" for column in (a, b))
        text = " ".join(texts.get(found.ids[i], "").split())
        yield "\t".join((found.ids[i], labels[found.labels[i]], *right, text))
