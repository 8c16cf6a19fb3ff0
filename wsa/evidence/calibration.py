"""Whether the verdicts can be trusted: the engine against simulated worlds of known truth.

Worlds of accuracies (`accuracies`) go through `statistics.decide`, `decide_equivalence` and
`judge_region`, as a suite does; those of other metrics (`worlds`) through a suite's `Measure`. The
seeds of a world come one after another: it is judged at each of `statistics.LOOKS`, and a world
counts as wrongly judged if a single look was wrong.

Beside the engine stands the linear mixed model, estimated by restricted maximum likelihood with
variances that are not negative and tested with Satterthwaite's degrees of freedom, in the closed
form that balanced data allow; it is looked at as often, and pays nothing for it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import platform
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import stats

from wsa.evidence import bootstrap
from wsa.evidence import worlds as other_metrics
from wsa.evidence.accuracies import KINDS, SENTENCES, Kind, Worlds, simulate
from wsa.evidence.measure import Measure, Predictions
from wsa.evidence.statistics import (
    CONTRADICTED,
    LOOKS,
    SUPPORTED,
    TwoWay,
    decide,
    decide_equivalence,
    difference,
    judge_order,
    judge_region,
    one_way,
    proportion_interval,
    stacked,
    two_way,
)
from wsa.evidence.worlds import MetricKind
from wsa.files import file_path, write_json_rows
from wsa.records.evidence import Calibration, CalibrationRow, Interval, Rate, World
from wsa.records.record import read_record, sealed

DIFFERENCES = (0.0, 0.3, 0.6, 1.0, 2.0)  # points
EQUIVALENCE_MARGIN = 2.0  # points: with 0.5, five seeds and 872 sentences decide nothing
APART = (0.0, 1.0, 2.0, 4.0)  # points between two methods
VALUE_MARGIN = 0.3  # points
VALUE_OFFSETS = (0.0, 0.3, 0.6, 1.0)  # points from the claimed accuracy
RANK_LOW, RANK_HIGH = 6.0, 7.0
RANKS = (6.5, 7.0, 7.5, 8.0)
INTERVAL_SEEDS = (2, 3, 5, 10)
BOOTSTRAP_SEEDS = (3, 5)  # more take long, and say nothing new
_CLAIMS = ("order", "equivalent", "value", "effective_rank", "interval", "interval_seeds")
_CELLS = 15_000_000  # of worlds that are simulated at a time
_RANKS_STREAM = 76  # of the generator; worlds of sentences have those below, other metrics' above
_BOOTSTRAP_RESAMPLES = 1000
_BOOTSTRAP_ONE_IN = 5  # of the worlds of accuracies: it takes as long as all else
_UNITS = (("a", "unpruned"), ("b", "unpruned"), ("c", "unpruned"))

Codes = Int[np.ndarray, "looks worlds claims"]


def calibrate(output: Path, worlds: int = 10_000, seed: int = 0) -> Calibration:
    """Simulate `worlds` worlds of each kind, judge them and write the `Calibration`.

    Args:
        output: the JSON file to write.
        worlds: for each row, fewer for what takes long; rows of one kind of world share them.
            10,000 take about 16 minutes of one quiet core.
        seed: of the simulation.

    Raises:
        InputError: no file can be written there; before anything is simulated.
    """
    output = file_path(output)
    rows = [
        row
        for number, kind in enumerate(KINDS)
        for row in _judge_kind(kind, worlds, np.random.default_rng([seed, number]))
    ]
    rng = np.random.default_rng([seed, _RANKS_STREAM])
    rows += [row for rank in RANKS for row in _rank_rows(rank, worlds, rng)]
    described = [_describe(kind, rng) for kind in KINDS]
    rows.sort(key=lambda row: _CLAIMS.index(row.claim))
    for number, kind in enumerate(other_metrics.KINDS):
        own = np.random.default_rng([seed, 1000 + number])
        rows += _judge_metric(kind, max(worlds // kind.one_in, 2), own)
        described.append(_describe_metric(kind, own))
    calibration = Calibration(
        command=f"wsa calibrate {output} --worlds {worlds} --seed {seed}",
        worlds_per_row=worlds,
        resamples=_BOOTSTRAP_RESAMPLES,
        seed=seed,
        sentences=SENTENCES,
        looks=LOOKS,
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
    """The calibration that comes with the package."""
    with importlib.resources.as_file(
        importlib.resources.files("wsa.evidence") / "calibration.json"
    ) as path:
        return read_record(path, Calibration)


def mixed_model_p(spread: TwoWay) -> Float[np.ndarray, "*many"]:
    """The linear mixed model's two-sided p-value, that the true mean is zero.

    For balanced data without a variance at its border, restricted maximum likelihood gives the
    estimates of the analysis of variance; where the seeds' would be negative they drop out of the
    model, and the variance of the mean is that between sentences.
    """
    seeds, sentences = spread.seeds, spread.sentences
    without = spread.by_seed <= spread.rest
    of_sentences = spread.by_sentence + spread.rest
    variance = np.where(without, of_sentences, spread.variance)
    squares = (
        spread.by_seed**2 / (seeds - 1)
        + of_sentences**2 / (sentences - 1)
        + spread.rest**2 / ((seeds - 1) * (sentences - 1))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(without, sentences - 1, variance**2 / squares)
        t = np.abs(spread.mean) / np.sqrt(variance)
        p = 2 * stats.t.sf(t, freedom)
    return np.nan_to_num(p, nan=1.0)


# --- accuracies ----------------------------------------------------------------------------------


def _judge_kind(kind: Kind, worlds: int, rng: np.random.Generator) -> list[CalibrationRow]:
    """The rows of one kind of world: its claims and its intervals."""
    worlds = max(worlds // kind.one_in, 2)
    tables = _Tables(kind)
    batch = max(_CELLS // (3 * max(LOOKS) * kind.sentences), 1)
    for start in range(0, worlds, batch):
        tables.judge(simulate(kind, min(batch, worlds - start), 3, max(LOOKS), rng))
    return tables.rows()


class _Tables:
    """What became of the worlds of one kind, batch by batch."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.everywhere = all(ratio == 1 for ratio in kind.luck_of) and kind.tails == "normal"
        self.everywhere &= not any(kind.failing)
        self._found: dict[tuple[str, float], list[np.ndarray]] = {}
        self._bootstrap: dict[int, list[np.ndarray]] = {}

    def judge(self, these: Worlds) -> None:
        kind, middle = self.kind, self.kind.accuracy
        for points in DIFFERENCES if kind.power else (0.0,):
            step = points / 100
            a, b, c = these.right([middle + step, middle, middle - step])
            looks = [_spreads(a, b, c, seeds) for seeds in LOOKS]
            self._add("order", points, [_order_codes(pairs) for pairs in looks])
            if points == 0:
                some = -(-len(a) // _BOOTSTRAP_ONE_IN)
                for seeds in BOOTSTRAP_SEEDS if kind.sentences == SENTENCES else ():
                    decides = _bootstrap_decides(a[:some, :seeds], b[:some, :seeds])
                    self._bootstrap.setdefault(seeds, []).append(decides)
        for points in APART if kind.power else (EQUIVALENCE_MARGIN,):
            step = points / 100
            if middle - 2 * step <= 0.5:  # chance
                continue
            a, b, c = these.right([middle, middle - step, middle - 2 * step])
            looks = [_spreads(a, b, c, seeds) for seeds in LOOKS]
            self._add("equivalent", points, [_alike_codes(pairs) for pairs in looks])
        right = these.right([middle])[0].astype(np.int8)
        if self.everywhere:
            self._judge_values(these, right)
        if kind.intervals:
            self._judge_intervals(these, right)

    def _judge_values(self, these: Worlds, right: Int[np.ndarray, "worlds k n"]) -> None:
        truth = 100 * these.accuracy_on_these(self.kind.accuracy)
        owns = [two_way(right[:, :seeds]).on_these_sentences().times(100) for seeds in LOOKS]
        for offset in VALUE_OFFSETS if self.kind.power else (VALUE_MARGIN,):
            # as seen from the claim: it says 0, and the accuracy lies `offset` above it
            seen = [replace(own, mean=own.mean - truth + offset) for own in owns]
            codes = [judge_region(own, -VALUE_MARGIN, VALUE_MARGIN)[:, None] for own in seen]
            self._add("value", offset, codes)

    def _judge_intervals(self, these: Worlds, right: Int[np.ndarray, "worlds k n"]) -> None:
        truths = self.kind.accuracy, these.accuracy_on_these(self.kind.accuracy)
        covers: tuple[list, list] = [], []
        for seeds in INTERVAL_SEEDS:
            spread = two_way(right[:, :seeds]).once()
            both = proportion_interval(spread), spread.on_these_sentences().interval()
            for found, truth, (low, high) in zip(covers, truths, both, strict=True):
                inside = (np.maximum(low, 0) <= truth) & (truth <= np.minimum(high, 1))
                found.append(np.where(inside, SUPPORTED, CONTRADICTED)[:, None])
        for claim, found in zip(("interval", "interval_seeds"), covers, strict=True):
            self._add(claim, 100 * self.kind.accuracy, found)

    def _add(self, claim: str, truth: float, codes: Iterable[np.ndarray]) -> None:
        self._found.setdefault((claim, truth), []).append(np.stack(list(codes)))

    def rows(self) -> list[CalibrationRow]:
        rows = []
        for (claim, truth), batches in self._found.items():
            codes = np.concatenate(batches, axis=1)
            if claim.startswith("interval"):
                rows += _interval_rows(claim, self.kind, truth, codes)
                continue
            some = LOOKS if self.kind.power else LOOKS[:1] if claim == "order" else ()
            made = _rows(claim, self.kind.name, truth, _is_true(claim, truth), codes, LOOKS, some)
            if claim == "order" and truth == 0:
                made = [
                    row.model_copy(update={"bootstrap_wrong": self._bootstrap_wrong(row)})
                    for row in made
                ]
            rows += made
        return rows

    def _bootstrap_wrong(self, row: CalibrationRow) -> Rate | None:
        found = None if row.looks else self._bootstrap.get(row.seeds)
        return found and _rate(np.concatenate(found))


def _is_true(claim: str, truth: float) -> bool | None:
    """Is the claim true? On a border it counts as not; None: an order without a difference."""
    if claim == "order":
        return True if truth else None
    return truth < (EQUIVALENCE_MARGIN if claim == "equivalent" else VALUE_MARGIN)


def _spreads(a, b, c: Bool[np.ndarray, "worlds k n"], seeds: int) -> list[TwoWay]:
    """The differences of two claims that are judged together, after so many seeds."""
    a, b, c = (right[:, :seeds] for right in (a, b, c))
    return [difference(a, b), difference(b, c)]


def _order_codes(pairs: list[TwoWay], sign: int = 1) -> Int[np.ndarray, "worlds 5"]:
    """The first claim by itself, and both judged together; the first by one look, and by a mixed
    model.
    """
    first = pairs[0]
    tests = [
        judge_order(sign * first.mean, p) for p in (first.once().p_value(), mixed_model_p(first))
    ]
    return np.column_stack([decide(pairs[:1], sign).codes, decide(pairs, sign).codes, *tests])


def _alike_codes(pairs: list[TwoWay]) -> Int[np.ndarray, "worlds 3"]:
    """The first claim by itself, and both judged together."""
    margins = [EQUIVALENCE_MARGIN / 100] * 2
    both = decide_equivalence(pairs, margins).codes
    return np.column_stack([decide_equivalence(pairs[:1], margins[:1]).codes, both])


def _bootstrap_decides(
    a: Bool[np.ndarray, "worlds k n"], b: Bool[np.ndarray, "worlds k n"]
) -> Bool[np.ndarray, " worlds"]:
    """Whether the two-way bootstrap's interval leaves zero out."""
    (weights,) = bootstrap.sentence_weights(a.shape[-1], _BOOTSTRAP_RESAMPLES)
    net = a.astype(np.float32) - b.astype(np.float32)
    low, high = bootstrap.percentiles(bootstrap.over_seeds(net @ weights.T)[0])
    return (low > 0) | (high < 0)


# --- other metrics, and ranks --------------------------------------------------------------------


def _judge_metric(kind: MetricKind, worlds: int, rng: np.random.Generator) -> list[CalibrationRow]:
    """The rows of one kind of world whose metric is no accuracy: its order claims."""
    found: dict[float, list[Codes]] = {apart: [] for apart in kind.differences}
    decides: dict[int, list[np.ndarray]] = {seeds: [] for seeds in BOOTSTRAP_SEEDS}
    sign = 1 if kind.metric.greater_is_better else -1
    batch = max(_CELLS // (3 * max(kind.looks) * SENTENCES), 1)
    for start in range(0, worlds, batch):
        labels, predict = other_metrics.simulate(
            kind, min(batch, worlds - start), 3, max(kind.looks), rng
        )
        for apart in kind.differences:
            said = predict([kind.value + sign * step * apart for step in (1, 0, -1)])
            looks: list[list[np.ndarray]] = [[] for _ in kind.looks]
            for world in range(len(labels)):
                suite = _suite(kind, labels[world], said[:, world])
                for codes, seeds in zip(looks, kind.looks, strict=True):
                    some = tuple(range(seeds))
                    pairs = [suite.difference(*pair, some) for pair in (_UNITS[:2], _UNITS[1:])]
                    codes.append(_order_codes([stacked([pair]) for pair in pairs], sign))
                for seeds in BOOTSTRAP_SEEDS if apart == 0 else ():
                    decides[seeds].append(_percentiles_decide(suite, seeds))
            found[apart].append(np.stack([np.concatenate(codes) for codes in looks]))
    rows = []
    for apart, batches in found.items():
        codes = np.concatenate(batches, axis=1)
        true = _is_true("order", apart)
        rows += _rows("order", kind.name, apart, true, codes, kind.looks, kind.looks[:2],
                      kind.judged_by)  # fmt: skip
    return [
        row.model_copy(update={"bootstrap_wrong": _rate(np.array(decides[row.seeds]))})
        if row.truth == 0 and not row.looks
        else row
        for row in rows
    ]


def _suite(kind: MetricKind, labels, said: Num[np.ndarray, "m k n"]) -> Measure:
    """Three methods of one world, as a suite holds them."""
    by_run = {name: dict(enumerate(own)) for name, own in zip(_UNITS, said, strict=True)}
    return Measure(kind.metric, Predictions(labels, by_run), kind.classes, _BOOTSTRAP_RESAMPLES)


def _percentiles_decide(suite: Measure, seeds: int) -> bool:
    a, b = (suite.draws(unit, tuple(range(seeds))) for unit in _UNITS[:2])
    low, high = bootstrap.percentiles(bootstrap.over_seeds(a - b)[0])
    return bool(low > 0 or high < 0)


def _rank_rows(rank: float, worlds: int, rng: np.random.Generator) -> list[CalibrationRow]:
    """36 modules of 16 directions, of which `rank` are kept on average; seeds vary by 0.3."""
    modules, initial = 36, 16
    of_modules = rng.uniform(0.5, 1.5, modules)
    of_seeds = rank + 0.3 * rng.standard_normal((worlds, max(LOOKS), 1))
    share = np.clip(of_seeds * of_modules / of_modules.mean() / initial, 0, 1)
    effective = rng.binomial(initial, share).mean(-1)
    codes = [
        judge_region(one_way(effective[:, :seeds], step=1 / modules), RANK_LOW, RANK_HIGH)
        for seeds in LOOKS
    ]
    true = RANK_LOW <= rank < RANK_HIGH
    return _rows(
        "effective_rank", "36 modules of rank 16", rank, true, np.stack(codes)[..., None], LOOKS,
        LOOKS,
    )  # fmt: skip


# --- rows ----------------------------------------------------------------------------------------


def _rows(
    claim: str,
    world: str,
    truth: float,
    true: bool | None,
    codes: Codes,
    looks: tuple[int, ...],
    some: tuple[int, ...],
    metric: str = "accuracy",
) -> list[CalibrationRow]:
    """A row for `some` of the looks, and one for all of them together.

    Args:
        claim: its kind.
        world: its kind.
        truth: as a row has it.
        true: whether the claim is.
        codes: of the claim; of it and another, judged together; and by other tests.
        looks: seeds at each.
        some: of `looks`.
        metric: that the claim is about.
    """
    tables = [(seeds, (), codes[looks.index(seeds)][None]) for seeds in some]
    rows = []
    for seeds, together, own in [*tables, (max(looks), looks, codes)]:
        supported, contradicted = ((own == code).any(0) for code in (SUPPORTED, CONTRADICTED))
        decided = supported | contradicted
        wrong = decided if true is None else contradicted if true else supported
        of_test = decided if true is None else supported
        several, tests = own.shape[-1] > 1, own.shape[-1] > 3
        rows.append(
            CalibrationRow(
                claim=claim,
                metric=metric,
                world=world,
                seeds=seeds,
                looks=together,
                truth=truth,
                true=true,
                supported=_rate(supported[:, 0]),
                contradicted=_rate(contradicted[:, 0]),
                wrong=_rate(wrong[:, 0]),
                any_wrong=_rate(wrong[:, 1:3].any(-1)) if several else None,
                one_look=_rate(of_test[:, 3]) if tests else None,
                mixed_model=_rate(of_test[:, 4]) if tests else None,
            )
        )
    return rows


def _interval_rows(claim: str, kind: Kind, truth: float, codes: Codes) -> list[CalibrationRow]:
    """How often the interval of one method covers the truth: `supported`."""
    rows = []
    for seeds, own in zip(INTERVAL_SEEDS, codes[..., 0], strict=True):
        covers, misses = _rate(own == SUPPORTED), _rate(own == CONTRADICTED)
        rows.append(
            CalibrationRow(
                claim=claim, world=kind.name, seeds=seeds, truth=truth, true=True,
                supported=covers, contradicted=misses, wrong=misses,
            )
        )  # fmt: skip
    return rows


def _rate(happened: Bool[np.ndarray, " worlds"]) -> Rate:
    count, worlds = int(happened.sum()), len(happened)
    rate = count / worlds
    error = float(np.sqrt(rate * (1 - rate) / worlds))
    return Rate(count=count, worlds=worlds, rate=rate, standard_error=error)


def _describe(kind: Kind, rng: np.random.Generator) -> World:
    right = simulate(kind, 500, 2, 2, rng).right([kind.accuracy, kind.accuracy])
    return World(
        name=kind.name,
        description=kind.description,
        role=kind.role,
        sentences=kind.sentences,
        accuracy=100 * kind.accuracy,
        seed_std=100 * kind.seed_std,
        seed_disagreement=float(100 * (right[0, :, 0] != right[0, :, 1]).mean()),
        method_disagreement=float(100 * (right[0] != right[1]).mean()),
    )


def _describe_metric(kind: MetricKind, rng: np.random.Generator) -> World:
    seeds = methods = None
    if kind.classes:
        _, predict = other_metrics.simulate(kind, 500, 2, 2, rng)
        said = predict([kind.value, kind.value])
        seeds = float(100 * (said[0, :, 0] != said[0, :, 1]).mean())
        methods = float(100 * (said[0] != said[1]).mean())
    return World(
        name=kind.name,
        description=kind.description,
        role="confirmed",
        metric=kind.judged_by,
        accuracy=kind.value,
        seed_std=kind.seed_std(),
        seed_disagreement=seeds,
        method_disagreement=methods,
    )
