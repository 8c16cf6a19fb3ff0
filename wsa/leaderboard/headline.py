"""The state of the question in a few plain sentences, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsa.evidence.reach import unreachable
from wsa.leaderboard.entries import Entry
from wsa.leaderboard.formats import count, decimals
from wsa.leaderboard.measures import change, gain, score
from wsa.suite.schema import Suite

if TYPE_CHECKING:
    from wsa.leaderboard.view import Judged, SuiteView

NOTHING = "Nothing has been measured yet."
_WHEN = {"unpruned": "before pruning", "pruned": "after pruning"}


@dataclass(frozen=True)
class Headline:
    """What a reader with thirty seconds takes away.

    Attributes:
        title: the answer to the question, as far as there is one.
        sentences: what was measured beside it.
    """

    title: str
    sentences: Sequence[str]


def asked(views: Sequence[SuiteView]) -> SuiteView | None:
    """The suite whose values were claimed; None where no shown suite has claimed values."""
    return next((view for view in views if view.claims_apply), None)


def leading(views: Sequence[SuiteView]) -> SuiteView | None:
    """The suite to show first: the question's own where it is measured, else the first measured."""
    measured = [view for view in views if view.entries]
    return next((view for view in measured if view.claims_apply), next(iter(measured), None))


def headline(views: Sequence[SuiteView], question: str) -> Headline:
    """The headline of `views`; `question` is its title where no value was claimed."""
    own, first = asked(views), leading(views)
    sentences = [*_order(first), *_pruning(first)] if first else [NOTHING]
    if first and first is not own:
        where = f"With {first.suite.model.title}{_size(first)} on {_within(first.suite.data.title)}"
        sentences[:1] = [f"{where}, {sentences[0]}" if sentences else f"{where} was measured."]
    return Headline(_value(own) if own else question, [_begun(text) for text in sentences])


def _value(view: SuiteView) -> str:
    """What became of the first claimed value."""
    several = next(of for of in view.claims if of[0].claim.kind == "value")
    claim, suite = several[0].claim, view.suite
    claimed = f"{claim.expected:g}{' %' if view.metric.unit == '%' else ''}"
    if not view.measured:
        return f"{claimed} is untested: {suite.model.title} has not been run on {suite.data.title}."
    found = [_judged_value(view, one) for one in several]
    return f"{claimed} for {short(suite, claim.method)} is {' and '.join(found)}."


def _judged_value(view: SuiteView, one: Judged) -> str:
    state = one.judgement.state if one.judgement else None
    row = view.entry(one.claim.method, state or "unpruned")
    if row is None:
        return one.verdict
    label = f" {row.state_label}" if row.state_label else ""
    std = f" ± {score(row.std, view.metric)}" if row.std is not None else ""
    unit = " %" if view.metric.unit == "%" else ""
    return f"{one.verdict}{label} ({score(row.mean, view.metric)}{std}{unit}, n = {row.n})"


def _order(view: SuiteView) -> list[str]:
    """What became of the suite's first claim that one method is better than another."""
    several = next((of for of in view.claims if of[0].claim.kind == "order"), [])
    one = next(
        (one for one in several if one.judgement and one.judgement.estimate is not None), None
    )
    if one is None:
        return []
    found, claim, metric = one.judgement, one.claim, view.metric
    better, worse = short(view.suite, claim.better), short(view.suite, claim.worse)
    difference = change(found.estimate, metric)
    if metric.difference_unit:
        difference += f" {metric.difference_unit}"
    if found.interval:
        difference += f", 95 % interval {change(found.interval.low, metric)} to "
        difference += change(found.interval.high, metric)
    ahead = gain(found.estimate, metric) >= 0
    side = f"the lead of {better} over {worse}" if ahead else f"the lag of {better} behind {worse}"
    said = {
        "supported": f"{better} is better than {worse}",
        "contradicted": f"{better} is worse than {worse}",
    }.get(found.verdict, f"{side} is {found.verdict}")
    when = f"{_WHEN[found.state]}, " if view.suite.method(claim.better).gated else ""
    return [f"{when}{said} ({difference})."]


def _pruning(view: SuiteView) -> list[str]:
    """What pruning does to the method that the claims are about, and to the one that keeps most."""
    gated = [e.name for e in view.entries if e.state == "pruned" and view.entry(e.name, "unpruned")]
    about = [name for claim in view.suite.claims for name in claim.methods_named()]
    gated = sorted(gated, key=lambda name: about.index(name) if name in about else len(about))
    if not gated:
        return []
    own, *others = gated
    kept = {name: gain(view.entry(name, "pruned").mean, view.metric) for name in gated}
    best = [name for name in others if kept[name] == max(kept.values())]
    return [_pruned(view, name) for name in (own, *best[:1])]


def _pruned(view: SuiteView, name: str) -> str:
    """What pruning does to one method, and why where the records know it."""
    before, after = view.entry(name, "unpruned"), view.entry(name, "pruned")
    ranks = [run.result.rank for run in after.runs if run.result.rank]
    title, initial = short(view.suite, name), view.suite.method(name).rank
    left, effect = after.effective_rank, _effect(before, after)
    why = unreachable(view.suite.method(name), ranks) if ranks and left in (0, initial) else ""
    cause = f", because {why}," if why else ""
    if not left:
        return f"pruning removes every direction of {title}{cause} and {effect}."
    if left == initial:
        return f"pruning removes no direction of {title}{cause} and {effect}."
    return f"{title} keeps {decimals(left)} of {initial} directions, and pruning {effect}."


def _effect(before: Entry, after: Entry) -> str:
    """What a change of the headline metric means."""
    metric = after.metric
    better = gain(after.mean - before.mean, metric)
    size = score(abs(better), metric)
    if size == score(0, metric):
        return f"leaves its {metric.title} as it was"
    if metric.difference_unit == "points":
        return f"{'gains' if better > 0 else 'costs'} {size} points"
    return f"{'improves' if better > 0 else 'worsens'} its {metric.title} by {size}"


def short(suite: Suite, name: str) -> str:
    """A method's title up to its first comma, where no other method's begins alike."""
    begin = suite.method(name).title.partition(",")[0]
    alike = [m for m in suite.methods.values() if m.title.partition(",")[0] == begin]
    return begin if len(alike) == 1 else suite.method(name).title


def _size(view: SuiteView) -> str:
    """The size of the model, as its smallest run counted it."""
    totals = [run.result.parameters.total for run in view.results.all_runs]
    counted = [total for total in totals if total]  # a control without a model has none
    return f" ({count(min(counted))} parameters)" if counted else ""


def _within(title: str) -> str:
    """A title inside a sentence: 'Rated tweets' becomes 'rated tweets', and 'SST-2' stays."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
