"""The benchmarks run small on a CPU, and what they compare does compute the same."""

import json

import numpy as np
import pytest
import torch
from benchmarks.dense_rebuild import DenseRebuildLinear, rebuild_dense
from benchmarks.lengths import HISTOGRAM, sst2_lengths
from benchmarks.timing import interleave, paired_ratio
from peft import inject_adapter_in_model
from tests.helpers.project import METHODS, ROOT, edit_yaml, make_project, prepare
from torch import nn
from wsa.adapters import SpectralConfig
from wsa.layout import Layout
from wsa.suite.load import load_suite

from benchmarks import adapters, attention, batching, packed, precision, shrinking, steps, svd

SMALL = ["--layers", "1", "--hidden", "64", "--vocabulary", "100"]


def test_paired_ratio_is_of_pairs():
    # a machine that gets ten times slower half way leaves the ratio of pairs alone
    ratio = paired_ratio([2.0, 2.0, 20.0, 30.0], [1.0, 1.0, 10.0, 10.0])
    assert (ratio.median, ratio.low, ratio.high, ratio.rounds) == (2.0, 2.0, 2.25, 4)


def test_interleaving_takes_turns_and_drops_the_first_round():
    calls, clock = [], iter(range(100))

    def case(name):
        return lambda: calls.append(name) or float(next(clock))

    seconds = interleave({"a": case("a"), "b": case("b")}, rounds=2)
    assert calls == ["b", "a", "a", "b", "b", "a"]
    assert seconds == {"a": [2.0, 5.0], "b": [3.0, 4.0]}


def test_operators_are_counted_without_views():
    x = torch.ones(2, 3, requires_grad=True)
    assert attention.operators(lambda: x.T.mul(2)) == 1
    assert attention.operators(lambda: x[0].unsqueeze(0)) == 0


def test_lengths_are_sst2s():
    lengths = sst2_lengths()
    assert len(lengths) == 67_349 == json.loads(HISTOGRAM.read_text())["sentences"]
    assert (np.median(lengths), np.percentile(lengths, 95), lengths.max()) == (10, 33, 66)


def test_representative_batches_cost_what_an_epoch_costs():
    lengths = np.random.default_rng(1).permutation(sst2_lengths())
    batches = list(np.arange(67_328).reshape(-1, 32))
    chosen = steps.representative(batches, lengths, 20)
    cost = [np.mean([steps.padded_tokens(b, lengths) for b in some]) for some in (chosen, batches)]
    assert cost[0] == pytest.approx(cost[1], rel=0.02)
    batch = np.array([0, 1])
    share = lengths[batch].sum() / (2 * lengths[batch].max())
    assert steps.real_share([batch], lengths) == pytest.approx(share)


def test_pairs_that_share_a_batch_again():
    one = batching.pairs([np.array([0, 2, 1]), np.array([4, 3])], 5)
    other = batching.pairs([np.array([1, 0]), np.array([3, 4, 2])], 5)
    assert one.tolist() == [0 * 5 + 1, 0 * 5 + 2, 1 * 5 + 2, 3 * 5 + 4]
    assert batching.recurring(one, other) == 50  # 0 with 1, 3 with 4


def test_the_fewer_windows_the_more_lies_together_again():
    protocol = load_suite("minilm-l6_movie-snippets", ROOT / "config").protocol
    lengths = np.random.default_rng(0).permutation(sst2_lengths())[:320]
    found = [
        batching.measure(lengths, protocol.model_copy(update=change), [0, 1])
        for change in ({"window_batches": 50}, {"window_batches": 2}, {"batching": "random"})
    ]
    for share in ("in the second epoch, %", "across seeds, %"):
        falling = [one[share] for one in found]
        assert falling == sorted(falling, reverse=True)
        # by chance: 31 of the 319 others are in a sentence's batch
        assert falling[-1] == pytest.approx(100 * 31 / 319, abs=2)
    padding = [one["padding, %"] for one in found]
    assert padding == sorted(padding)


@pytest.mark.parametrize("keep", ["residual", "factors"])
def test_dense_rebuild_is_spectral_adapter_a(keep):
    torch.manual_seed(0)
    linear = nn.Linear(12, 20).double()
    dense = DenseRebuildLinear(linear, 4, keep)
    holder = nn.Module()
    holder.linear = nn.Linear(12, 20).double()
    holder.linear.load_state_dict(linear.state_dict())
    ours = inject_adapter_in_model(SpectralConfig(r=4, target_modules=["linear"]), holder).linear
    pairs = [(dense.A_U, ours.spectral_A_U["default"]), (dense.A_V, ours.spectral_A_V["default"])]
    with torch.no_grad():
        for one, other in pairs:
            one.normal_()
            other.copy_(one)
    x = torch.randn(5, 12, dtype=torch.float64)
    torch.testing.assert_close(dense(x), ours(x))
    for layer in (dense, ours):
        layer(x).square().sum().backward()
    for one, other in pairs:
        torch.testing.assert_close(one.grad, other.grad)


def test_dense_rebuild_trains_adapters_and_head_only():
    model = nn.ModuleDict({"query": nn.Linear(6, 6), "dense": nn.Linear(6, 6)})
    model["classifier"] = nn.Linear(6, 2)
    rebuild_dense(model, ["query"], ["classifier"], 2)
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trains == {"query.A_U", "query.A_V", "classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    "benchmark, arguments, cases",
    [
        (svd, ["--shapes", "40x24", "--rank", "4"], 4),
        (adapters, ["--shapes", "32x48", "--sentences", "2", "--length", "3"], 8),
        (attention, ["--lengths", "6", "--sentences", "2", *SMALL], 3),
    ],
    ids=["svd", "adapters", "attention"],
)
def test_every_benchmark_runs_small_and_writes_its_numbers(benchmark, arguments, cases, tmp_path):
    rows = benchmark.main([*arguments, "--rounds", "2", "--out", str(tmp_path)])
    name = benchmark.__name__.rpartition(".")[-1]
    written = json.loads((tmp_path / f"{name}.json").read_text())
    assert len(written["rows"]) == len(rows) == cases
    assert written["environment"]["versions"]["torch"] == torch.__version__
    assert (tmp_path / f"{name}.md").read_text().count("\n| ") == len(rows) + 1


def test_bfloat16_is_timed_and_held_against_float64_by_both_roads(tmp_path):
    size = [
        "--layers=1",
        "--hidden=64",
        "--sentences=2",
        "--lengths=6",
        "--methods",
        "full",
        "lora",
    ]
    precision_before = torch.backends.mkldnn.matmul.fp32_precision
    files = [f"--resources={tmp_path}", f"--out={tmp_path}"]
    rows = precision.main([*size, *files, "--rounds=2"])
    assert [(row["trains"], row["arithmetic"]) for row in rows] == [
        (method, kind) for method in ("full", "lora") for kind in precision.ARITHMETICS
    ]
    for row in rows:
        assert min(row["step ms"], row["prediction ms"]) > 0
        # 24 and 8 bits: oneDNN has no such products on every processor
        bound = 1e-5 if row["arithmetic"] == precision.FLOAT32 else 0.1
        assert 0 < row["logits off"] < bound and 0 < row["gradients off"] < bound
        assert row["gradients off"] > 1e-3 or row["arithmetic"] != precision.AUTOCAST
    assert torch.backends.mkldnn.matmul.fp32_precision == precision_before
    assert "random weights" in (tmp_path / "precision.md").read_text()


def test_speed_is_reported_for_the_references_and_for_every_method_of_the_suite(tmp_path):
    rows = steps.main(
        ["--steps", "1", "--no-memory", "--rounds", "1", "--out", str(tmp_path), *SMALL]
    )
    by = {(row["run by"], row["method"]) for row in rows}
    assert {("Trainer, PEFT", "lora"), ("Trainer, dense rebuild", "spectral_a")} < by
    assert {("ours", name) for name in ("full", "lora", "spectral_a", "wsa")} < by
    for row in rows:
        assert row["steps/s"] > 0
        assert row["no padding %"] == pytest.approx(
            95.4 if row["run by"] == "ours" else 33.3, abs=1
        )
        runs = 3 * 2105 / row["steps/s"] / 60
        assert row["one run, min"] == pytest.approx(runs)
        assert row["5 seeds, min"] == pytest.approx(5 * runs)


def test_packs_are_timed_beside_the_same_runs_one_by_one(tmp_path):
    small = ["--runs", "2", "--steps", "1", "--rounds", "1", "--out", str(tmp_path), *SMALL]
    rows = packed.main(small)
    assert {row["method"] for row in rows} >= {"lora", "spectral_a", "wsa"}
    for row in rows:
        assert row["one by one, steps/s"] > 0 and row["together, steps/s"] > 0
        assert 1 <= row["times the tokens"] < 2  # two batches, the shorter padded to the longer
    assert (tmp_path / "packed.md").exists()


@pytest.fixture
def gated_project(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project", methods=["wsa"])
    adapter = METHODS["wsa"]["adapter"] | {"gate": "direction"}
    wsa = METHODS["wsa"] | {"adapter": adapter, "gate_reach": 3.0}
    edit_yaml(folder / "config/suites/tiny.yaml", methods={"wsa": wsa})
    monkeypatch.chdir(folder)
    suite, _ = prepare(folder)
    protocol = {"evaluate_on": "holdout", "holdout_sentences": 24}
    return suite.model_copy(update={"protocol": suite.protocol.model_copy(update=protocol)})


def test_batches_of_a_suite_are_told(gated_project, tmp_path):
    rows = batching.main(["--suite=tiny", "--windows", "4", "1", "--out", str(tmp_path)])
    assert [row["batches"] for row in rows] == [
        "sorted in windows of 4", "sorted in windows of 1", "random",
    ]  # fmt: skip
    assert (tmp_path / "batching.md").exists()


def test_ways_to_shrink_gates(gated_project, tmp_path):
    def trial(kind, strength):
        method = shrinking.shrunk(gated_project.method("wsa"), strength, 3.0)
        return shrinking.trial(kind, method, 0, gated_project, 2.0, Layout())

    # without strength all are the same training; with more than gates can resist nothing is left
    assert trial(shrinking.LateTerm, 0.0) == trial(shrinking.Loop, 0.0)
    assert trial(shrinking.ProximalStep, 0.0) == trial(shrinking.Loop, 0.0)
    assert trial(shrinking.ProximalStep, 10.0)["effective rank"] == 0
    arguments = ["--suite=tiny", "--method=wsa", "--held-out=24", "--rank=2", "--seeds", "0", "1"]
    rows = shrinking.main([*arguments, "--out", str(tmp_path)])
    assert {row["n"] for row in rows} == {2}
    assert "| term after a quarter |" in (tmp_path / "shrinking.md").read_text()
