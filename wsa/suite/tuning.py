"""The trials of a suite with `tuning`: a suite of their own, derived from it.

A trial is a method of that suite, `<method>.<number>`, trained and evaluated by the same commands
and rules as any run, on training sentences alone. Every method's trials lie at the same points of
the unit cube, the Hammersley set: the learning rate at even steps over its (logarithmic) range, the
further numbers by scipy's Halton sequence. No point depends on another's outcome, so that all
trials run side by side and any can be made again alone; nothing is drawn at random, so that every
machine has the same ones; and a few trials are spread evenly, whatever their number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from wsa.layout import TRIALS
from wsa.suite.schema import MOST_TUNED, Method, Protocol, Range, Suite

# PEFT type → its arguments that count steps, the number of all of them first
SCHEDULES = {"ADALORA": ("total_step", "tinit", "tfinal")}

Values = Mapping[str, int | float]  # key of a method, such as adapter.lora_alpha → its value


@functools.cache
def points(trials: int) -> Float[np.ndarray, "trials dimensions"]:
    """The Hammersley set in the open unit cube: (i + ½) / n beside the Halton sequence.

    J. M. Hammersley, Monte Carlo methods for solving multivariable problems (1960).
    """
    from scipy.stats import qmc

    halton = qmc.Halton(MOST_TUNED - 1, scramble=False)
    halton.fast_forward(1)  # its first point is a corner
    even = (np.arange(trials) + 0.5) / trials
    return np.column_stack([even, halton.random(trials)])


def value_at(place: float, ends: Range) -> int | float:
    """The number at `place` (0 to 1) of a logarithmic range.

    Of three digits, so that it is the same on every machine; whole where both ends are.
    """
    low, high = ends
    value = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    return round(value) if isinstance(low, int) and isinstance(high, int) else float(f"{value:.3g}")


def trial_values(method: Method, trials: int) -> list[dict[str, int | float]]:
    """What each trial of `method` tries; its learning rate rises from the first to the last."""
    keys = sorted(method.tune, key=lambda key: key != method.rate_key)  # else as declared
    return [
        {key: value_at(place, method.tune[key]) for key, place in zip(keys, row, strict=False)}
        for row in points(trials)
    ]


def with_values(method: Method, values: Values) -> Method:
    """`method` with these values for what it tunes.

    Raises:
        pydantic.ValidationError: a value is none that the method can have.
    """
    raw = method.model_dump()
    for key, value in values.items():
        own, _, argument = key.partition(".")
        if argument:
            raw[own][argument] = value
        else:
            raw[own] = value
    return Method.model_validate(raw)


def trial_names(suite: Suite, method: str) -> list[str]:
    """The methods of `trials_of(suite)` that are the trials of `method`, in order."""
    return [f"{method}.{number}" for number in range(1, suite.tuning.trials + 1)]


def trials_of(suite: Suite) -> Suite:
    """The suite of all trials of a suite with `tuning`; its runs have one seed."""
    tuning = suite.tuning
    changes = {"evaluate_on": "holdout", "holdout_sentences": tuning.holdout_sentences}
    if tuning.train_sentences:
        changes["train_sentences"] = tuning.train_sentences
    protocol = suite.protocol.model_copy(update=changes)
    methods: dict[str, Method] = {}
    for name in suite.tuned_methods():
        method = suite.methods[name]
        tried = trial_values(method, tuning.trials)
        for trial, values in zip(trial_names(suite, name), tried, strict=True):
            said = ", ".join(f"{key.split('.')[-1]} {value:g}" for key, value in values.items())
            title = f"{method.title} ({said})"
            made = with_values(method, values).model_copy(update={"title": title, "tune": {}})
            methods[trial] = _shortened(made, protocol) if tuning.train_sentences else made
    return suite.model_copy(
        update={
            "name": suite.name + TRIALS,
            "title": f"Tuning of {suite.title}",
            "question": "Which learning rate does each method get?",
            "seeds": (tuning.seed,),
            "protocol": protocol,
            "tuning": None,
            "methods": methods,
            "baseline": None,
            "claims": (),
        }
    )


def _shortened(method: Method, protocol: Protocol) -> Method:
    """`method` with a schedule of its own, such as AdaLoRA's, on the steps of a trial."""
    adapter = method.adapter or {}
    keys = SCHEDULES.get(adapter.get("peft_type"), ())
    if not keys or not adapter.get(keys[0]):
        return method
    steps = protocol.epochs * math.ceil(protocol.train_sentences / protocol.batch_size)
    share = steps / adapter[keys[0]]
    fitted = {key: round(share * adapter[key]) for key in keys if key in adapter}
    return method.model_copy(update={"adapter": adapter | fitted})
