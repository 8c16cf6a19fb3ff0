"""The spectral tuners behave in PEFT as any other method does."""

import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel, TaskType, VeraConfig, get_peft_model
from peft.tuners.lora import convert_to_lora
from peft.utils.hotswap import hotswap_adapter
from tests.helpers.fresh import run_python
from tests.helpers.peft_models import (
    ATTENTION,
    INPUTS,
    classification,
    classifier,
    language_model,
    logits,
    spectral_layers,
    train,
)
from torch import nn
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.errors import InputError

# --- the start -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "config",
    [
        SpectralConfig(r=4),
        WSAConfig(r=4, gate="singular_value"),
        WSAConfig(r=4, gate="product"),
        WSAConfig(r=4, gate="direction"),
    ],
    ids=lambda config: getattr(config, "gate", "spectral_a"),
)
def test_untrained_models_give_the_pretrained_logits_bit_for_bit(
    config, dtype, bert_folder, gpt2_folder
):
    for make, folder, targets in (
        (classifier, bert_folder, ATTENTION),
        (language_model, gpt2_folder, "all-linear"),
    ):
        model = make(folder, dtype)
        expected = logits(model)
        adapted = get_peft_model(model, replace(config, target_modules=targets))
        assert spectral_layers(adapted)
        assert torch.equal(logits(adapted), expected)


def test_the_default_targets_are_those_of_peft_lora(bert_folder):
    model = get_peft_model(classifier(bert_folder), WSAConfig(r=4, task_type=TaskType.SEQ_CLS))
    assert {name.rpartition(".")[2] for name in spectral_layers(model)} == {
        "query", "value",
    }  # fmt: skip


# --- merging, disabling, several adapters --------------------------------------------------------


@pytest.mark.parametrize("config", [SpectralConfig, WSAConfig])
def test_a_merged_model_is_plain_and_gives_the_same_logits(config, bert_folder):
    model = train(get_peft_model(classifier(bert_folder), classification(config)))
    before = logits(model)
    pretrained = logits(classifier(bert_folder))
    assert (before - pretrained).abs().max() > 1e-2
    with model.disable_adapter():
        assert torch.equal(logits(model), pretrained)
    model.merge_adapter()
    torch.testing.assert_close(logits(model), before, rtol=1e-5, atol=1e-5)
    with model.disable_adapter():  # takes the merged change out
        torch.testing.assert_close(logits(model), pretrained, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(model), before, rtol=1e-5, atol=1e-5)
    merged = model.merge_and_unload(safe_merge=True)
    torch.testing.assert_close(logits(merged), before, rtol=1e-5, atol=1e-5)
    assert not spectral_layers(merged)
    assert {type(m) for m in merged.modules()} == {
        type(m) for m in classifier(bert_folder).modules()
    }


def test_safe_merge_refuses_a_weight_that_is_not_finite(gpt2_folder):
    model = get_peft_model(language_model(gpt2_folder), WSAConfig(r=2, target_modules=["c_attn"]))
    layer = next(iter(spectral_layers(model).values()))
    layer.spectral_gate["default"].data[0] = torch.inf
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.merge_adapter(safe_merge=True)


def test_adapters_side_by_side_add_up_and_do_not_disturb_each_other(gpt2_folder):
    first = WSAConfig(r=4, target_modules=["c_attn", "c_proj"], gate="direction")
    second = WSAConfig(r=2, target_modules=["c_attn", "c_fc"], gate="singular_value")
    model = get_peft_model(language_model(gpt2_folder), first, adapter_name="first")
    pretrained = logits(model)
    train(model, labels=INPUTS["input_ids"])
    with_first = logits(model)
    model.add_adapter("second", second)
    assert torch.equal(logits(model), with_first)
    model.set_adapter("second")
    assert torch.equal(logits(model), pretrained)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable and all(name.endswith(".second") for name in trainable)
    train(model, labels=INPUTS["input_ids"])
    with_second = logits(model)
    assert not torch.equal(with_second, pretrained)
    model.set_adapter("first")
    assert torch.equal(logits(model), with_first)

    model.base_model.set_adapter(["first", "second"])
    both = logits(model)
    deltas = {}
    for name, layer in spectral_layers(model).items():
        present = [a for a in ("first", "second") if a in layer.r]
        deltas[name] = sum(layer.get_delta_weight(adapter) for adapter in present)
    plain = language_model(gpt2_folder)
    for name, delta in deltas.items():
        plain.get_submodule(name.removeprefix("base_model.model.")).weight.data += delta.detach()
    torch.testing.assert_close(both, logits(plain), rtol=1e-5, atol=1e-5)

    model.set_adapter("first")
    model.delete_adapter("second")
    assert torch.equal(logits(model), with_first)
    assert not any(".second" in name for name in model.state_dict())
    with pytest.raises(ValueError, match="different peft types. Found WSA and SPECTRAL"):
        model.add_adapter("third", SpectralConfig(r=2, target_modules=["c_attn"]))


# --- saving and loading --------------------------------------------------------------------------


def test_saved_adapters_give_the_same_bits_in_another_process(
    bert_folder, deberta_folder, tmp_path
):
    """Also the head: DeBERTa's pooler starts at random, as its classifier does."""
    targets = {bert_folder: ATTENTION, deberta_folder: ["query_proj", "key_proj"]}
    for number, (folder, modules) in enumerate(targets.items()):
        config = classification(target_modules=modules, rank_pattern={"layer.0.*query.*": 0})
        model = get_peft_model(classifier(folder), config)
        head = {n: p.clone() for n, p in model.named_parameters() if "modules_to_save" in n}
        saved = {name.partition(".modules_to_save")[0] for name in head}
        assert {name.rpartition(".")[2] for name in saved} == {"classifier", "dense"}
        train(model)
        for name, before in head.items():  # pooler and classifier, weights and biases
            assert not torch.equal(dict(model.named_parameters())[name], before), name
        model.save_pretrained(tmp_path / f"adapter{number}")
        torch.save(logits(model), tmp_path / f"expected{number}.pt")
    code = f"""
        import torch, wsa.adapters
        from tests.helpers.peft_models import logits
        from peft import PeftModel
        from transformers import AutoModelForSequenceClassification as Auto
        for number, folder in enumerate({[str(folder) for folder in targets]}):
            for meta in (False, True):
                torch.manual_seed(1)  # another head at the start
                base = Auto.from_pretrained(folder, num_labels=2, dtype=torch.float32)
                model = PeftModel.from_pretrained(
                    base, f"{tmp_path}/adapter{{number}}", low_cpu_mem_usage=meta
                )
                expected = torch.load(f"{tmp_path}/expected{{number}}.pt")
                assert torch.equal(logits(model), expected), (folder, meta)
        print("same bits")
    """
    done = run_python(["-c", textwrap.dedent(code)], Path(__file__).parents[2])
    assert done.stdout.strip() == "same bits", done.stderr


def test_equal_adapters_are_saved_as_equal_bytes(gpt2_folder, tmp_path):
    for name in ("one", "two"):
        torch.manual_seed(3)
        config = WSAConfig(r=2, target_modules=["c_fc", "c_proj", "c_attn"])
        model = train(
            get_peft_model(language_model(gpt2_folder), config), labels=INPUTS["input_ids"]
        )
        model.save_pretrained(tmp_path / name)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_configuration_without_its_factors_is_not_silently_zero(gpt2_folder, tmp_path):
    model = get_peft_model(language_model(gpt2_folder), WSAConfig(r=2, target_modules=["c_fc"]))
    model.save_pretrained(tmp_path)
    config = WSAConfig.from_pretrained(tmp_path)
    assert torch.isnan(logits(get_peft_model(language_model(gpt2_folder), config))).all()


# --- where adapters go ---------------------------------------------------------------------------


def test_all_linear_takes_every_conv1d_but_the_output_embedding(gpt2_folder):
    model = get_peft_model(language_model(gpt2_folder), WSAConfig(r=3, target_modules="all-linear"))
    layers = spectral_layers(model)
    assert {name.rpartition(".")[2] for name in layers} == {"c_attn", "c_proj", "c_fc"}
    attention = next(layer for name, layer in layers.items() if name.endswith("c_attn"))
    assert attention.spectral_V["default"].shape == (3, 32)  # 32 → 96, stored as (32, 96)
    assert attention.spectral_U["default"].shape == (96, 3)


def test_a_conv1d_trains_and_converts_as_its_linear_twin_does(gpt2_folder):
    model = get_peft_model(
        language_model(gpt2_folder), WSAConfig(r=3, target_modules=["c_attn", "c_fc"])
    )
    train(model, labels=INPUTS["input_ids"])
    x = torch.randn(5, 32)
    for layer in spectral_layers(model).values():
        base = layer.get_base_layer()
        weight = base.weight + layer.get_delta_weight("default")
        torch.testing.assert_close(layer(x), x @ weight + base.bias, rtol=1e-5, atol=1e-5)
    # PEFT's own conversion reads the same matrices
    _, tensors = convert_to_lora(model, rank=6)
    name = next(key for key in tensors if "h.0.attn.c_attn.lora_A" in key)
    lora = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
    layer = next(m for n, m in spectral_layers(model).items() if n.endswith("h.0.attn.c_attn"))
    torch.testing.assert_close(lora, layer.get_delta_weight("default").T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("targets", [["lm_head"], ["c_attn", "lm_head"], r".*lm_head"])
def test_tied_weights_are_refused_before_anything_is_replaced(targets, gpt2_folder):
    model = language_model(gpt2_folder)
    assert model.lm_head.weight is model.transformer.wte.weight
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match="'lm_head' shares its weight with 'transformer.wte'"),
    ):
        warnings.simplefilter("ignore")  # PEFT's own, less clear word about it
        get_peft_model(model, WSAConfig(r=2, target_modules=targets))
    assert not spectral_layers(model)


def test_untied_output_embeddings_may_be_adapted(gpt2_folder):
    model = language_model(gpt2_folder)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    adapted = get_peft_model(model, WSAConfig(r=2, target_modules=["lm_head"]))
    adapted.add_adapter("second", WSAConfig(r=3, target_modules=["lm_head"]))
    assert len(spectral_layers(adapted)) == 1


def test_one_module_under_two_names_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = self.first

        def forward(self, x):
            return self.second(self.first(x))

    with pytest.raises(ValueError, match="'first' shares its weight with 'second'"):
        get_peft_model(Twice(), WSAConfig(r=2, target_modules=["first"]))
    with pytest.raises(ValueError, match="shares its weight"):
        get_peft_model(Twice(), WSAConfig(r=2, target_modules="all-linear"))


def test_what_has_no_singular_vectors_is_refused(gpt2_folder, bert_folder):
    with pytest.raises(ValueError, match="'transformer.wpe' is a Embedding"):
        get_peft_model(language_model(gpt2_folder), WSAConfig(r=2, target_modules=["wpe"]))
    with pytest.raises(InputError, match=r"rank 33 does not fit .*query.* 32×32"):
        get_peft_model(classifier(bert_folder), WSAConfig(r=33, target_modules=["query"]))
    quantised = nn.Sequential(nn.Linear(4, 4))
    quantised[0].weight = nn.Parameter(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match="quantised"):
        get_peft_model(quantised, WSAConfig(r=2, target_modules=["0"]))


def test_rank_patterns_take_names_endings_and_expressions(bert_folder):
    patterns = {
        "bert.encoder.layer.0.attention.self.query": 1,
        "layer.1.attention.self.query": 2,
        "layer.0.*key": 0,
    }
    model = get_peft_model(classifier(bert_folder), classification(rank_pattern=patterns))
    ranks = {
        ".".join(name.split(".")[-4::3]): layer.r["default"]
        for name, layer in spectral_layers(model).items()
    }
    assert ranks == {
        "0.query": 1, "0.key": 0, "0.value": 4,
        "1.query": 2, "1.key": 4, "1.value": 4,
    }  # fmt: skip
    train(model)
    before = logits(model)
    torch.testing.assert_close(logits(model.merge_and_unload()), before, rtol=1e-5, atol=1e-5)


def test_a_module_whose_name_ends_another_keeps_its_own_rank():
    inner = nn.ModuleDict({"map": nn.Linear(6, 6)})
    model = nn.ModuleDict({"outer": nn.ModuleDict({"map": nn.Linear(6, 6)}), "map": inner["map"]})
    config = WSAConfig(r=4, target_modules=["map"], rank_pattern={"map": 1, "outer.map": 3})
    layers = spectral_layers(get_peft_model(model, config))
    ranks = {name.removeprefix("base_model.model."): m.r["default"] for name, m in layers.items()}
    assert ranks == {"map": 1, "outer.map": 3}


# --- precision -----------------------------------------------------------------------------------


def test_a_half_precision_model_trains_its_adapter_in_full_precision(gpt2_folder):
    model = get_peft_model(
        language_model(gpt2_folder, torch.bfloat16),
        WSAConfig(r=4, target_modules="all-linear"),
    )
    kinds = {p.dtype for p in model.parameters() if p.requires_grad}
    assert kinds == {torch.float32}
    train(model, labels=INPUTS["input_ids"])
    unmerged = logits(model)
    assert unmerged.dtype == torch.bfloat16
    wide = language_model(gpt2_folder, torch.bfloat16).float()
    for name, layer in spectral_layers(model).items():
        module = wide.get_submodule(name.removeprefix("base_model.model."))
        module.weight.data += layer.get_delta_weight("default").detach()
    expected = logits(wide)
    merged = model.merge_and_unload()
    assert merged.transformer.h[0].attn.c_attn.weight.dtype == torch.bfloat16
    scale = expected.abs().max()
    for found in (unmerged, logits(merged)):
        assert (found.float() - expected).abs().max() < 0.03 * scale


@pytest.mark.parametrize(("cast", "kind"), [(True, torch.float32), (False, torch.bfloat16)])
def test_the_precision_of_an_adapter_is_the_callers_choice(cast, kind, gpt2_folder, tmp_path):
    def make():
        return language_model(gpt2_folder, torch.bfloat16)

    config = WSAConfig(r=4, target_modules=["c_attn", "c_fc"])
    model = get_peft_model(make(), config, autocast_adapter_dtype=cast)
    model.add_adapter("second", config, autocast_adapter_dtype=cast)
    pretrained = logits(make())
    assert torch.equal(logits(model), pretrained)
    train(model, labels=INPUTS["input_ids"])
    expected = logits(model)
    assert not torch.equal(expected, pretrained)
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(make(), tmp_path, autocast_adapter_dtype=cast)
    assert torch.equal(logits(again), expected)
    for candidate in (model, again):
        tensors = {n: t for n, t in candidate.state_dict().items() if "spectral_" in n}
        assert tensors and {tensor.dtype for tensor in tensors.values()} == {kind}


# --- PEFT's other ways to combine adapters -------------------------------------------------------


@pytest.mark.parametrize("config", [SpectralConfig, WSAConfig])
def test_a_mixed_model_and_a_hot_swap_are_refused_as_peft_refuses_vera(
    config, gpt2_folder, tmp_path
):
    def refusal(act, *args, **kwargs):
        with pytest.raises(ValueError) as caught:
            act(*args, **kwargs)
        return str(caught.value)

    def messages(kind):
        made = kind(r=4, target_modules=["c_fc"])
        model = get_peft_model(language_model(gpt2_folder), made)
        model.save_pretrained(tmp_path / kind.__name__)
        swap = refusal(hotswap_adapter, model, str(tmp_path / kind.__name__), "default")
        mixed = refusal(get_peft_model, language_model(gpt2_folder), made, mixed=True)
        return [text.replace(made.peft_type.value, "X") for text in (swap, mixed)]

    assert messages(config) == messages(VeraConfig)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SpectralConfig, {}),
        (WSAConfig, {"gate": "direction"}),
        (WSAConfig, {"gate": "singular_value"}),
        (WSAConfig, {"gate": "product"}),
    ],
)
def test_a_weighted_adapter_changes_weights_by_the_weighted_sum(
    kind, options, gpt2_folder, tmp_path
):
    first = kind(r=4, target_modules=["c_attn", "c_proj"], **options)
    second = kind(r=2, target_modules=["c_attn", "c_fc"], rank_pattern={"h.0.*fc": 3}, **options)
    model = get_peft_model(language_model(gpt2_folder), first, adapter_name="first")
    model.add_adapter("second", second)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "spectral_" in name:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    weights = {"first": 0.75, "second": -0.5}
    deltas = {
        name: sum(w * layer.get_delta_weight(a) for a, w in weights.items() if a in layer.r)
        for name, layer in spectral_layers(model).items()
    }
    assert len(deltas) == 8  # two layers: c_attn, two c_proj, c_fc
    model.add_weighted_adapter(list(weights), list(weights.values()), "sum")
    assert model.active_adapters == ["first"]
    model.set_adapter("sum")
    for name, layer in spectral_layers(model).items():
        torch.testing.assert_close(layer.get_delta_weight("sum"), deltas[name])
    expected = logits(model)
    model.save_pretrained(tmp_path, selected_adapters=["sum"])
    again = PeftModel.from_pretrained(language_model(gpt2_folder), tmp_path / "sum")
    assert torch.equal(logits(again), expected)


def test_adapters_that_have_no_sum_are_refused(gpt2_folder):
    model = get_peft_model(
        language_model(gpt2_folder), WSAConfig(r=2, target_modules=["c_fc"]), adapter_name="one"
    )
    model.add_adapter("two", WSAConfig(r=2, target_modules=["c_fc"], gate="singular_value"))
    model.add_adapter("head", WSAConfig(r=2, target_modules=["c_fc"], modules_to_save=["lm_head"]))
    before = sorted(model.peft_config)
    for arguments, message in [
        ((["one", "two"], [1.0, 1.0], "sum"), "one type and one gate"),
        ((["one", "head"], [1.0, 1.0], "sum"), "modules_to_save"),
        ((["one", "three"], [1.0, 1.0], "sum"), "no adapter 'three'"),
        ((["one"], [1.0, 1.0], "sum"), "a weight for each"),
        ((["one", "one"], [1.0, 1.0], "sum"), "distinct"),
        ((["one"], [1.0], "two"), "'two' already"),
        ((["one"], [1.0], "sum", "svd"), "'cat', not 'svd'"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.add_weighted_adapter(*arguments)
    assert sorted(model.peft_config) == before


# --- the loss ------------------------------------------------------------------------------------


def test_the_penalty_is_in_the_training_loss_alone(gpt2_folder):
    config = WSAConfig(r=4, target_modules=["c_fc"], l1=0.125)
    model = get_peft_model(language_model(gpt2_folder), config)
    model.eval()
    plain = model(**INPUTS, labels=INPUTS["input_ids"]).loss
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.train()
    penalised = model(**INPUTS, labels=INPUTS["input_ids"]).loss
    torch.testing.assert_close(penalised - plain, torch.tensor(0.125 * 4 * 2))
    with model.disable_adapter():
        off = model(**INPUTS, labels=INPUTS["input_ids"]).loss
    torch.testing.assert_close(off, plain)


def test_loading_by_peft_needs_only_the_files(gpt2_folder, tmp_path):
    model = get_peft_model(
        language_model(gpt2_folder),
        WSAConfig(r=4, target_modules=["c_fc"], factor_cache=str(tmp_path / "gone")),
    )
    train(model, labels=INPUTS["input_ids"])
    expected = logits(model)
    model.save_pretrained(tmp_path)
    assert "gone" not in (tmp_path / "adapter_config.json").read_text()
    again = PeftModel.from_pretrained(language_model(gpt2_folder), tmp_path)
    assert torch.equal(logits(again), expected)
    assert not any(p.requires_grad for p in again.parameters())
    further = PeftModel.from_pretrained(language_model(gpt2_folder), tmp_path, is_trainable=True)
    train(further, labels=INPUTS["input_ids"], steps=1)
    assert not torch.equal(logits(further), expected)


def test_adapters_cannot_be_mixed_in_one_batch(bert_folder):
    """PEFT's `adapter_names` gives each sentence its own adapter, where a tuner can."""
    model = get_peft_model(classifier(bert_folder), SpectralConfig(r=2, target_modules=ATTENTION))
    with pytest.raises(ValueError, match="cannot be mixed in one batch"):
        model.eval()(**INPUTS, adapter_names=["default"] * len(INPUTS["input_ids"]))
