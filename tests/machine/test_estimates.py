"""Estimates against what runs took, against what autograd keeps, and what is said with them."""

from __future__ import annotations

import dataclasses
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.lengths import sst2_lengths
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
)
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.learning.deberta import optimise
from wsa.learning.models import attach
from wsa.machine import devices, estimates
from wsa.machine.estimates import Machine, estimate
from wsa.records.record import read_record, write_record
from wsa.records.run import Result, Training
from wsa.suite.load import load_suite
from wsa.suite.schema import ModelSize
from wsa.suite.settings import choose_suites, read_settings

ROOT = Path(__file__).parents[2]
CPU, GPU = Machine("a processor", None), Machine("a processor", "a GPU")


def nothing_there(tmp_path: Path) -> Layout:
    """Nothing is fetched and nothing has run."""
    return Layout(ROOT / "config", tmp_path / "resources", tmp_path / "results")


def published_runs(suite: str, method: str) -> list[Result]:
    folder = ROOT / "published" / suite / "runs" / method
    return [read_record(path, Result) for path in folder.glob("seed-*/result.json")]


def test_the_rate_is_that_of_the_processor_it_names(tmp_path):
    suite = load_suite("minilm-l6_ablations", ROOT / "config")
    for name in suite.methods:
        results = published_runs(suite.name, name)
        for result in results:
            assert "EPYC (family 26" in result.provenance.environments["train"].processor
        found = estimate(suite, name, nothing_there(tmp_path), CPU)
        for told, measured in [
            (found.train_seconds, [r.cost.train_seconds for r in results]),
            (found.evaluate_seconds, [r.cost.evaluate_seconds * len(r.states) for r in results]),
        ]:
            assert 0.65 < told / statistics.median(measured) < 1.5, (name, told, measured)


def test_the_embedded_suite_takes_the_memory_that_its_published_runs_took(tmp_path):
    suite = load_suite("minilm-l6_movie-snippets", ROOT / "config")
    for name in set(suite.methods) - {"majority"}:
        told = estimate(suite, name, nothing_there(tmp_path), CPU).memory_bytes
        measured = [run.cost.peak_memory_bytes for run in published_runs(suite.name, name)]
        assert 0.65 < told / statistics.median(measured) < 1.5, (name, told, measured)


def test_sizes_in_the_configuration_are_those_of_the_data():
    size = load_suite("minilm-l6_sst2", ROOT / "config").data.size
    lengths = sst2_lengths()
    assert (size.train.sentences, size.train.longest) == (len(lengths), lengths.max())
    assert size.train.mean_length == pytest.approx(lengths.mean(), abs=0.05)
    draws = np.random.default_rng(0).choice(lengths, (4000, 32))
    assert size.random_batch == pytest.approx(draws.max(axis=1).mean(), rel=0.01)


@pytest.mark.parametrize("gpu", [CPU, GPU], ids=["cpu", "gpu"])
def test_the_order_of_costs_is_that_of_the_work(tmp_path, gpu):
    suite = load_suite("deberta-v3-base_sst2", ROOT / "config")
    found = {name: estimate(suite, name, nothing_there(tmp_path), gpu) for name in suite.methods}
    assert found["majority"].seconds == 0
    names = ["head_only", "lora", "full"]
    for quantity in ("train_seconds", "memory_bytes", "process_bytes"):
        values = [getattr(found[name], quantity) for name in names]
        assert values == sorted(values) and values[0] > 0
    assert found["wsa"].evaluate_seconds == 3 * found["lora"].evaluate_seconds  # its three states
    assert ("assumed, not measured" in found["full"].basis) == (gpu is GPU)


def kept_bytes(model: torch.nn.Module, sentences: int, length: int) -> int:
    """What autograd keeps for the way back, weights left out."""
    tensors = [*model.parameters(), *model.buffers()]
    weights = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (
            storage.nbytes(),
            tensor,
        )  # held, so that no other takes its place
        return tensor

    ids = torch.randint(5, 50, (sentences, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(**inputs, labels=torch.arange(sentences) % 2)
    return sum(size for address, (size, _) in kept.items() if address not in weights)


@pytest.mark.parametrize("architecture", ["bert", "deberta"])
@pytest.mark.parametrize("name", ["full", "lora", "wsa"])
def test_memory_is_what_autograd_keeps(architecture, name, tmp_path):
    sizes = {
        **{"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4},
        **{"intermediate_size": 256, "vocab_size": 50},
    }
    suite = load_suite(
        {"bert": "minilm-l6_movie-snippets", "deberta": "deberta-v3-base_sst2"}[architecture],
        ROOT / "config",
    )
    method, length, sentences = suite.methods[name], 48, 24
    if architecture == "bert":
        model = BertForSequenceClassification(BertConfig(**sizes))
    else:
        model = optimise(
            DebertaV2ForSequenceClassification(
                DebertaV2Config(
                    **sizes, relative_attention=True, position_buckets=256, share_att_key=True,
                    pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm", type_vocab_size=0,
                    position_biased_input=False, pooler_hidden_size=64,
                )
            )
        )  # fmt: skip
    with torch.no_grad():
        model = attach(model, method, suite.model)
    measured = kept_bytes(model, sentences, length)
    size = ModelSize(**sizes)
    with_batch, without = (
        estimates.peak_bytes(method, size, length, n, GPU)[0] for n in (sentences, 0)
    )
    assert 0.85 < (with_batch - without) / measured < 1.4


# --- records -------------------------------------------------------------------------------------


@pytest.fixture
def measured(finished_runs, tmp_path):
    """A tiny suite of which lora and wsa ran once; the layout is a copy, to change."""
    suite, layout = finished_runs
    shutil.copytree(layout.results, tmp_path / "results")
    return suite, dataclasses.replace(layout, results=tmp_path / "results")


def change(layout: Layout, suite, name: str, **changes) -> None:
    path = layout.run(suite.name, name, 0).training
    write_record(path, read_record(path, Training).model_copy(update=changes))


def test_an_earlier_run_is_the_best_estimate(measured):
    suite, layout = measured
    for name in ("lora", "wsa"):
        training = read_record(layout.run(suite.name, name, 0).training, Training)
        result = read_record(layout.run(suite.name, name, 0).result, Result)
        found = estimate(suite, name, layout)
        assert found.train_seconds == training.train_seconds
        assert found.memory_bytes == training.peak_memory_bytes
        assert found.evaluate_seconds == result.cost.evaluate_seconds * len(result.states)
        assert found.basis == f"as measured in 1 earlier run on {training.environment.processor}"
    assert estimate(suite, "lora", layout, Machine.elsewhere(gpu=False)).train_seconds == (
        read_record(layout.run(suite.name, "lora", 0).training, Training).train_seconds
    )


@pytest.mark.parametrize(
    "other", [CPU, GPU, Machine.elsewhere(gpu=True)], ids=["cpu", "gpu", "cluster"]
)
def test_runs_on_another_machine_do_not_count(measured, other):
    suite, layout = measured
    assert "measured in" not in estimate(suite, "lora", layout, other).basis


def test_a_run_of_another_configuration_does_not_count(measured):
    suite, layout = measured
    for name in ("lora", "wsa"):
        change(layout, suite, name, configuration="0" * 64)
    assert "GFLOP/s" in estimate(suite, "lora", layout).basis


def test_other_runs_here_give_the_rate(measured):
    suite, layout = measured
    change(layout, suite, "wsa", configuration="0" * 64)
    first = estimate(suite, "wsa", layout)
    assert first.basis.startswith("tokens × parameters at the rate of 1 other run on ")
    # both pass twice through the model
    lora = estimate(suite, "lora", layout)
    assert first.train_seconds == pytest.approx(lora.train_seconds)
    change(layout, suite, "lora", train_seconds=10 * lora.train_seconds)
    assert estimate(suite, "wsa", layout).train_seconds == pytest.approx(10 * lora.train_seconds)


def test_another_suites_runs_give_the_rate_too(measured, tmp_path):
    suite, layout = measured
    shutil.copytree(layout.config, tmp_path / "config")
    text = (layout.config / "suites/tiny.yaml").read_text()
    (tmp_path / "config/suites/other.yaml").write_text(text.replace("name: tiny", "name: other", 1))
    layout = dataclasses.replace(layout, config=tmp_path / "config")
    found = estimate(load_suite("other", layout.config), "lora", layout)
    assert "at the rate of 2 other runs" in found.basis
    assert found.train_seconds == pytest.approx(
        estimate(suite, "lora", layout).train_seconds, rel=1
    )


def test_a_damaged_record_is_no_record(measured):
    suite, layout = measured
    for name in ("lora", "wsa"):
        layout.run(suite.name, name, 0).training.write_text("{")
    assert "GFLOP/s" in estimate(suite, "lora", layout).basis


def test_tokens_are_counted_where_they_are(finished_runs, tmp_path):
    suite, layout = finished_runs
    there = dataclasses.replace(layout, results=tmp_path)
    nowhere = dataclasses.replace(there, resources=tmp_path)
    assert "taken to be like SST-2" in estimate(suite, "lora", nowhere, CPU).basis
    few = estimate(suite, "lora", there, CPU)
    assert "taken to be" not in few.basis
    assert few.train_seconds < estimate(suite, "lora", nowhere, CPU).train_seconds / 100


@pytest.mark.parametrize("content", [b"", b"\x08" + 7 * b"\0" + b"{}      "])
def test_damaged_tokens_are_left_to_the_stage_that_reads_them(finished_runs, tmp_path, content):
    suite, layout = finished_runs
    nowhere = dataclasses.replace(layout, results=tmp_path, resources=tmp_path)
    path = nowhere.tokens(suite.model.name, suite.data.name)
    expected = estimate(suite, "lora", nowhere, CPU)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert estimate(suite, "lora", nowhere, CPU) == expected


def test_nothing_heavy_is_imported():
    code = (
        "import sys\n"
        "from wsa.machine import estimates\n"
        "from wsa.layout import Layout\n"
        "from wsa.suite.load import load_suite\n"
        "estimates.summary(load_suite('deberta-v3-base_sst2'), Layout())\n"
        "print({'torch', 'transformers', 'peft', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


# --- what is said --------------------------------------------------------------------------------


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """Makes nvidia-smi tell of one GPU of so many MiB; of none with 0."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices.nvidia_smi.cache_clear()

    def put(mebibytes: int) -> None:
        tool = folder / "nvidia-smi"
        answers = f'*name) echo Small;; *memory.total) echo "{mebibytes} MiB";; *) exit 1;;'
        tool.write_text(f'#!/bin/sh\ncase "$1" in {answers} esac\n')
        tool.chmod(0o755)
        devices.nvidia_smi.cache_clear()

    yield put
    devices.nvidia_smi.cache_clear()


def choose(tmp_path: Path, **settings) -> str:
    folders = {"config": str(ROOT / "config"), "results": str(tmp_path / "results")}
    folders["resources"] = str(tmp_path / "resources")
    return choose_suites(read_settings({"folders": folders, **settings}))[-1]


def test_without_a_gpu_the_question_is_refused_with_its_hours_and_a_way(gpu, tmp_path):
    with pytest.raises(InputError) as refused:
        choose(tmp_path, suites="deberta-v3-base_sst2")
    message = str(refused.value)
    assert "wants a GPU and there is none" in message and "--config allow_cpu=true" in message
    assert re.search(r"45 runs: about \d\d+\.\d h one after the other", message)
    # as `snakemake --config` gives it
    assert "deberta-v3-base_sst2" in choose(
        tmp_path, suites="deberta-v3-base_sst2", allow_cpu="true"
    )


def test_too_small_a_gpu_is_refused_with_what_is_needed_and_what_is_there(gpu, tmp_path):
    gpu(4096)
    with pytest.raises(InputError) as refused:
        choose(tmp_path)
    assert re.search(
        r"method 'full' needs about \d\.\d GB on the GPU .* Small has 4\.3 GB", str(refused.value)
    )
    assert "batch_size" in str(refused.value)
    gpu(49140)
    assert "deberta-v3-base_sst2 ('auto' with Small)" in choose(tmp_path)


def test_a_stage_refuses_a_gpu_that_others_have_filled(monkeypatch, tmp_path):
    suite, layout = load_suite("deberta-v3-base_sst2", ROOT / "config"), nothing_there(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Shared")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 48 * 10**9))
    with pytest.raises(InputError, match="needs about .* GB .* Shared has 1.0 GB"):
        estimates.check_gpu_memory(suite, ["lora"], layout, estimates.free_gpu())
    estimates.check_gpu_memory(suite, ["majority"], layout, estimates.free_gpu())


def test_the_summary_counts_what_is_left(finished_runs):
    suite, layout = finished_runs
    line = estimates.summary(suite, layout)
    # three methods with two seeds; seed 0 of two of them has run
    assert line.startswith("6 runs, 4 of them without a result: about ")
    assert "1 earlier run" in line
