"""Pruning in a saved adapter and in a model: the same, and what was computed by hand."""

import json
import warnings

import numpy as np
import pytest
import torch
import wsa
from peft import PeftModel, get_peft_model
from safetensors.numpy import load_file
from tests.helpers.peft_models import (
    ATTENTION,
    classification,
    classifier,
    language_model,
    logits,
    spectral_layers,
    train,
    with_gates,
)
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.adapters.saved import prune_saved_adapter
from wsa.errors import InputError


def prune_files(model, folder, threshold=None):
    for name in ("trained", "pruned"):
        (folder / name).mkdir()
    model.save_pretrained(folder / "trained")
    return prune_saved_adapter(folder / "trained", folder / "pruned", threshold)


def test_pruning_keeps_what_reaches_the_threshold(bert_folder, tmp_path):
    model = get_peft_model(classifier(bert_folder), classification())
    gates = torch.tensor([0.2, 0.05, 0.0499, -0.3])
    before = {}
    for name, layer in spectral_layers(model).items():
        layer.spectral_gate["default"].data.copy_(gates)
        layer.spectral_A_U["default"].data.normal_()
        layer.spectral_A_V["default"].data.normal_()
        before[name] = {k: v.detach().clone() for k, v in layer.parts("default").items()}
    ranks = prune_files(model, tmp_path, 0.05)
    modules = 2 * len(ATTENTION)
    assert ranks.threshold == 0.05
    assert list(ranks.initial.values()) == [4] * modules
    assert list(ranks.effective.values()) == [3] * modules and ranks.effective_mean == 3.0
    head = 2 * 32 + 2 + 32 * 32 + 32
    assert ranks.kept_parameters == modules * 3 * (32 + 32 + 1) + head
    tensors = load_file(tmp_path / "pruned/adapter_model.safetensors")
    for name, parts in before.items():
        for part, value in parts.items():
            expected = value[:, [0, 1, 3]] if part.endswith("U") else value[[0, 1, 3]]
            assert np.array_equal(tensors[f"{name}.{part}"], expected.numpy()), part


@pytest.mark.parametrize("gate", ["direction", "singular_value", "product"])
def test_files_and_memory_are_pruned_alike_and_reload_bit_for_bit(gate, bert_folder, tmp_path):
    model = with_gates(bert_folder, gate=gate)
    by_files = prune_files(model, tmp_path)
    assert len(set(by_files.effective.values())) > 2 and 0 in by_files.effective.values()
    assert wsa.effective_rank(model) == by_files.effective
    assert wsa.prune(model) == by_files
    assert wsa.effective_rank(model) == by_files.effective
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == by_files.kept_parameters

    model.save_pretrained(tmp_path / "memory")
    files = [tmp_path / kind / "adapter_model.safetensors" for kind in ("memory", "pruned")]
    tensors, others = (load_file(file) for file in files)
    assert tensors.keys() == others.keys()
    assert all(np.array_equal(tensors[key], others[key]) for key in tensors)
    one, two = (json.loads((f.parent / "adapter_config.json").read_text()) for f in files)
    assert one == two
    expected = logits(model)
    for file in files:
        again = PeftModel.from_pretrained(classifier(bert_folder), file.parent)
        assert torch.equal(logits(again), expected)
        again.save_pretrained(tmp_path / "again")
        assert (tmp_path / "again/adapter_model.safetensors").read_bytes() == files[0].read_bytes()
    torch.testing.assert_close(logits(model.merge_and_unload()), expected, rtol=1e-5, atol=1e-5)


def test_a_wanted_mean_rank_keeps_the_largest_gates_of_all_modules(bert_folder):
    model = with_gates(bert_folder)
    gates = {name: values.detach().clone() for name, values in model.base_model.gates().items()}
    every = sorted((float(g) for values in gates.values() for g in values.abs()), reverse=True)
    kept = every[: 2 * len(gates)]
    ranks = wsa.prune(model, target_rank=2)
    assert ranks.effective_mean == 2
    assert ranks.effective == {n: sum(float(g) in kept for g in v.abs()) for n, v in gates.items()}
    assert len(set(ranks.effective.values())) > 1
    assert wsa.prune(model, target_rank=1.5).effective_mean == 1.5


def test_gates_that_got_nowhere_are_told_with_what_to_do(bert_folder):
    """One learning rate for all: AdamW moves a gate by that much a step, from 1 towards 0.05."""
    model = train(get_peft_model(classifier(bert_folder), classification()), steps=20, rate=1e-3)
    with pytest.warns(UserWarning, match=r"nothing is pruned.*wsa\.parameter_groups"):
        ranks = wsa.prune(model)
    assert ranks.effective == ranks.initial


@pytest.mark.parametrize("gate", ["direction", "singular_value"])
def test_gates_that_moved_are_not_warned_of(gate, bert_folder):
    model = get_peft_model(classifier(bert_folder), classification(gate=gate))
    for layer in spectral_layers(model).values():
        layer.spectral_gate["default"].data.copy_(torch.tensor([1.0, 0.9, 0.4, 0.9]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert wsa.prune(model).effective_mean == 4  # by their own learning, not for want of it
        assert wsa.prune(model, 0.5).effective_mean == 3
        assert wsa.prune(model).effective_mean == 3  # those that are left were far from 0


def test_an_impossible_mean_rank_is_refused(bert_folder):
    model = with_gates(bert_folder)
    for rank in (0, -1, 4.5, float("nan")):
        with pytest.raises(ValueError, match="target_rank should be above 0 and at most 4"):
            wsa.prune(model, target_rank=rank)
    with pytest.raises(ValueError, match="not both"):
        wsa.prune(model, 0.05, target_rank=2)


def test_a_pruned_direction_leaves_nothing_behind(bert_folder):
    """Unlike `gate_only`, which keeps what its vectors learned where gates scale σ alone."""
    for gate, same in (("direction", True), ("singular_value", False), ("product", False)):
        model = with_gates(bert_folder, gate=gate, modules_to_save=None)
        unpruned = logits(model)
        model.base_model.zero_gates_below(0.05)
        gate_only = logits(model)
        wsa.prune(model, 0.05)
        pruned = logits(model)
        assert not torch.equal(pruned, unpruned)
        assert torch.allclose(pruned, gate_only, rtol=1e-5, atol=1e-5) == same, gate
        kept = sum(wsa.effective_rank(model).values())
        wsa.prune(model, 10.0)
        assert sum(wsa.effective_rank(model).values()) == 0 < kept
        assert torch.equal(logits(model), logits(classifier(bert_folder)))


def test_gate_only_restores_the_singular_values_and_keeps_the_vectors(bert_folder):
    model = with_gates(bert_folder, gate="singular_value", threshold=0.05)
    layer = list(spectral_layers(model).values())[1]
    parts = {name: t.detach().double() for name, t in layer.parts("default").items()}
    U, S, V = (parts[f"spectral_{name}"] for name in "USV")
    A_U, A_V, s = (parts[f"spectral_{name}"] for name in ("A_U", "A_V", "gate"))
    g = torch.where(s.tanh().abs() < 0.05, 0.0, s.tanh())
    assert 0 < (g == 0).sum() < 4
    expected = (U + A_U) * (S * (1 + g)) @ (V + A_V) - U * S @ V
    model.base_model.zero_gates_below(0.05)
    found = layer.get_delta_weight("default").double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_without_gates_every_direction_is_in_use(bert_folder):
    model = get_peft_model(
        classifier(bert_folder),
        classification(SpectralConfig, rank_pattern={"layer.0.*key": 1}),
    )
    ranks = wsa.effective_rank(model)
    assert sorted(ranks.values()) == [1, 4, 4, 4, 4, 4]
    with pytest.raises(ValueError, match="no gates to prune"):
        wsa.prune(model)


def test_what_cannot_be_pruned_is_refused(bert_folder, gpt2_folder, tmp_path):
    with pytest.raises(ValueError, match="has no spectral adapter"):
        wsa.effective_rank(classifier(bert_folder))
    model = with_gates(bert_folder)
    model.merge_adapter()
    with pytest.raises(ValueError, match="unmerge_adapter"):
        wsa.prune(model)
    two = get_peft_model(language_model(gpt2_folder), WSAConfig(r=2, target_modules=["c_fc"]))
    two.add_adapter("second", WSAConfig(r=2, target_modules=["c_fc"]))
    two.base_model.set_adapter(["default", "second"])
    with pytest.raises(ValueError, match="activate one adapter"):
        wsa.prune(two)
    spectral = get_peft_model(classifier(bert_folder), classification(SpectralConfig))
    with pytest.raises(InputError, match="no gates to prune"):
        prune_files(spectral, tmp_path)


def test_a_pruned_adapter_trains_on(bert_folder):
    from tests.helpers.peft_models import train

    model = with_gates(bert_folder)
    wsa.prune(model)
    before = logits(model)
    train(model)
    assert not torch.equal(logits(model), before)
