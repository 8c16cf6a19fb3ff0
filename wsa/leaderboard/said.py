"""What every run of a suite says of every sentence, once for all its pages.

`sentences.js` beside a suite's pages carries, as JSON:

    sentences  where they are, for all suites on them: a file with `ids`, `is`, the label of each
               (the number of a class, or a number), and `texts`, null where these are not known
    labels     the names of the classes; null where labels are numbers
    methods    {name, compared, seeds: {seed: …}}; of classes a run has `gaps`, from each sentence
               that it gets wrong to the next, `sure`, how sure it is of what it says, in percent,
               and of more than two classes `said`; of numbers `said`, one for each sentence

A run whose predictions are of other sentences than the first one's is left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsa.files import sha256_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from wsa.leaderboard.results import RunView
    from wsa.leaderboard.view import SuiteView

PLACES = 4  # of a number that is said


@dataclass(frozen=True)
class Said:
    """The predictions of a suite's runs on the same sentences, in the states they are quoted for.

    Attributes:
        tables: of each run, as `RunView.predictions` has it.
    """

    ids: list[str]
    labels: np.ndarray
    tables: Mapping[str, Mapping[int, pd.DataFrame]]

    @property
    def name(self) -> str:
        """Names these very sentences, with their labels."""
        return sha256_json([self.ids, self.labels.tolist()])[:8]


def said(runs: Mapping[str, Sequence[RunView]]) -> Said | None:
    """What `runs` say; None where none left predictions."""
    first: pd.DataFrame | None = None
    ids: list[str] = []
    tables: dict[str, dict[int, pd.DataFrame]] = {}
    for name, those in runs.items():
        for run in those:
            table = run.predictions
            if table is None:
                continue
            if first is None:
                first, ids = table, table["sentence_id"].tolist()
            if table["sentence_id"].tolist() == ids:
                tables.setdefault(name, {})[run.seed] = table
    return None if first is None else Said(ids, first["label"].to_numpy(), tables)


def sentences(view: SuiteView, found: Said) -> dict[str, Any]:
    """What the file that all suites on these sentences share carries."""
    texts = view.results.sentences
    labels = found.labels if view.task.classes else found.labels.astype(float).round(PLACES)
    return {
        "ids": found.ids,
        "is": labels.tolist(),
        "texts": [texts.get(one) for one in found.ids] if texts else None,
    }


def carried(view: SuiteView, found: Said, sentences: str) -> dict[str, Any]:
    """What `sentences.js` carries; `sentences` is where they are, from the suite's page."""
    classes = view.task.classes
    return {
        "sentences": sentences,
        "labels": view.suite.data.labels if classes else None,
        "methods": [
            {
                "name": name,
                "compared": view.suite.methods[name].kind != "majority",
                "seeds": {seed: _run(table, classes) for seed, table in those.items()},
            }
            for name, those in found.tables.items()
        ],
    }


def _run(table: pd.DataFrame, classes: int) -> dict[str, list]:
    import numpy as np

    if not classes:
        return {"said": np.nan_to_num(table["predicted"].to_numpy(float)).round(PLACES).tolist()}
    wrong = (~table["right"].to_numpy()).nonzero()[0]
    sure = np.nan_to_num(100 * table["confidence"].to_numpy()[wrong])
    found = {
        "gaps": np.diff(wrong, prepend=0).tolist(),
        "sure": sure.round().astype(int).tolist(),
    }
    if classes > 2:
        found["said"] = table["predicted"].to_numpy()[wrong].tolist()
    return found


def as_csv(view: SuiteView, found: Said) -> str:
    """A row a sentence: its id, what it is, and what each run says, a column a run."""
    names = view.suite.data.labels if view.task.classes else None

    def words(values: Sequence[Any]) -> list[Any]:
        return [names[value] for value in values] if names else list(values)

    columns = {"id": found.ids, "is": words(found.labels.tolist())}
    for name, those in found.tables.items():
        for seed, table in those.items():
            columns[f"{name} seed {seed}"] = words(table["predicted"].tolist())
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
