"""Runs that train together are the runs that they are by themselves, within float32's round-off."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from tests.learning.test_loop import Waits
from tests.packed.conftest import BATCH_SIZE, PACKED, STEPS, Bench, trained
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from wsa.errors import InputError
from wsa.learning.predict import predict
from wsa.packed.masks import Draws, PackedDropout
from wsa.packed.model import PackedModel

# after ten steps; AdamW divides a gradient by its size, and makes steps of what is nothing but
# round-off, so that in float32 a parameter here and there is further off
TOLERANCES = {
    torch.float64: {"rtol": 1e-7, "atol": 1e-9},
    torch.float32: {"rtol": 1e-2, "atol": 2e-3},
}
MOVED = 1e-3  # by other seeds, rates or clipping, at least


def trials(bench: Bench, name: str):
    """Two runs of a method with other seeds and other rates."""
    method = bench.suite.methods[name]
    for seed, times in enumerate((1.0, 0.2)):
        changes = {
            "learning_rate": times * method.learning_rate, "head_learning_rate": 2e-3 / times,
            "gate_reach": method.gate_reach and times * method.gate_reach,
        }  # fmt: skip
        yield method.model_copy(update=changes), seed


def assert_same_runs(bench: Bench, pack, singles) -> None:
    near = TOLERANCES[bench.dtype]
    for member, single in zip(pack.members, singles, strict=True):
        torch.testing.assert_close(member.losses, single.losses, rtol=1e-4, atol=1e-5)
        own, oracle = trained(member.model), trained(single.model)
        assert own.keys() == oracle.keys()
        for name, value in own.items():
            torch.testing.assert_close(value, oracle[name], **near)
        assert member.curves.rows[-1]["step"] == STEPS
        # a curve has the mean of its gates, and every gate
        assert [gate["gate"] for gate in member.curves.gates] == pytest.approx(
            [gate["gate"] for gate in single.curves.gates], abs=near["atol"]
        )
        # the first model of a pack has another forward pass: its parts are put into a fresh one
        fresh = bench.model(member.method, member.seed)
        fresh.load_state_dict(own, strict=False)
        torch.testing.assert_close(
            *(torch.from_numpy(predict(m, bench.table, bench.suite.protocol))
              for m in (fresh, single.model)), rtol=1e-3, atol=1e-3,
        )  # fmt: skip


def in_float64(bench: Bench) -> Bench:
    return dataclasses.replace(bench, dtype=torch.float64)


@pytest.mark.parametrize("name", PACKED)
def test_seeds_and_rates_together_are_what_they_are_alone(bench, name):
    bench = in_float64(bench)
    runs = list(trials(bench, name))
    pack, singles = bench.packed(*runs), [bench.single(*run) for run in runs]
    assert_same_runs(bench, pack, singles)
    assert not pack.failed and pack.step == STEPS
    assert pack.seconds == pytest.approx(sum(member.seconds for member in pack.members))
    # what the comparison could not tell otherwise: runs differ, padding and clipping were at work
    a, b = (torch.cat([v.flatten() for v in trained(s.model).values()]) for s in singles)
    assert (a - b).abs().max() > MOVED
    sizes = [{bench.table.batch(run.batches[step])["input_ids"].shape for run in singles}
             for step in range(STEPS)]  # fmt: skip
    assert any(len({tokens for _, tokens in step}) > 1 for step in sizes)
    assert any({sentences for sentences, _ in step} == {16, BATCH_SIZE} for step in sizes)
    free = bench.suite.protocol.model_copy(update={"max_gradient_norm": None})
    unclipped = dataclasses.replace(bench, suite=bench.suite.model_copy(update={"protocol": free}))
    c = torch.cat([v.flatten() for v in trained(unclipped.single(*runs[0]).model).values()])
    assert (a - c).abs().max() > MOVED


@pytest.mark.parametrize("name", ["lora", "wsa_direction"])  # the products are those of float64
def test_in_float32_they_are_so_within_round_off(bench, name):
    runs = list(trials(bench, name))
    assert_same_runs(bench, bench.packed(*runs), [bench.single(*run) for run in runs])


def test_a_number_is_learned_alike(bench):
    """The mean squared error leaves no label out by itself: those of the padding must be."""
    data = bench.suite.data.model_copy(update={"labels": "number"})
    suite = bench.suite.model_copy(update={"data": data})
    labels = np.random.default_rng(0).normal(size=96).astype(np.float32)
    bench = Bench.of(suite, bench.layout, bench.folder, labels)
    runs = list(trials(bench, "spectral_a"))
    assert_same_runs(bench, bench.packed(*runs), [bench.single(*run) for run in runs])


# --- one backbone --------------------------------------------------------------------------------


class Products(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator._overloadpacket.__name__
        if name in ("mm", "addmm", "bmm", "baddbmm"):
            self.found[name] += 1
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["lora", "wsa"])
def test_more_runs_are_no_more_products_and_none_waits(bench, name):
    counts = []
    for size in (2, 5):
        pack = bench.pack(*((bench.suite.methods[name], seed) for seed in range(size)))
        for member in pack.members:
            member.model.train()
        pack.train_step()  # the first sets things up
        with Products() as products, Waits() as waits:
            pack.train_step()
        assert waits.found == []
        counts.append(products.found)
    assert counts[0] == counts[1] and counts[0]["mm"] > 10


def test_runs_hold_one_backbone(bench):
    pack = bench.pack(*((bench.suite.methods["lora"], seed) for seed in range(3)))
    first, *others = (dict(member.model.named_parameters()) for member in pack.members)
    for other in others:
        for name, parameter in other.items():
            if "original_module" not in name:
                assert (parameter is first[name]) == (not parameter.requires_grad)


def test_another_backbone_is_refused(bench):
    method = bench.suite.methods["lora"]
    models = [bench.model(method, seed) for seed in range(2)]
    name, weight = next((n, p) for n, p in models[1].named_parameters() if not p.requires_grad)
    weight.data[0] += 1
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        PackedModel(models, [torch.Generator()] * 2)


# --- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 6), (4, 5, 6), (4, 2, 5, 5)], ids=str)
def test_masks_are_the_bits_that_single_runs_draw(shape):
    """The oracle is `nn.Dropout` on each run's own part, from torch's own stream."""
    sizes = [(4, 5), (3, 5), (4, 2)]
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    dropout = PackedDropout(0.3, of_batch=True)
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    dropout.draws = Draws(generators, sizes)

    def forward(x, run):
        dropout.draws.run = run
        return dropout(x)

    found = torch.vmap(forward)(x, torch.arange(3))
    for seed, (sentences, tokens) in enumerate(sizes):
        places = (slice(sentences), *{2: (), 3: (slice(tokens),)}.get(
            len(shape), (slice(None), slice(tokens), slice(tokens))))  # fmt: skip
        own = x[seed][places]
        torch.manual_seed(seed)
        assert torch.equal(found[seed][places], nn.Dropout(0.3)(own))
        # and the stream goes on where it would
        assert torch.equal(generators[seed].get_state(), torch.get_rng_state())


# --- a run that fails ----------------------------------------------------------------------------


def test_a_run_that_diverges_harms_no_other(bench, capsys):
    bench = in_float64(bench)
    method = bench.suite.methods["lora"]
    wild = method.model_copy(update={"learning_rate": 1e30})
    runs = [(method, 0), (wild, 1), (method, 2)]
    pack = bench.packed(*runs)
    assert [*pack.failed] == [1] and [*pack.active] == [0, 2]
    assert "run of seed 1: the loss became nan in step" in pack.failed[1]
    assert "a lower learning rate" in pack.failed[1]
    assert "the other runs go on" in capsys.readouterr().out
    for place in (0, 2):
        single = bench.single(*runs[place])
        for name, value in trained(pack.members[place].model).items():
            torch.testing.assert_close(
                value, trained(single.model)[name], **TOLERANCES[bench.dtype]
            )


def test_a_pack_of_failures_ends(bench):
    wild = bench.suite.methods["lora"].model_copy(update={"learning_rate": 1e30})
    pack = bench.packed((wild, 0), (wild, 1))
    assert sorted(pack.failed) == [0, 1] and pack.step < STEPS
    assert np.isnan(pack.members[0].losses.numpy()).any()
