"""Do verdicts keep their promise in worlds whose truth is known?"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from wsa.evidence import calibration, worlds
from wsa.evidence.calibration import KINDS, calibrate, published, simulate
from wsa.records.evidence import Calibration
from wsa.records.record import read_record

LEVEL = 0.05


def _unlikely_above(rate, level=LEVEL):
    """Whether a true rate of `level` would hardly ever show as many events (1 in 10,000)."""
    return stats.binom.sf(rate.count - 1, rate.worlds, level) < 1e-4


def _check(found: Calibration):
    """No row's rate of wrong verdicts is, beyond chance, above the level."""
    assert found.rows
    for row in found.rows:
        assert not _unlikely_above(row.wrong), row
        if row.any_wrong is not None:
            assert not _unlikely_above(row.any_wrong), row
        assert row.supported.count + row.contradicted.count <= row.supported.worlds


def test_simulated_worlds_have_the_accuracy_they_were_asked_for():
    rng = np.random.default_rng(0)
    for kind in KINDS[:5]:
        worlds = simulate(kind, 400, 2, 3, rng)
        right = worlds.right([0.94, 0.92])
        error = 4 * right.mean((2, 3)).std(1) / 20
        assert np.all(np.abs(right.mean((1, 2, 3)) - [0.94, 0.92]) < error)
        on_these = worlds.accuracy_on_these(0.94)
        assert abs(on_these.mean() - right[0].mean()) < error[0]


def test_seeds_vary_by_what_the_kind_of_world_says():
    """Between seeds, on the latent scale turned into accuracy, beside the noise of sentences."""
    rng = np.random.default_rng(1)
    for kind in (KINDS[0], KINDS[4]):
        quiet = dataclasses.replace(kind, seed_std=0.0)
        spread = [
            simulate(k, 600, 1, 5, rng).right([k.accuracy])[0].mean(-1).var(-1, ddof=1).mean()
            for k in (kind, quiet)
        ]
        assert (spread[0] - spread[1]) ** 0.5 == pytest.approx(kind.seed_std, rel=0.35)


@pytest.mark.parametrize("kind", worlds.KINDS, ids=lambda kind: kind.name)
def test_worlds_of_other_metrics_have_the_values_they_were_asked_for(kind):
    """Against the libraries' metrics; a bias of one sample, as of F1, is small against noise."""
    rng = np.random.default_rng(2)
    better = 1 if kind.metric.greater_is_better else -1
    apart = better * (kind.differences[-1] or 1.0)
    values = [kind.value + apart, kind.value]
    labels, predict = worlds.simulate(kind, 60, 2, 3, rng)
    measured = (
        np.array(
            [
                [
                    np.mean([kind.metric.value(y, seed, kind.classes) for seed in seeds])
                    for y, seeds in zip(labels, of_method, strict=True)
                ]
                for of_method in predict(values)
            ]
        )
        * kind.metric.scale
    )
    error = measured.std(1) / np.sqrt(len(labels))
    assert np.all(np.abs(measured.mean(1) - values) < 4.5 * error)
    paired = measured[0] - measured[1]
    assert abs(paired.mean() - apart) < 4.5 * paired.std() / np.sqrt(len(labels))


@pytest.mark.parametrize("kind", [worlds.KINDS[0], worlds.KINDS[4]], ids=lambda kind: kind.name)
def test_seeds_of_other_metrics_vary_by_what_the_world_says(kind):
    """Beside the noise of sentences, which is that of a world without luck."""
    quiet = dataclasses.replace(kind, luck=0.0, lean=0.0)
    spread = []
    for own in (kind, quiet):
        labels, predict = worlds.simulate(own, 150, 1, 4, np.random.default_rng(3))
        (said,) = predict([own.value])
        each = np.ones((1, labels.shape[1]), np.float32)
        values = [
            own.metric.resampled(y, seeds, each, own.classes)[:, 0]
            for y, seeds in zip(labels, said, strict=True)
        ]
        spread.append((own.metric.scale**2) * np.var(values, axis=1, ddof=1).mean())
    assert (spread[0] - spread[1]) ** 0.5 == pytest.approx(kind.seed_std(), rel=0.3)
    assert quiet.seed_std() == pytest.approx(0, abs=1e-5)


def test_few_worlds_show_no_fault(tmp_path):
    """The whole calibration, small; the level of every row, as far as few worlds can tell."""
    path = tmp_path / "calibration.json"
    found = calibrate(path, worlds=60, seed=1)
    assert read_record(path, Calibration) == found
    _check(found)
    kinds = {"order", "equivalent", "value", "effective_rank"}
    assert {row.claim for row in found.rows} == kinds
    assert {row.seeds for row in found.rows} == {3, 5}
    metrics = {"accuracy", "f1", "matthews", "pearson", "spearman", "mean_squared_error"}
    assert {row.metric for row in found.rows} == metrics
    assert {world.name for world in found.worlds} == {row.world for row in found.rows} - {
        "36 modules of rank 16"
    }


def test_a_judge_that_is_too_bold_would_be_caught(tmp_path, monkeypatch):
    """The same check fails for the bootstrap's percentiles: it can fail."""
    monkeypatch.setattr(calibration, "SEEDS", (3,))
    monkeypatch.setattr(calibration, "KINDS", KINDS[4:5])
    monkeypatch.setattr(worlds, "KINDS", ())
    found = calibrate(tmp_path / "calibration.json", worlds=500)
    (row,) = [row for row in found.rows if row.claim == "order"]
    assert _unlikely_above(row.bootstrap_wrong) and not _unlikely_above(row.wrong)


def test_the_published_calibration_is_large_and_within_its_bounds():
    found = published()
    rates = {row.metric: row.wrong.worlds for row in found.rows}
    assert min(rates.values()) >= 500 and rates["f1"] >= 2000
    assert found.worlds_per_row >= 10_000
    _check(found)
    power = {
        (row.world, row.seeds, row.truth): row.supported.rate
        for row in found.rows
        if row.claim == "order"
    }
    for seeds in (3, 5):
        rates = [power["usual", seeds, points] for points in (0.0, 0.3, 0.6, 1.0, 2.0)]
        assert rates == sorted(rates)


def test_the_published_file_is_a_row_a_line():
    lines = Path(calibration.__file__).with_name("calibration.json").read_text().splitlines()
    found = published()  # its seal fits
    assert len(lines) <= len(found.rows) + len(found.worlds) + 20


@pytest.mark.slow
def test_ten_thousand_worlds_give_the_published_table(tmp_path, monkeypatch):
    """The table was made by the engine as it is now: made anew, every count is the same.

    Ranks of drawn sentences take a quarter of an hour: two worlds of them stand for all.
    """
    few = [
        dataclasses.replace(kind, one_in=5_000) if kind.judged_by == "spearman" else kind
        for kind in worlds.KINDS
    ]
    monkeypatch.setattr(worlds, "KINDS", tuple(few))
    found = calibrate(tmp_path / "calibration.json", worlds=10_000, seed=0)
    _check(found)
    others = [
        [row for row in rows if row.metric != "spearman"] for rows in (found.rows, published().rows)
    ]
    assert others[0] == others[1]
