"""Accuracy against τ: the suite's own threshold gives the run's own pruned accuracy."""

from dataclasses import replace

import pytest
from wsa.errors import InputError
from wsa.records.record import read_record
from wsa.records.run import Result
from wsa.stages import thresholds


def test_the_sweep_passes_through_the_run_as_it_was_evaluated(finished_runs, monkeypatch):
    suite, layout = finished_runs
    result = read_record(layout.run(suite.name, "wsa", 0).result, Result)
    monkeypatch.setattr(thresholds, "THRESHOLDS", (0.0, result.rank.threshold, 1.0))
    points = thresholds.sweep_thresholds(suite, layout).points
    assert [point.method for point in points] == ["wsa"] * 3
    nothing, own, everything = points
    assert nothing.value == result.states["unpruned"].metrics["accuracy"]
    assert nothing.effective_rank == result.rank.initial
    assert nothing.kept_parameters == result.parameters.trainable
    assert own.value == result.states["pruned"].metrics["accuracy"]
    assert own.effective_rank == result.rank.effective_mean
    assert own.kept_parameters == result.parameters.kept
    assert 0 < own.effective_rank < result.rank.initial  # else this says nothing
    assert (everything.effective_rank, everything.kept_parameters) == (0, result.parameters.head)


def test_what_the_evaluation_predicted_is_not_predicted_again(finished_runs, monkeypatch):
    """Predicted anew, every point has the same value: the runs' records stand for the first two."""
    suite, layout = finished_runs
    threshold = read_record(layout.run(suite.name, "wsa", 0).result, Result).rank.threshold
    monkeypatch.setattr(thresholds, "THRESHOLDS", (0.0, threshold, 1.0))
    predicted = []

    def predict(*args):
        predicted.append(args)
        return really(*args)

    really = thresholds.predict
    monkeypatch.setattr(thresholds, "predict", predict)
    points = thresholds.sweep_thresholds(suite, layout).points
    assert len(predicted) == 1  # without any direction
    monkeypatch.setattr(thresholds, "_evaluated", lambda result: {})
    assert thresholds.sweep_thresholds(suite, layout).points == points
    assert len(predicted) == 1 + 3


def test_without_gated_runs_there_is_nothing_to_sweep(finished_runs, tmp_path):
    suite, layout = finished_runs
    with pytest.raises(InputError, match="no run with gates and seed 0 is evaluated"):
        thresholds.sweep_thresholds(suite, replace(layout, results=tmp_path))
