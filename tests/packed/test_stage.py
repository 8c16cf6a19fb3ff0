"""The stage leaves what single runs leave, says what it was, and goes on where it was killed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.project import prepare
from tests.packed.conftest import STEPS, make_packed_project
from wsa.archive.compare import compare
from wsa.archive.verify import compare_run, damages
from wsa.cli import main
from wsa.errors import InputError
from wsa.evidence.findings import check
from wsa.evidence.runs import read_runs
from wsa.identity import code_hash
from wsa.learning.batches import TokenTable
from wsa.learning.loop import Loop
from wsa.packed.loop import Pack
from wsa.records.predictions import logits_of, read_predictions
from wsa.records.record import read_record
from wsa.records.run import Result, Training
from wsa.stages.evaluate import evaluate
from wsa.stages.packed import train_packed
from wsa.stages.prune import prune
from wsa.stages.train import train
from wsa.suite.schema import Method

SEEDS = [("wsa", 0), ("wsa", 1)]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test catches it."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(make_packed_project(tmp_path_factory.mktemp("packed"), seeds=[0, 1, 2]))


@pytest.fixture(scope="module")
def suite(prepared):
    return prepared[0]


@pytest.fixture
def layout(prepared, tmp_path):
    """Results of each test's own."""
    return replace(prepared[1], results=tmp_path / "results")


@contextlib.contextmanager
def killed_after(steps: int, monkeypatch) -> Iterator[None]:
    train_step, done = Pack.train_step, []

    def step(pack):
        if len(done) == steps:
            raise Killed
        done.append(train_step(pack))

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Pack, "train_step", step)
        yield


def test_a_pack_leaves_what_single_runs_leave(suite, layout, tmp_path):
    alone = replace(layout, results=tmp_path / "alone")
    records = train_packed(suite, SEEDS, layout)
    for seed, record in enumerate(records):
        single = train(suite, "wsa", seed, alone)
        assert record.files.keys() == single.files.keys()
        assert record.schedule == single.schedule
        assert record.trained_sentences == single.trained_sentences == 2 * 96
        for key in ("trainable_parameters", "head_parameters", "total_parameters"):
            assert getattr(record, key) == getattr(single, key)
        for key in ("configuration", "data", "model", "factors"):
            assert getattr(record, key) == getattr(single, key)
        assert (record.code, single.code) == (code_hash("packed"), code_hash("train"))
        assert record.final_loss == pytest.approx(single.final_loss, abs=1e-5)
        assert record.environment.execution.runs == ("wsa 0", "wsa 1")
        for where in (layout, alone):
            prune(suite, "wsa", seed, where)
            evaluate(suite, "wsa", seed, where)
        files = [where.run("tiny", "wsa", seed) for where in (layout, alone)]
        result, other = (read_record(own.result, Result) for own in files)
        assert result.provenance.execution.mode == "packed" and other.provenance.execution is None
        assert "execution" not in files[1].result.read_text()
        logits = [logits_of(read_predictions(own.predictions)) for own in files]
        np.testing.assert_allclose(*logits, atol=1e-3)
        # a rerun is a single one
        again = compare_run(suite.data.task, ("wsa", seed), *files)
        assert again.verdict == "within tolerance"
        assert "trained in a pack of 2 then: equal within round-off only" in again.details
        assert not any("other code" in detail for detail in again.details)
    assert not layout.run("tiny", "wsa", 0).checkpoints.exists()
    # a table with one of each
    train(suite, "wsa", 1, layout)
    assert read_record(layout.run("tiny", "wsa", 1).training, Training).code == code_hash("train")
    prune(suite, "wsa", 1, layout)
    evaluate(suite, "wsa", 1, layout)
    own = suite.model_copy(update={"methods": {"wsa": suite.methods["wsa"]}, "seeds": (0, 1)})
    mixed = [found for found in check(read_runs(own, layout)) if "execution" in found.message]
    assert [found.severity for found in mixed] == ["note"]
    assert "packed in 1 run; single in 1 run" in mixed[0].message
    assert not any("code of" in found.message for found in check(read_runs(own, layout)))
    found = compare(alone.suite("tiny"), layout.suite("tiny"))
    assert any("their execution" in condition for condition in found.conditions)
    assert not list(damages(own, layout))


def test_a_killed_pack_goes_on_to_the_same_bits(suite, layout, monkeypatch, tmp_path):
    undisturbed = train_packed(suite, SEEDS, replace(layout, results=tmp_path / "undisturbed"))
    for steps in (3, 4):
        with killed_after(steps, monkeypatch):
            train_packed(suite, SEEDS, layout, checkpoint_seconds=0)
    records = train_packed(suite, SEEDS, layout)
    assert [record.files for record in records] == [record.files for record in undisturbed]
    assert all(record.continued_at == (3, 7) for record in records)


def test_the_state_of_a_pack_is_for_that_pack_alone(suite, layout, monkeypatch, capsys):
    with killed_after(3, monkeypatch):
        train_packed(suite, SEEDS, layout, checkpoint_seconds=0)
    assert train(suite, "wsa", 0, layout).continued_at == ()
    assert "not used: made with another code, configuration, runs, seed" in capsys.readouterr().out


def test_a_pack_leaves_no_states_of_trainings_that_it_replaces(suite, layout, monkeypatch):
    train_step = Loop.train_step

    def step(loop, checkpoints):
        if loop.step == 3:
            raise Killed
        train_step(loop, checkpoints)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Loop, "train_step", step)
        train(suite, "wsa", 1, layout, checkpoint_seconds=0)
    assert layout.run("tiny", "wsa", 1).checkpoints.exists()
    train_packed(suite, SEEDS, layout)
    assert not layout.run("tiny", "wsa", 1).checkpoints.exists()


def test_out_of_memory_names_its_step_and_keeps_the_state(suite, layout, monkeypatch):
    taken, batches = [], TokenTable.batch

    def batch(table, indices):
        taken.append(indices)
        if len(taken) == 2 * 3 + 1:  # in the fourth step of two runs
            torch.empty(2**60)  # the processor's own allocator refuses
        return batches(table, indices)

    with monkeypatch.context() as patched, pytest.raises(InputError) as caught:
        patched.setattr(TokenTable, "batch", batch)
        train_packed(suite, SEEDS, layout, checkpoint_seconds=0)
    assert "out of memory in step 4; the state after step 3 is kept" in str(caught.value)
    assert "fewer runs in a pack" in str(caught.value)
    assert train_packed(suite, SEEDS, layout)[0].continued_at == (3,)


def test_a_run_that_fails_is_named_and_the_others_are_written(suite, layout, monkeypatch):
    rates = {"lora.1": 5e-3, "lora.2": 1e30, "lora.3": 1e-3}
    methods = {
        name: suite.methods["lora"].model_copy(update={"learning_rate": rate})
        for name, rate in rates.items()
    }
    trials = suite.model_copy(update={"methods": methods})
    runs = [(name, 0) for name in methods]
    with pytest.raises(InputError, match=r"1 of 3 runs failed") as caught:
        train_packed(trials, runs, layout)
    assert "tiny lora.2 seed 0: the loss became nan" in str(caught.value)
    written = [layout.run("tiny", name, 0).training.exists() for name in methods]
    assert written == [True, False, True]
    files = read_record(layout.run("tiny", "lora.3", 0).training, Training).files
    # asked for again, nothing is trained again
    with monkeypatch.context() as patched, pytest.raises(InputError, match="1 of 3 runs failed"):
        patched.setattr(Pack, "train_step", lambda pack: pytest.fail("it trains"))
        train_packed(trials, runs, layout)
    assert read_record(layout.run("tiny", "lora.3", 0).training, Training).files == files


def test_what_cannot_be_packed_is_refused(suite, layout):
    dora = Method.model_validate(
        {"title": "DoRA", "adapter": {"peft_type": "LORA", "r": 2, "use_dora": True},
         "learning_rate": 1e-3}
    )  # fmt: skip
    suite = suite.model_copy(update={"methods": suite.methods | {"dora": dora}})
    for runs, why in (
        ([("full", 0), ("full", 1)], "'full' cannot be in this pack: it has no adapter of type"),
        ([("dora", 0), ("dora", 1)], "LoRA with use_dora was not compared"),
        ([("lora", 0), ("wsa", 0)], "'wsa' cannot be in this pack: its adapter is not that of"),
        ([("lora", 0), ("lora", 0)], "distinct runs"),
        ([("lore", 0)], "no method 'lore'"),
    ):
        with pytest.raises(InputError, match=why):
            train_packed(suite, runs, layout)
    half = suite.protocol.model_copy(update={"precision": "bfloat16"})
    with pytest.raises(InputError, match="float32 alone"):
        train_packed(suite.model_copy(update={"protocol": half}), SEEDS, layout)
    assert not layout.results.exists()


def test_the_command(suite, layout, capsys):
    folders = [f"--{name}={getattr(layout, name)}" for name in ("config", "resources", "results")]
    assert main([*folders, "train-packed", "tiny", "spectral_a", "0,2"]) == 0
    assert f"{STEPS}/{STEPS}" in capsys.readouterr().err
    for seed in (0, 2):
        record = read_record(layout.run("tiny", "spectral_a", seed).training, Training)
        assert record.environment.execution.runs == ("spectral_a 0", "spectral_a 2")
    for seeds in ("0;2", "0,-2"):
        with pytest.raises(SystemExit):
            main([*folders, "train-packed", "tiny", "spectral_a", seeds])
        assert "should be a whole number" in capsys.readouterr().err
    # refused before it waits for its own lock
    assert main([*folders, "train-packed", "tiny", "spectral_a", "0,0"]) == 2
    assert "distinct runs" in capsys.readouterr().err
