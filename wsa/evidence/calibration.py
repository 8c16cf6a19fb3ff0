"""Whether the verdicts can be trusted: the engine against simulated worlds of known truth.

A world is a suite's worth of runs. Whether method m with seed k classifies sentence j correctly
is decided by a probit model,

    correct = [skill_m + difficulty_j + taste_mj + luck_mk + ε_mkj > 0],   ε ~ N(0, 1),

with difficulty shared by all methods, taste a method's own, luck a seed's, part of it shared by
the methods because seed k gives them the same order of data and the same head. All are normal, so
the true accuracy is Φ(skill / √(1 + Σ variances)), and a true difference can be set exactly.
Worlds go through `statistics.decide` and `statistics.judge_region`, as a suite does. Metrics that
are no accuracy have worlds of their own (`worlds`), which go through a suite's `Measure`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import itertools
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy.special import ndtr, ndtri

from wsa.evidence import bootstrap
from wsa.evidence import worlds as other_metrics
from wsa.evidence.measure import Measure, Predictions
from wsa.evidence.statistics import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    decide,
    decide_equivalence,
    difference,
    judge_region,
    one_way,
    stacked,
    two_way,
)
from wsa.evidence.worlds import MetricKind
from wsa.files import write_json_rows
from wsa.records.evidence import Calibration, CalibrationRow, Interval, Rate, World
from wsa.records.record import read_record, sealed

SENTENCES = 872  # of SST-2's validation set, and of the embedded data set's
SEEDS = (3, 5)
DIFFERENCES = (0.0, 0.3, 0.6, 1.0, 2.0)  # points
EQUIVALENCE_MARGIN = 2.0  # points: with 0.5, five seeds and 872 sentences decide nothing
APART = (0.0, 1.0, 2.0, 4.0)  # points between two methods; on the border they count as too far
VALUE_MARGIN = 0.3  # points
VALUE_OFFSETS = (0.0, 0.3, 0.6, 1.0)  # points from the claimed accuracy
RANK_LOW, RANK_HIGH = 6.0, 7.0
RANKS = (6.5, 7.0, 7.5, 8.0)
_CLAIMS = ("order", "equivalent", "value", "effective_rank")
_BATCH = 250  # worlds at a time
_RANKS_STREAM = 76  # of the generator; worlds of sentences have those below, other metrics' above
_BOOTSTRAP_RESAMPLES = 1000
_UNITS = (("a", "unpruned"), ("b", "unpruned"), ("c", "unpruned"))


@dataclass(frozen=True)
class Kind:
    """A kind of world. Standard deviations of the latent scale, whose noise ε has 1."""

    name: str
    description: str
    accuracy: float  # fraction
    seed_std: float  # of a method's accuracy over seeds, as a fraction
    difficulty: float
    taste: float
    shared_luck: float = 0.5  # share of the luck's variance that all methods have in common
    heavy_tails: bool = False  # luck from Student's t(3) instead of a normal distribution

    @property
    def luck(self) -> float:
        """The seeds' standard deviation on the latent scale, to first order in `seed_std`."""
        scale = np.sqrt(1 + self.difficulty**2 + self.taste**2)
        slope = np.exp(-(ndtri(self.accuracy) ** 2) / 2) / np.sqrt(2 * np.pi) / scale
        return float(self.seed_std / slope)

    def skill(self, accuracies: Float[np.ndarray, "*m"]) -> Float[np.ndarray, "*m"]:
        """The skills that give these true accuracies."""
        variance = 1 + self.difficulty**2 + self.taste**2 + self.luck**2
        return ndtri(accuracies) * np.sqrt(variance)


KINDS = (
    Kind("usual", "94 %, seeds vary by 0.3 points", 0.94, 0.003, 6.0, 1.5),
    Kind("weaker model", "84 %, seeds vary by 0.5 points", 0.84, 0.005, 5.0, 1.5),
    Kind("close methods", "94 %, methods err on nearly the same sentences", 0.94, 0.003, 6.0, 0.5),
    Kind("no seed effect", "94 %, seeds alike but for noise", 0.94, 0.0, 6.0, 1.5),
    Kind("strong seed effect", "94 %, seeds vary by 1.5 points", 0.94, 0.015, 6.0, 1.5, 0.0),
    Kind(
        "rare bad seeds", "94 %, seeds vary by 1 point, heavy-tailed", 0.94, 0.01, 6.0, 1.5, 0.0,
        heavy_tails=True,
    ),
)  # fmt: skip
_POWER_KINDS = ("usual", "weaker model", "close methods")  # the others: the level alone


def calibrate(output: Path, worlds: int = 10_000, seed: int = 0) -> Calibration:
    """Simulate `worlds` worlds of each kind, judge them and write the `Calibration`.

    Args:
        output: the JSON file to write.
        worlds: for each row of an accuracy, a fifth of them for one of another metric; rows of
            one kind of world share them. 10,000 take about 20 minutes on one core, most of them
            for the ranks of drawn sentences.
        seed: of the simulation.
    """
    rows = [
        row
        for number, (kind, seeds) in enumerate(itertools.product(KINDS, SEEDS))
        for row in _judge_worlds(kind, seeds, worlds, np.random.default_rng([seed, number]))
    ]
    rng = np.random.default_rng([seed, _RANKS_STREAM])
    rows += [_rank_row(seeds, rank, worlds, rng) for seeds, rank in itertools.product(SEEDS, RANKS)]
    described = [_describe(kind, rng) for kind in KINDS]
    rows.sort(key=lambda row: _CLAIMS.index(row.claim))
    for number, kind in enumerate(other_metrics.KINDS):
        for seeds in SEEDS:
            own = np.random.default_rng([seed, 1000 + number, seeds])
            rows += _judge_metric(kind, seeds, max(worlds // kind.one_in, 2), own)
        described.append(_describe_metric(kind, np.random.default_rng([seed, 1000 + number])))
    calibration = Calibration(
        command=f"wsa calibrate {output} --worlds {worlds} --seed {seed}",
        worlds_per_row=worlds,
        resamples=_BOOTSTRAP_RESAMPLES,
        seed=seed,
        sentences=SENTENCES,
        value_margin=VALUE_MARGIN,
        equivalence_margin=EQUIVALENCE_MARGIN,
        rank_interval=Interval(low=RANK_LOW, high=RANK_HIGH),
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("numpy", "scipy")},
        worlds=tuple(described),
        rows=tuple(rows),
    )
    write_json_rows(output, sealed(calibration))
    return calibration


def published() -> Calibration:
    """The calibration that comes with the package, measured with 10,000 worlds a row."""
    with importlib.resources.as_file(
        importlib.resources.files("wsa.evidence") / "calibration.json"
    ) as path:
        return read_record(path, Calibration)


# --- simulation ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worlds:
    """Simulated suites: who would be right about what, at any accuracies one asks for.

    Attributes:
        kind: what kind of worlds.
        sentences: difficulty and taste.
        latent: with luck and noise.
    """

    kind: Kind
    sentences: Float[np.ndarray, "worlds m 1 n"]
    latent: Float[np.ndarray, "worlds m seeds n"]

    def right(self, accuracies: list[float]) -> Bool[np.ndarray, "m worlds seeds n"]:
        """Which sentences are classified correctly by methods of these true accuracies."""
        thresholds = -self.kind.skill(np.array(accuracies)).astype(np.float32)
        return np.stack([self.latent[:, m] > threshold for m, threshold in enumerate(thresholds)])

    def accuracy_on_these(self, accuracy: float) -> Float[np.ndarray, " worlds"]:
        """The first method's true accuracy over all seeds, on each world's own sentences."""
        latent = self.sentences[:, 0, 0] + self.kind.skill(np.array(accuracy))
        return ndtr(latent / np.sqrt(1 + self.kind.luck**2)).mean(-1)


def simulate(kind: Kind, worlds: int, methods: int, seeds: int, rng: np.random.Generator) -> Worlds:
    """`worlds` suites of one kind, with `SENTENCES` sentences each."""

    def normal(*size: int) -> np.ndarray:
        return rng.standard_normal(size, dtype=np.float32)

    sentences = np.float32(kind.taste) * normal(worlds, methods, 1, SENTENCES)
    sentences += np.float32(kind.difficulty) * normal(worlds, 1, 1, SENTENCES)
    if kind.heavy_tails:
        luck = rng.standard_t(3, (worlds, methods, seeds, 1)) / np.sqrt(3)
    else:
        luck = np.sqrt(1 - kind.shared_luck) * normal(worlds, methods, seeds, 1)
        luck += np.sqrt(kind.shared_luck) * normal(worlds, 1, seeds, 1)
    latent = normal(worlds, methods, seeds, SENTENCES)
    latent += (kind.luck * luck).astype(np.float32)
    latent += sentences
    return Worlds(kind, sentences, latent)


# --- judging -------------------------------------------------------------------------------------


def _judge_worlds(
    kind: Kind, seeds: int, worlds: int, rng: np.random.Generator
) -> list[CalibrationRow]:
    """The rows of one kind of world: its claims of order, of equivalence and of values."""
    apart = [
        points for points in APART if kind.name in _POWER_KINDS or points in (0, EQUIVALENCE_MARGIN)
    ]
    alike: dict[float, list[np.ndarray]] = {points: [] for points in apart}
    differences = DIFFERENCES if kind.name in _POWER_KINDS else (0.0,)
    offsets = () if kind.heavy_tails else VALUE_OFFSETS
    orders: dict[float, list[np.ndarray]] = {points: [] for points in differences}
    values: dict[float, list[np.ndarray]] = {offset: [] for offset in offsets}
    bootstrap = 0
    for start in range(0, worlds, _BATCH):
        these = simulate(kind, min(_BATCH, worlds - start), 3, seeds, rng)
        for points in differences:
            step = points / 100
            a, b, c = these.right([kind.accuracy + step, kind.accuracy, kind.accuracy - step])
            orders[points].append(decide([difference(a, b), difference(b, c)]).codes)
            if points == 0:
                bootstrap += int(_bootstrap_decides(a, b).sum())
        for points in apart:
            a, b, c = these.right(
                [kind.accuracy, kind.accuracy - points / 100, kind.accuracy - 2 * points / 100]
            )
            margins = [EQUIVALENCE_MARGIN / 100] * 2
            alike[points].append(
                decide_equivalence([difference(a, b), difference(b, c)], margins).codes
            )
        if offsets:
            right = these.right([kind.accuracy])[0].astype(np.int8)
            own = two_way(right).on_these_sentences().times(100)
            off = own.mean - 100 * these.accuracy_on_these(kind.accuracy)
        for offset in offsets:
            # as seen from the claim: it says 0, and the accuracy lies `offset` above it
            seen = replace(own, mean=off + offset)
            values[offset].append(judge_region(seen, -VALUE_MARGIN, VALUE_MARGIN))
    return [
        *(
            _order_row(kind, seeds, points, np.concatenate(codes), bootstrap)
            for points, codes in orders.items()
        ),
        *(
            _alike_row(kind, seeds, points, np.concatenate(codes))
            for points, codes in alike.items()
        ),
        *(
            _region_row(
                "value", kind.name, seeds, offset, offset <= VALUE_MARGIN, np.concatenate(codes)
            )
            for offset, codes in values.items()
        ),
    ]


def _order_row(
    kind: Kind | MetricKind,
    seeds: int,
    points: float,
    codes: Int[np.ndarray, "worlds 2"],
    bootstrap: int,
    metric: str = "accuracy",
) -> CalibrationRow:
    """Two claims judged together, each `points` from equality; the first is counted by itself."""
    worlds, first = len(codes), codes[:, 0]
    wrong = codes == CONTRADICTED if points else codes != UNDECIDED
    return CalibrationRow(
        claim="order",
        metric=metric,
        world=kind.name,
        seeds=seeds,
        truth=points,
        true=True if points else None,
        supported=_rate((first == SUPPORTED).sum(), worlds),
        contradicted=_rate((first == CONTRADICTED).sum(), worlds),
        wrong=_rate(wrong[:, 0].sum(), worlds),
        any_wrong=_rate(wrong.any(-1).sum(), worlds),
        bootstrap_wrong=None if points else _rate(bootstrap, worlds),
    )


def _alike_row(
    kind: Kind, seeds: int, points: float, codes: Int[np.ndarray, "worlds 2"]
) -> CalibrationRow:
    """Two claims judged together, of methods `points` apart; the first is counted by itself."""
    worlds, first, true = len(codes), codes[:, 0], points < EQUIVALENCE_MARGIN
    wrong = codes == (CONTRADICTED if true else SUPPORTED)
    return CalibrationRow(
        claim="equivalent",
        world=kind.name,
        seeds=seeds,
        truth=points,
        true=true,
        supported=_rate((first == SUPPORTED).sum(), worlds),
        contradicted=_rate((first == CONTRADICTED).sum(), worlds),
        wrong=_rate(wrong[:, 0].sum(), worlds),
        any_wrong=_rate(wrong.any(-1).sum(), worlds),
    )


def _bootstrap_decides(
    a: Bool[np.ndarray, "worlds k n"], b: Bool[np.ndarray, "worlds k n"]
) -> Bool[np.ndarray, " worlds"]:
    """Whether the two-way bootstrap's interval leaves zero out."""
    (weights,) = bootstrap.sentence_weights(a.shape[-1], _BOOTSTRAP_RESAMPLES)
    net = a.astype(np.float32) - b.astype(np.float32)
    low, high = bootstrap.percentiles(bootstrap.over_seeds(net @ weights.T)[0])
    return (low > 0) | (high < 0)


def _judge_metric(
    kind: MetricKind, seeds: int, worlds: int, rng: np.random.Generator
) -> list[CalibrationRow]:
    """The rows of one kind of world whose metric is no accuracy: its order claims."""
    codes: dict[float, list[np.ndarray]] = {difference: [] for difference in kind.differences}
    bootstrap_decides = 0
    sign = 1 if kind.metric.greater_is_better else -1
    for start in range(0, worlds, _BATCH):
        labels, predict = other_metrics.simulate(kind, min(_BATCH, worlds - start), 3, seeds, rng)
        for apart in kind.differences:
            said = predict([kind.value + sign * step * apart for step in (1, 0, -1)])
            suites = [_suite(kind, labels[world], said[:, world]) for world in range(len(labels))]
            spreads = [
                stacked([suite.difference(*pair, tuple(range(seeds))) for suite in suites])
                for pair in (_UNITS[:2], _UNITS[1:])
            ]
            codes[apart].append(decide(spreads, sign).codes)
            if apart == 0:
                bootstrap_decides += sum(_percentiles_decide(suite, seeds) for suite in suites)
    return [
        _order_row(kind, seeds, apart, np.concatenate(found), bootstrap_decides, kind.judged_by)
        for apart, found in codes.items()
    ]


def _suite(kind: MetricKind, labels, said: Num[np.ndarray, "m k n"]) -> Measure:
    """Three methods of one world, as a suite holds them."""
    by_run = {name: dict(enumerate(own)) for name, own in zip(_UNITS, said, strict=True)}
    return Measure(kind.metric, Predictions(labels, by_run), kind.classes, _BOOTSTRAP_RESAMPLES)


def _percentiles_decide(suite: Measure, seeds: int) -> bool:
    a, b = (suite.draws(unit, tuple(range(seeds))) for unit in _UNITS[:2])
    low, high = bootstrap.percentiles(bootstrap.over_seeds(a - b)[0])
    return bool(low > 0 or high < 0)


def _describe_metric(kind: MetricKind, rng: np.random.Generator) -> World:
    seeds = methods = None
    if kind.classes:
        _, predict = other_metrics.simulate(kind, 2 * _BATCH, 2, 2, rng)
        said = predict([kind.value, kind.value])
        seeds = float(100 * (said[0, :, 0] != said[0, :, 1]).mean())
        methods = float(100 * (said[0] != said[1]).mean())
    return World(
        name=kind.name,
        description=kind.description,
        metric=kind.judged_by,
        accuracy=kind.value,
        seed_std=kind.seed_std(),
        seed_disagreement=seeds,
        method_disagreement=methods,
    )


def _rank_row(seeds: int, rank: float, worlds: int, rng: np.random.Generator) -> CalibrationRow:
    """36 modules of 16 directions, of which `rank` are kept on average; seeds vary by 0.3."""
    modules, initial = 36, 16
    of_modules = rng.uniform(0.5, 1.5, modules)
    of_seeds = rank + 0.3 * rng.standard_normal((worlds, seeds, 1))
    share = np.clip(of_seeds * of_modules / of_modules.mean() / initial, 0, 1)
    effective = rng.binomial(initial, share).mean(-1)
    codes = judge_region(one_way(effective, step=1 / modules), RANK_LOW, RANK_HIGH)
    true = RANK_LOW <= rank <= RANK_HIGH
    return _region_row("effective_rank", "36 modules of rank 16", seeds, rank, true, codes)


def _region_row(claim, world: str, seeds: int, truth: float, true: bool, codes) -> CalibrationRow:
    supported, contradicted = (codes == SUPPORTED).sum(), (codes == CONTRADICTED).sum()
    return CalibrationRow(
        claim=claim,
        world=world,
        seeds=seeds,
        truth=truth,
        true=true,
        supported=_rate(supported, len(codes)),
        contradicted=_rate(contradicted, len(codes)),
        wrong=_rate(contradicted if true else supported, len(codes)),
    )


def _rate(count: int, worlds: int) -> Rate:
    rate = int(count) / worlds
    error = float(np.sqrt(rate * (1 - rate) / worlds))
    return Rate(count=int(count), worlds=worlds, rate=rate, standard_error=error)


def _describe(kind: Kind, rng: np.random.Generator) -> World:
    right = simulate(kind, 2 * _BATCH, 2, 2, rng).right([kind.accuracy, kind.accuracy])
    return World(
        name=kind.name,
        description=kind.description,
        accuracy=100 * kind.accuracy,
        seed_std=100 * kind.seed_std,
        seed_disagreement=float(100 * (right[0, :, 0] != right[0, :, 1]).mean()),
        method_disagreement=float(100 * (right[0] != right[1]).mean()),
    )
