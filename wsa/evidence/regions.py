"""Does a mean lie where it was claimed to lie? Value, interval and ratio claims."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from wsa.errors import InputError
from wsa.evidence import planning
from wsa.evidence.comparisons import common_seeds
from wsa.evidence.judgements import (
    ONE_MORE,
    ONE_SEED,
    called,
    decided,
    not_measured,
    number,
    too_few,
    undecided,
)
from wsa.evidence.runs import Runs
from wsa.evidence.statistics import (
    CONTRADICTED,
    SUPPORTED,
    equivalence_p,
    judge_region,
    t_interval,
)
from wsa.records.evidence import Inference, Interval, Judgement
from wsa.records.record import read_record
from wsa.suite.schema import IntervalClaim, RatioClaim, ValueClaim

TEST = "Over {}: two one-sided t-tests at 5 % each for support, 95 % interval for contradiction"


def judge_value(runs: Runs, claim: ValueClaim, wanted: str) -> Judgement:
    """Is the accuracy, a number of these very sentences, about the claimed one?"""
    state = runs.state_of(claim.method, wanted)
    seeds = common_seeds(runs, (claim.method, state), (claim.method, state))
    name = called(runs, claim.method, state)
    fields = {
        "state": wanted,
        "claimed": f"{claim.expected:g} ± {claim.margin:g} %",
        "unit": "percent",
        "test": TEST.format("seeds, on these sentences"),
        "seeds": len(seeds),
        "runs": runs.paths(claim.method, seeds),
    }
    if not seeds:
        return not_measured(f"There are no runs of {name}.", **fields)
    right = runs.table(claim.method, state, seeds)
    return _judge(
        f"The accuracy of {name}",
        100 * right.mean(1),
        claim.expected - claim.margin,
        claim.expected + claim.margin,
        unit_text=" %",
        sentences=right.shape[1],
        notes=too_few(runs, seeds, claim.method),
        **fields,
    )


def judge_interval(runs: Runs, claim: IntervalClaim) -> Judgement:
    """Is the mean effective rank, over modules and seeds, in the claimed interval?"""
    ranks = {
        seed: result.rank
        for (method, seed), result in runs.results.items()
        if method == claim.method and result.rank is not None
    }
    fields = {
        "state": None,
        "claimed": f"{claim.low:g} to {claim.high:g}",
        "unit": "directions",
        "test": TEST.format("seeds"),
        "seeds": len(ranks),
        "runs": runs.paths(claim.method, ranks),
    }
    if not ranks:
        return not_measured(f"There are no runs of {claim.method} with gates.", **fields)
    return _judge(
        f"The mean effective rank of {claim.method}",
        np.array([rank.effective_mean for rank in ranks.values()]),
        claim.low,
        claim.high,
        notes=too_few(runs, ranks, claim.method) + reach(runs, claim.method, ranks),
        **fields,
    )


def reach(runs: Runs, method: str, seeds: Collection[int]) -> tuple[str, ...]:
    """How far the gates of `method` could have moved, against how far they had to."""
    ranks = [runs.results[method, seed].rank for seed in seeds]
    moved, threshold = min(rank.sum_of_learning_rates for rank in ranks), ranks[0].threshold
    adapter = runs.suite.method(method).adapter or {}
    if adapter.get("gate") == "singular_value":  # the others start at 1
        start, need, task = 0, threshold, f"to be kept, it must pass {threshold:g}"
    else:
        start, need, task = 1, 1 - threshold, f"to be pruned, it must fall below {threshold:g}"
    said = (
        f"A gate starts at {start}; AdamW can move it by about the sum of its learning rates, "
        f"{moved:.3g}; {task}, "
    )
    if moved < need:
        return (said + "which was out of reach whatever the data say.",)
    return (said + f"which takes {100 * need / moved:.0f} % of all the way it can go.",)


def judge_ratio(runs: Runs, claim: RatioClaim) -> Judgement:
    """Is one method's quantity, divided by another's, in the claimed interval?"""
    fields = {
        "state": None,
        "claimed": _region(claim.low, claim.high),
        "unit": "ratio",
    }
    if claim.quantity == "inference_seconds":
        return _judge_inference(runs, claim, fields)
    seeds = [
        seed
        for seed in runs.suite.seeds
        if {(claim.method, seed), (claim.reference, seed)} <= runs.results.keys()
    ]
    fields |= {
        "test": TEST.format("seeds"),
        "seeds": len(seeds),
        "runs": runs.paths(claim.method, seeds) + runs.paths(claim.reference, seeds),
    }
    names = f"{claim.method} and {claim.reference}"
    if not seeds:
        return not_measured(f"There are no runs of {names} with the same seed.", **fields)
    own, other = (
        np.array([kept.kept - kept.head for kept in counts], dtype=float)
        for counts in (
            [runs.results[method, seed].parameters for seed in seeds]
            for method in (claim.method, claim.reference)
        )
    )
    if not other.all():
        said = f"{claim.reference} has no adapter parameters to compare with."
        return not_measured(said, **fields)
    counted = (
        f"{own.mean():,.0f} adapter parameters kept against {other.mean():,.0f}, without heads."
    )
    return _judge(
        f"The ratio of the adapter parameters kept by {names}",
        own / other,
        claim.low,
        claim.high,
        notes=(counted, *too_few(runs, seeds, claim.method, claim.reference)),
        **fields,
    )


def _judge_inference(runs: Runs, claim: RatioClaim, fields: dict) -> Judgement:
    path = runs.layout.inference_json(runs.suite.name)
    fields |= {"test": TEST.format("rounds timed in turn, their ratio"), "seeds": 0, "runs": ()}
    if not path.exists():
        return not_measured(
            f"Inference has not been timed: there is no {path.name}.",
            advice=f"`wsa inference {runs.suite.name}`, then `wsa aggregate {runs.suite.name}`.",
            **fields,
        )
    try:
        timed = read_record(path, Inference)
        own, other = (timed.seconds.get(name, ()) for name in (claim.method, claim.reference))
        if not own or len(own) != len(other):
            raise InputError(f"it lacks rounds of '{claim.method}' and '{claim.reference}'")
    except InputError as error:
        return not_measured(f"{path.name} cannot be used: {error.problem}.", **fields)
    where = timed.environment.accelerator or timed.environment.processor
    note = (
        f"{len(own)} rounds of {timed.sentences} sentences on {where}; the interval is for other "
        "rounds there, not for other machines."
    )
    judgement = _judge(
        f"The time of {claim.method}, merged, divided by that of {claim.reference},",
        np.divide(own, other),
        claim.low,
        claim.high,
        digits=3,
        notes=(note,),
        sentences=timed.sentences,
        **fields,
    )
    # the values are rounds here: what more seeds would do is not the question
    advice = "More rounds of timing may decide it." if judgement.advice else ""
    return judgement.model_copy(update={"more_seeds": None, "advice": advice})


def _judge(
    subject: str,
    values: np.ndarray,
    low: float,
    high: float,
    *,
    unit_text: str = "",
    digits: int = 2,
    **fields,
) -> Judgement:
    """Does the mean of the population of `values` lie in [low, high]?"""
    n, mean = len(values), float(values.mean())
    text = f"{number(mean, digits)}{unit_text}"
    fields["estimate"] = mean
    if n == 1:
        return undecided(
            f"{subject} is {text} in the only run. {ONE_SEED}",
            measured=f"{text} (n = 1)",
            advice=ONE_MORE,
            **fields,
        )
    std = float(values.std(ddof=1))
    interval = Interval(**dict(zip(("low", "high"), map(float, t_interval(values)), strict=True)))
    fields |= {
        "measured": f"{number(mean, digits)} ± {number(std, digits)}{unit_text} (n = {n})",
        "interval": interval,
        "p": float(equivalence_p(values, low, high)),
    }
    low_end, high_end = (number(end, digits) for end in (interval.low, interval.high))
    between = f"95 % interval {low_end} to {high_end}"
    said = f"{subject} is {text} ({between})"
    code = int(judge_region(values, low, high))
    if code == SUPPORTED:
        return decided(code, f"{said}, within the claimed {_region(low, high)}.", **fields)
    if code == CONTRADICTED:
        side = "above" if mean > high else "below"
        return decided(code, f"{said}, {side} the claimed {_region(low, high)}.", **fields)
    more, advice = planning.seeds_for_region(mean, std, n, low, high)
    return undecided(
        f"{said}: these runs cannot tell whether it is within the claimed {_region(low, high)}.",
        more_seeds=more,
        advice=advice,
        **fields,
    )


def _region(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if low > 0 else f"at most {high:g}"
