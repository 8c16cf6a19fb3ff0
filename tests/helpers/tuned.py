"""A suite with tuning, and made-up results of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.helpers.results import make_results, make_suite
from wsa.layout import Layout
from wsa.suite.schema import Suite
from wsa.suite.tuning import trial_names, trials_of

RANGES = {
    "full": {"learning_rate": [1e-5, 1e-3]},
    "lora": {"learning_rate": [1e-4, 1e-2], "adapter.lora_alpha": [8, 32]},
    "spectral_a": {"learning_rate": [1e-4, 1e-2]},
    "wsa": {"learning_rate": [1e-4, 1e-2]},
    "head_only": {"head_learning_rate": [1e-4, 1e-2]},
}


def tuned_raw(trials: int = 4, **tuning: object) -> dict:
    """The suite of `make_suite`, as its YAML would say it, with a range for every method."""
    raw = make_suite().model_dump(mode="json")
    for name, ranges in RANGES.items():
        raw["methods"][name]["tune"] = ranges
    return raw | {"tuning": {"trials": trials, **tuning}}


def tuned_suite(trials: int = 4, **tuning: object) -> Suite:
    return Suite.model_validate(tuned_raw(trials, **tuning))


def make_trials(
    suite: Suite, layout: Layout, accuracy: Mapping[str, Sequence[float | Mapping[str, float]]]
) -> None:
    """Results of the trials: method → the accuracy, in percent, of each."""
    levels = {
        trial: level
        for method, several in accuracy.items()
        for trial, level in zip(trial_names(suite, method), several, strict=True)
    }
    make_results(layout, trials_of(suite), levels, sentences=400)
