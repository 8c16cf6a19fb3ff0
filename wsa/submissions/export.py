"""A suite's results, this project's and all that were submitted, in the forms that others read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from wsa.archive.bundle import CODE
from wsa.errors import InputError
from wsa.evidence.aggregate import write_csv
from wsa.evidence.runs import hardware
from wsa.files import atomic_folder, write_text
from wsa.layout import Layout
from wsa.records.evidence import Estimate
from wsa.records.run import Result
from wsa.submissions.measured import (
    Measured,
    commit,
    finished,
    measured_here,
    measured_in,
    read_entries,
    versions,
)
from wsa.suite.schema import HubSource, Suite

# metric → its name on the Hugging Face hub (https://huggingface.co/metrics), and its arguments
_ON_THE_HUB: dict[str, tuple[str, dict[str, str]]] = {
    "accuracy": ("accuracy", {}),
    "f1": ("f1", {}),
    "f1_macro": ("f1", {"average": "macro"}),
    "matthews": ("matthews_correlation", {}),
    "pearson": ("pearsonr", {}),
    "spearman": ("spearmanr", {}),
    "mean_squared_error": ("mse", {}),
}


def export_csv(suite: Suite, layout: Layout, destination: Path) -> None:
    """Write one row for each run, state, split and metric.

    Columns: `suite`, `method`, `title`, `seed`, `state`, `split`, `metric`, `value` (as the metric
    is computed: an accuracy is a fraction), `sentences`, `who`, `checked`, `hardware`, `torch`,
    `transformers`, `peft`, `finished` (UTC), `commit`, `predictions` (sha256).

    Raises:
        InputError: nothing of the suite was measured.
    """
    import pandas as pd

    rows = [row for found in _measured(suite, layout) for row in _rows(found)]
    write_csv(destination, pd.DataFrame(rows))


def export_model_cards(suite: Suite, layout: Layout, destination: Path) -> None:
    """Write a model card for each method, whose metadata hold its results as a `model-index`.

    That is what the Hugging Face hub reads from a model's README.md
    (https://huggingface.co/docs/hub/model-cards). A metric's value is the mean over seeds, as the
    metric is computed: an accuracy is a fraction.

    Raises:
        InputError: nothing of the suite was measured.
    """
    found = _measured(suite, layout)
    with atomic_folder(destination) as folder:
        for one in found:
            whose = f"{one.entry.name}_" if one.entry else ""
            write_text(folder / f"{whose}{one.name}.md", _card(one))


def _measured(suite: Suite, layout: Layout) -> list[Measured]:
    found = measured_here(suite, layout)
    for entry in read_entries(layout)[0]:
        if entry.suite.name == suite.name:
            found += measured_in(entry)
    if not found:
        raise InputError(
            "holds no run of this suite", file=layout.suite(suite.name),
            remedy=f"snakemake --cores 2 --config suites={suite.name}; or name where they are: "
            "wsa --results published …",
        )  # fmt: skip
    return found


def _rows(found: Measured) -> Iterator[dict[str, object]]:
    checks = found.checks()
    for seed, result in found.results.items():
        checked = checks[seed][1].standing if seed in checks else "measured here"
        for split, state, metric, value, sentences in _values(found.suite, result):
            yield {
                "suite": found.suite.name, "method": found.name, "title": found.method.title,
                "seed": seed, "state": state, "split": split, "metric": metric, "value": value,
                "sentences": sentences, "who": found.who, "checked": checked,
                "hardware": hardware(result), **versions(result),
                "finished": finished(result), "commit": commit(result),
                "predictions": result.predictions,
            }  # fmt: skip


def _values(suite: Suite, result: Result) -> Iterator[tuple[str, str, str, float, int]]:
    """(split, state, metric, value, sentences) of all that a run gives."""
    judged = suite.data.validation[0] if result.evaluated_on == "validation" else "holdout"
    splits = {judged: result.states} | {n: split.states for n, split in result.further.items()}
    for split, states in splits.items():
        for state, own in states.items():
            for metric, value in own.metrics.items():
                yield split, state, metric, value, own.n


def _card(found: Measured) -> str:
    suite = found.suite
    about: dict[str, object] = {"library_name": "peft" if found.method.kind == "adapter" else
                                "transformers", "pipeline_tag": "text-classification"}  # fmt: skip
    if isinstance(suite.model.source, HubSource):
        about["base_model"] = suite.model.source.id
    about["model-index"] = [{"name": f"{suite.name}_{found.name}", "results": [_result(found)]}]
    text = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    return (
        f"---\n{text}---\n\n{len(found.results)} runs of the benchmark suite `{suite.name}`, "
        f"measured by {found.who}. Each value is the mean over seeds.\n"
    )


def _result(found: Measured) -> dict[str, object]:
    data = found.suite.data
    dataset: dict[str, object] = {"name": data.title, "type": data.name}
    if isinstance(data.source, HubSource):
        dataset |= {"type": data.source.id, "revision": data.source.revision}
        if data.source.config:
            dataset["config"] = data.source.config
    dataset["split"] = (
        data.validation[0] if found.suite.protocol.evaluate_on == "validation" else "train"
    )
    return {
        "task": {"type": "text-classification"},
        "dataset": dataset,
        "metrics": [_metric(found, estimate) for estimate in found.estimates],
        "source": {"name": "Weighted Spectral Adapter, measured", "url": CODE},
    }


def _metric(found: Measured, estimate: Estimate) -> dict[str, object]:
    metric = found.suite.data.task.headline
    kind, arguments = _ON_THE_HUB[metric.name]
    state = f" ({estimate.state})" if found.method.gated else ""
    std = None if estimate.std is None else estimate.std / metric.scale
    return {
        "type": kind, "name": f"{metric.title}{state}, mean over seeds",
        "value": estimate.mean / metric.scale,
        "args": arguments | {
            "seeds": sorted(found.results), "sample_standard_deviation": std,
            "sentences": estimate.sentences,
        },
    }  # fmt: skip
