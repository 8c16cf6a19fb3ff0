"""Suites of other tasks than two classes, with their pages and with what their runs predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tests.helpers.results import make_results, make_suite
from tests.leaderboard.page import Page
from wsa.evidence.aggregate import aggregate
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.suite.schema import Suite

SENTENCES = 90
CLASSES = ("entailment", "neutral", "contradiction")
ACCURACY = {
    "full": 90.0,
    "lora": 85.0,
    "wsa": {"unpruned": 88.0, "pruned": 70.0, "gate_only": 87.0},
    "majority": 40.0,
}


@dataclass(frozen=True)
class Made:
    """A suite with its pages, and what its runs predicted."""

    suite: Suite
    layout: Layout

    def page(self, path: str) -> Page:
        return Page(self.layout.site / self.suite.name / path)

    def source(self, path: str) -> str:
        return (self.layout.site / self.suite.name / path).read_text(encoding="utf-8")

    def said(self, method: str, seed: int, state: str, split: str = "") -> pd.DataFrame:
        """Sentence, label and prediction of one run, by the logits alone."""
        files = self.layout.run(self.suite.name, method, seed)
        table = pd.read_parquet(files.further_predictions(split) if split else files.predictions)
        table = table[table["state"] == state].sort_values("sentence_id").reset_index(drop=True)
        logits = table.filter(regex=r"^logit_\d+$").to_numpy()
        return table[["sentence_id", "label"]].assign(
            said=logits[:, 0] if logits.shape[1] == 1 else logits.argmax(1), sure=logits.max(1)
        )

    def spread(self, score, method: str, state: str, split: str = "", places: int = 2) -> str:
        """Mean ± sample standard deviation of `score(labels, said)` over the seeds."""
        tables = [self.said(method, seed, state, split) for seed in self.suite.seeds]
        values = [score(t["label"].to_numpy(), t["said"].to_numpy()) for t in tables]
        return f"{np.mean(values):.{places}f} ± {np.std(values, ddof=1):.{places}f}"


def make(folder: Path, name: str, accuracy: dict, **data: object) -> Made:
    layout = Layout(results=folder / "r", resources=folder / "d", site=folder / "s")
    suite = make_suite(name, data=data).model_copy(update={"baseline": "lora"})
    make_results(layout, suite, accuracy, sentences=SENTENCES)
    split = layout.split(suite.data.name, suite.data.validation[0])
    split.parent.mkdir(parents=True)
    texts = {"id": [f"validation-{i:05d}" for i in range(SENTENCES)]}
    for column in ("sentence", "sentence_2")[: len(suite.data.text)]:
        texts[column] = [f"{column} {i}" for i in range(SENTENCES)]
    pd.DataFrame(texts).to_parquet(split)
    aggregate(suite, layout)
    render([suite], layout)
    return Made(suite, layout)
