"""A training that is killed goes on from its state, to the same bits; damage is never used."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tests.helpers.project import edit_yaml, environment, make_project, prepare, wsa
from wsa.errors import InputError
from wsa.files import atomic_path
from wsa.layout import Layout
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.curves import Curves
from wsa.learning.loop import Loop
from wsa.stages.train import train
from wsa.suite.load import load_suite

STEPS = 12  # 96 sentences in batches of 16, twice
ADALORA = {
    "title": "AdaLoRA",
    "adapter": {
        **{"peft_type": "ADALORA", "init_r": 4, "target_r": 2, "lora_alpha": 4},
        **{"tinit": 2, "tfinal": 4, "deltaT": 2, "total_step": STEPS, "lora_dropout": 0.1},
    },
    "learning_rate": 5.0e-3,
}
# both draw outside of torch's own stream
PVERA = {
    "title": "PVeRA",
    "adapter": {"peft_type": "PVERA", "r": 4, "generator_seed": 7},
    "learning_rate": 5.0e-3,
}
MONTECLORA = {
    "title": "MonteCLoRA",
    "adapter": {"peft_type": "LORA", "r": 2, "monteclora_config": {"buffer_size": 4}},
    "learning_rate": 5.0e-3,
}
SPREAD = {"directions": "spread", "scale": 1.0}
CHOOSES = {
    "title": "WSA that chooses",
    "adapter": {"peft_type": "WSA", "r": 4, **SPREAD, "choose": "sensitivity", "target_rank": 2},
    "learning_rate": 5.0e-3,
}
SORA = {
    "title": "SoRA",
    "adapter": {"peft_type": "SORA", "r": 4, "soft_threshold": 0.05, "gate_learning_rate": 0.1},
    "learning_rate": 5.0e-3,
}
CUT = {
    "title": "Cut by estimated loss",
    "adapter": {"peft_type": "SPECTRAL", "r": 4, **SPREAD},
    "cut": {"target_rank": 1.5, "at": 0.5, "batches": 3},
    "learning_rate": 5.0e-3,
}
LORA_CUT = {
    "title": "LoRA, cut",
    "adapter": {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "lora_dropout": 0.1},
    "cut": {"target_rank": 1.5, "at": 0.5, "batches": 3},
    "learning_rate": 5.0e-3,
    "learning_rate_ratio": 4.0,
}
OTHERS = {
    "adalora": ADALORA, "pvera": PVERA, "monteclora": MONTECLORA, "chooses": CHOOSES, "cut": CUT,
    "lora_cut": LORA_CUT, "sora": SORA,
}  # fmt: skip


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test catches it."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("checkpoint"))
    path = folder / "config/suites/tiny.yaml"
    methods = load_suite("tiny", folder / "config").model_dump(mode="json")["methods"]
    edit_yaml(path, methods={**methods, **OTHERS})
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def suite(project):
    return load_suite("tiny", project / "config")


@pytest.fixture
def layout(project, tmp_path):
    return Layout(project / "config", project / "resources", tmp_path / "results")


@pytest.fixture(scope="module")
def undisturbed(project, suite):
    """The hashes of all files that an uninterrupted training leaves, by method."""
    layout = Layout(project / "config", project / "resources", project / "undisturbed")
    hashes = {}

    def files(method: str) -> dict[str, str]:
        if method not in hashes:
            hashes[method] = train(suite, method, 0, layout).files
        return hashes[method]

    return files


@contextlib.contextmanager
def killed_after(steps: int, monkeypatch):
    """Trainings in this block are killed when they begin the step after `steps`."""
    train_step = Loop.train_step

    def step(loop, checkpoints):
        if loop.step == steps:
            raise Killed
        train_step(loop, checkpoints)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Loop, "train_step", step)
        yield


@pytest.mark.parametrize("steps", range(STEPS))
def test_killed_at_any_step_it_ends_with_the_same_bits(
    suite, layout, undisturbed, monkeypatch, steps
):
    with killed_after(steps, monkeypatch):
        train(suite, "wsa", 0, layout, checkpoint_seconds=0)
    record = train(suite, "wsa", 0, layout)
    assert record.files == undisturbed("wsa")
    assert record.continued_at == ((steps,) if steps else ())
    assert not layout.run("tiny", "wsa", 0).checkpoints.exists()


@pytest.mark.parametrize("method", ["full", "head_only", "lora", "spectral_a", *OTHERS])
def test_every_method_goes_on_to_the_same_bits(suite, layout, undisturbed, monkeypatch, method):
    for steps in (3, 9):  # AdaLoRA has spread its ranks by the first, and fixed them by the second
        with killed_after(steps, monkeypatch):
            train(suite, method, 0, layout, checkpoint_seconds=0)
    record = train(suite, method, 0, layout)
    assert record.files == undisturbed(method)
    assert record.continued_at == (3, 9)
    assert record.continued_at == (3, 9)
    assert record.trained_sentences == 2 * 96


def test_the_state_is_more_than_the_weights(suite, layout, undisturbed, monkeypatch):
    """The comparison above would notice if the optimiser or dropout's stream were left out."""
    for part in ("optimizer", "random"):
        with killed_after(6, monkeypatch):
            train(suite, "lora", 0, layout, checkpoint_seconds=0)
        [_, path] = sorted(layout.run("tiny", "lora", 0).checkpoints.glob("*.pt"))
        state = torch.load(path, weights_only=True)
        if part == "optimizer":
            for moments in state["optimizer"]["state"].values():
                moments["exp_avg"].zero_()
        else:
            state["random"] = torch.Generator().manual_seed(1).get_state()
        torch.save(state, path)
        assert train(suite, "lora", 0, layout).files != undisturbed("lora")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "code"])
def test_a_damaged_state_is_named_and_the_one_before_is_used(
    suite, layout, undisturbed, monkeypatch, capsys, damage
):
    with killed_after(6, monkeypatch):
        train(suite, "lora", 0, layout, checkpoint_seconds=0)
    older, newest = sorted(layout.run("tiny", "lora", 0).checkpoints.glob("*.pt"))
    spoil(newest, damage)
    record = train(suite, "lora", 0, layout)
    printed = capsys.readouterr().out
    assert f"{newest}: not used: damaged" in printed and "goes on after step 5" in printed
    assert record.files == undisturbed("lora") and record.continued_at == (5,)


def test_with_no_sound_state_it_starts_anew(suite, layout, undisturbed, monkeypatch, capsys):
    with killed_after(6, monkeypatch):
        train(suite, "lora", 0, layout, checkpoint_seconds=0)
    for path in layout.run("tiny", "lora", 0).checkpoints.glob("*.pt"):
        spoil(path, "flipped")
    record = train(suite, "lora", 0, layout)
    assert capsys.readouterr().out.count("not used: damaged") == 2
    assert record.files == undisturbed("lora") and record.continued_at == ()


def spoil(path, damage: str) -> None:
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[:-1000])
        case "flipped":
            content = bytearray(path.read_bytes())
            random = torch.load(path, weights_only=True)["random"].numpy().tobytes()
            content[content.index(random) + 100] ^= 1
            path.write_bytes(content)
        case "emptied":
            path.write_bytes(b"")
        case "code":  # a pickle that would run a command

            class Command:
                def __reduce__(self):
                    return os.mkdir, (str(path.parent / "was-run"),)

            torch.save({"identity": {}, "step": Command()}, path)


def test_a_pickle_in_place_of_a_state_is_not_run(tmp_path, capsys):
    spoil(tmp_path / "step-00000001.pt", "code")
    assert Checkpoints(tmp_path, {}).latest() is None
    assert "damaged" in capsys.readouterr().out
    assert not (tmp_path / "was-run").exists()


def test_no_flipped_byte_is_ever_used(tmp_path, capsys):
    tensors = {"weights": torch.arange(3000.0), "random": torch.get_rng_state()}
    Checkpoints(tmp_path, {"code": "a"}).save({"step": 1, "curve": [{"loss": 0.5}], **tensors})
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    noticed = 0
    positions = [*range(0, len(content), 97), *range(len(content) - 500, len(content))]
    for position in positions:
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        )
        state = Checkpoints(tmp_path, {"code": "a"}).latest()
        noticed += state is None
        if state is not None:  # a byte between the parts of the archive
            assert state["step"] == 1 and state["curve"] == [{"loss": 0.5}]
            assert all(torch.equal(state[name], tensors[name]) for name in tensors)
    assert noticed > len(positions) / 2


@pytest.mark.parametrize("key", ["configuration", "code", "data", "seed", "versions"])
def test_the_state_of_another_training_is_named_and_not_used(tmp_path, capsys, key):
    identity = {"configuration": "a", "code": "b", "data": "c", "seed": 0, "versions": {"torch": 1}}
    Checkpoints(tmp_path, identity).save({"step": 3})
    assert Checkpoints(tmp_path, identity).latest() == {"step": 3}
    assert Checkpoints(tmp_path, identity | {key: "other"}).latest() is None
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"{tmp_path}/step-00000003.pt: not used: made with another {key}"]


def test_another_learning_rate_starts_anew(suite, project, layout, monkeypatch, capsys):
    with killed_after(6, monkeypatch):
        train(suite, "lora", 0, layout, checkpoint_seconds=0)
    method = suite.methods["lora"].model_copy(update={"learning_rate": 1e-3})
    other = suite.model_copy(update={"methods": suite.methods | {"lora": method}})
    assert train(other, "lora", 0, layout).continued_at == ()
    assert "made with another configuration" in capsys.readouterr().out


def test_the_last_two_states_stay(tmp_path):
    checkpoints = Checkpoints(tmp_path, {}, seconds=0)
    for step in range(1, 6):
        checkpoints.save({"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000004.pt",
        "step-00000005.pt",
    ]
    assert checkpoints.kept() == "; the state after step 5 is kept"


def test_a_clock_that_is_set_back_loses_no_work(tmp_path):
    """Each attempt on a machine whose clock is behind that of the one before."""
    for step in range(1, 6):
        checkpoints = Checkpoints(tmp_path, {}, seconds=0)
        assert (checkpoints.latest() or {"step": 0})["step"] == step - 1
        checkpoints.save({"step": step})
        os.utime(tmp_path / f"step-{step:08d}.pt", (1e9 - 100 * step,) * 2)
    assert Checkpoints(tmp_path, {}).latest() == {"step": 5}
    assert len(list(tmp_path.iterdir())) == 2


def test_later_states_of_another_training_push_out_none_of_this(tmp_path):
    Checkpoints(tmp_path, {"code": "a"}).save({"step": 900})
    Checkpoints(tmp_path, {"code": "a"}).save({"step": 901})
    mine = Checkpoints(tmp_path, {"code": "b"}, seconds=0)
    assert mine.latest() is None
    mine.save({"step": 1})
    assert mine.latest() == {"step": 1}
    mine.save({"step": 2})
    assert mine.kept() == "; the state after step 2 is kept"
    assert mine.latest() == {"step": 2}


def test_saving_waits_for_its_time(tmp_path):
    assert not Checkpoints(tmp_path, {}, seconds=60).due()
    often = Checkpoints(tmp_path, {}, seconds=0)
    often.save({"step": 1})
    assert often.due()


# --- what stops a training ------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_names_its_step_and_keeps_the_state(
    suite, layout, monkeypatch, value
):
    train_step = Loop.train_step

    def step(loop, checkpoints):
        train_step(loop, checkpoints)
        if loop.step == 8:
            loop.losses[loop.step - 1] = float(value)

    monkeypatch.setattr(Loop, "train_step", step)
    # as in a long training: the loss is not looked at after every step
    monkeypatch.setattr(Curves, "wants", lambda curves, step: step % 4 == 0)
    with pytest.raises(InputError) as caught:
        train(suite, "lora", 0, layout)
    assert f"the loss became {value} in step 8 of 12" in str(caught.value)
    with pytest.raises(InputError) as caught:
        train(suite, "lora", 0, layout, checkpoint_seconds=0)
    assert "in step 8 of 12; the state after step 7 is kept" in str(caught.value)
    assert not layout.run("tiny", "lora", 0).training.exists()


def test_a_learning_rate_that_diverges_is_told(suite, layout):
    method = suite.methods["full"].model_copy(update={"learning_rate": 1e30})
    other = suite.model_copy(update={"methods": suite.methods | {"full": method}})
    found = r"^tiny full seed 0: the loss became nan in step \d+ of 12(.|\n)*a lower learning rate"
    with pytest.raises(InputError, match=found):
        train(other, "full", 0, layout)


def test_a_weight_decay_that_diverges_is_told_of_its_run_and_key(suite, layout):
    protocol = suite.protocol.model_copy(update={"weight_decay": 1e308})
    with pytest.raises(InputError) as caught:
        train(suite.model_copy(update={"protocol": protocol}), "lora", 0, layout)
    message = str(caught.value)
    assert message.startswith("protocol.weight_decay: tiny lora seed 0: ")
    assert "what to do: a smaller weight_decay: times the learning rate" in message


def test_out_of_memory_names_its_step_and_keeps_the_state(suite, layout, undisturbed, monkeypatch):
    batches = TokenTable.batch
    taken = []

    def batch(table, indices):
        taken.append(indices)
        if len(taken) == 8:  # the processor's own allocator refuses
            torch.empty(2**60)
        return batches(table, indices)

    with monkeypatch.context() as patched:
        patched.setattr(TokenTable, "batch", batch)
        with pytest.raises(InputError) as caught:
            train(suite, "lora", 0, layout, checkpoint_seconds=0)
    message = str(caught.value)
    assert "out of memory in step 8 of 12; the state after step 7 is kept" in message
    assert "protocol.batch_size" in message
    record = train(suite, "lora", 0, layout)
    assert record.files == undisturbed("lora") and record.continued_at == (7,)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_small_a_disk_is_told_before_training(suite, project, small_disk):
    layout = Layout(project / "config", project / "resources", small_disk)
    (small_disk / "file").write_bytes(bytes(900_000))
    with pytest.raises(InputError, match="its disk has 0 MB free, and 1 MB will be written"):
        train(suite, "full", 0, layout)


def test_a_disk_that_fills_up_is_told_and_harms_no_state(small_disk):
    checkpoints = Checkpoints(small_disk, {}, seconds=0)
    checkpoints.save({"step": 1, "weights": torch.zeros(100_000)})
    with pytest.raises(InputError, match="the disk is full"):
        checkpoints.save({"step": 2, "weights": torch.zeros(200_000)})
    assert [path.name for path in small_disk.iterdir()] == ["step-00000001.pt"]
    assert Checkpoints(small_disk, {}).latest()["step"] == 1


@pytest.mark.parametrize("writer", ["safetensors", "parquet", "text"])
def test_every_writer_tells_a_full_disk(small_disk, writer):
    import pandas as pd
    from safetensors.numpy import save_file

    numbers = np.random.default_rng(0).standard_normal(500_000)
    with (
        pytest.raises(InputError, match="the disk is full"),
        atomic_path(small_disk / "file") as path,
    ):
        match writer:
            case "safetensors":
                save_file({"a": numbers}, path)
            case "parquet":
                pd.DataFrame({"a": numbers}).to_parquet(path)
            case "text":
                path.write_text("x" * 2_000_000)
    assert list(small_disk.iterdir()) == []


# --- real signals ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_real_signal(project, suite, undisturbed, tmp_path, number):
    layout = Layout(project / "config", project / "resources", tmp_path / "results")
    command = ["--results", str(layout.results), "train", "tiny", "wsa", "0"]
    checkpoints = layout.run("tiny", "wsa", 0).checkpoints
    process = subprocess.Popen(
        [sys.executable, "-m", "wsa", *command],
        cwd=project,
        env=environment(project) | {"WSA_CHECKPOINT_SECONDS": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not list(checkpoints.glob("step-*.pt")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    printed = process.communicate()[0]
    assert process.returncode == -number
    if number != signal.SIGKILL:
        assert "is kept" in printed and "Traceback" not in printed
    done = wsa(project, *command)
    assert done.returncode == 0 and "goes on after step" in done.stdout, done.stderr
    assert train(suite, "wsa", 0, layout).files == undisturbed("wsa")
