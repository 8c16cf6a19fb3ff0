"""What PEFT's users rely on, of every tuner that starts from singular triplets."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from tests.helpers.fresh import run_python
from tests.helpers.peft_models import (
    ATTENTION,
    HEAD,
    INPUTS,
    classifier,
    language_model,
    logits,
    train,
)
from tests.helpers.project import ROOT
from wsa.adapters.factors import FactorCache
from wsa.errors import InputError
from wsa.tuners.lora_xs import LoRAXSConfig
from wsa.tuners.milora import MiLoRAConfig
from wsa.tuners.spectral_r import SpectralRConfig
from wsa.tuners.svdiff import SVDiffConfig
from wsa.tuners.svft import SVFTConfig
from wsa.tuners.vectorfit import VectorFitConfig

CONFIGS = {
    "svft": lambda **other: SVFTConfig(off_diagonals=1, **other),
    "lora_xs": lambda **other: LoRAXSConfig(r=4, **other),
    "svdiff": SVDiffConfig,
    "spectral_r": lambda **other: SpectralRConfig(r=4, **other),
    "milora": lambda **other: MiLoRAConfig(r=4, **other),
    "vectorfit": VectorFitConfig,
}
each = pytest.mark.parametrize("case", CONFIGS)


def config(case, **arguments):
    arguments = {"target_modules": ATTENTION, "modules_to_save": list(HEAD)} | arguments
    return CONFIGS[case](task_type=TaskType.SEQ_CLS, **arguments)


def adapted(case, folder, dtype=torch.float32, **arguments):
    return get_peft_model(classifier(folder, dtype), config(case, **arguments))


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


RELOAD = """
import sys, torch
from pathlib import Path
import wsa.tuners
from peft import PeftModel
from tests.helpers.peft_models import classifier, logits
for adapter in Path(sys.argv[2]).iterdir():
    model = PeftModel.from_pretrained(classifier(sys.argv[1]), adapter)
    torch.save(logits(model), adapter / "logits.pt")
"""


def test_a_new_process_gives_the_logits_of_the_trained_models(bert_folder, tmp_path):
    wanted = {}
    for case in CONFIGS:
        model = train(adapted(case, bert_folder))
        wanted[case] = logits(model)
        assert not torch.allclose(wanted[case], logits(classifier(bert_folder)), atol=1e-2), case
        model.save_pretrained(tmp_path / case)
    done = run_python(["-c", RELOAD, str(bert_folder), str(tmp_path)], ROOT)
    assert done.returncode == 0, done.stderr
    for case in CONFIGS:
        assert torch.equal(torch.load(tmp_path / case / "logits.pt"), wanted[case]), case


@each
def test_a_saved_adapter_brings_all_that_it_needs_and_nothing_of_the_base(
    case, bert_folder, tmp_path
):
    """Loaded onto other base weights it is the same change, though their triplets are others."""
    model = train(adapted(case, bert_folder))
    model.save_pretrained(tmp_path)
    other = classifier(bert_folder)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.endswith(("query.weight", "key.weight", "value.weight")):
                parameter.add_(0.1 * torch.randn_like(parameter))
    loaded = PeftModel.from_pretrained(other, str(tmp_path))
    pairs = zip(
        model.base_model.spectral_layers().values(), loaded.base_model.spectral_layers().values(),
        strict=True,
    )  # fmt: skip
    for one, two in pairs:
        change = one.get_delta_weight("default")
        assert change.abs().max() > 1e-4
        assert torch.equal(change, two.get_delta_weight("default"))
    assert not any(
        "base_layer" in name for name in load_file(tmp_path / "adapter_model.safetensors")
    )


@each
def test_a_frozen_tensor_that_is_missing_shows(case, bert_folder, tmp_path):
    model = adapted(case, bert_folder)
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    moving = {n.removesuffix(".default") for n, p in model.named_parameters() if p.requires_grad}
    frozen = {n.rpartition(".")[2] for n in tensors if "query" in n and n not in moving}
    assert frozen
    for kind in frozen:
        save_file({n: t for n, t in tensors.items() if not n.endswith(kind)}, file)
        with pytest.warns(UserWarning, match="missing"):
            loaded = PeftModel.from_pretrained(classifier(bert_folder), str(tmp_path))
        assert logits(loaded).isnan().all()


@each
def test_loading_without_filling_memory_twice_gives_the_same(case, bert_folder, tmp_path):
    model = train(adapted(case, bert_folder))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(
        classifier(bert_folder), str(tmp_path), low_cpu_mem_usage=True
    )
    assert torch.equal(logits(loaded), logits(model))


@each
def test_equal_adapters_are_saved_as_equal_bytes(case, bert_folder, tmp_path):
    for name in "ab":
        torch.manual_seed(0)
        train(adapted(case, bert_folder)).save_pretrained(tmp_path / name)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@each
def test_several_adapters_are_chosen_added_and_deleted(case, bert_folder):
    def plain():  # modules trained in full have no sum
        return CONFIGS[case](target_modules=ATTENTION)

    model = train(get_peft_model(classifier(bert_folder), plain()))
    one = logits(model)
    model.add_adapter("other", plain())
    assert torch.equal(logits(model), one)  # adding another changes nothing
    model.set_adapter("other")
    base = logits(classifier(bert_folder))
    close(logits(model), base)
    two = logits(train(model, rate=1e-1))
    assert not torch.allclose(two, one, atol=1e-3)
    model.set_adapter("default")
    assert torch.equal(logits(model), one)
    with model.disable_adapter():
        assert torch.equal(logits(model), base)

    # both at once are the sum of what each of them merges
    summed = classifier(bert_folder)
    base = {n: p.clone() for n, p in model.named_parameters() if ".base_layer." in n}
    for adapter in ("default", "other"):
        model.merge_adapter([adapter])
        with torch.no_grad():
            for name, before in base.items():
                own = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
                summed.get_parameter(own).add_(model.get_parameter(name) - before)
        model.unmerge_adapter()
    model.base_model.set_adapter(["default", "other"])
    close(logits(model), logits(summed))

    model.base_model.set_adapter("default")
    model.delete_adapter("other")
    close(logits(model), one)  # the base was merged and unmerged
    assert not any("other" in name for name in model.state_dict())


@each
def test_a_merged_model_is_a_plain_one_with_the_same_logits(case, bert_folder):
    model = train(adapted(case, bert_folder))
    trained = logits(model)
    base = {n: p.clone() for n, p in model.named_parameters() if "base_layer" in n}
    model.merge_adapter()
    close(logits(model), trained)
    with model.disable_adapter():  # takes the change out again
        pass
    model.unmerge_adapter()
    for name, parameter in model.named_parameters():
        if name in base:
            torch.testing.assert_close(parameter, base[name], rtol=1e-5, atol=1e-6)
    plain = model.merge_and_unload(safe_merge=True)
    close(logits(plain), trained)
    assert not any("default" in name for name in plain.state_dict())


@each
def test_a_merge_that_would_not_be_finite_is_refused(case, bert_folder):
    model = adapted(case, bert_folder)
    layer = next(iter(model.base_model.spectral_layers().values()))
    with torch.no_grad():
        getattr(layer, layer.adapter_layer_names[0])["default"].fill_(torch.nan)
    weight = layer.base_layer.weight.clone()
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.merge_and_unload(safe_merge=True)
    assert torch.equal(layer.base_layer.weight, weight)


@each
def test_a_half_precision_model_has_adapters_in_full_precision_or_its_own(case, bert_folder):
    for autocast, kind in ((True, torch.float32), (False, torch.bfloat16)):
        model = get_peft_model(
            classifier(bert_folder, torch.bfloat16), config(case), autocast_adapter_dtype=autocast
        )
        for layer in model.base_model.spectral_layers().values():
            assert {tensor.dtype for tensor in layer.parts("default").values()} == {kind}
        train(model, steps=1)
        assert logits(model).dtype == torch.bfloat16 and logits(model).isfinite().all()
        merged = model.merge_and_unload()
        assert {p.dtype for n, p in merged.named_parameters() if "query" in n} == {torch.bfloat16}


@each
def test_layers_that_store_their_weight_the_other_way_round(case, gpt2_folder):
    base = language_model(gpt2_folder)
    inputs = {"input_ids": torch.arange(12).reshape(2, 6)}
    start = logits(base, inputs)
    model = get_peft_model(
        base, CONFIGS[case](task_type=TaskType.CAUSAL_LM, target_modules=["c_attn"])
    )
    close(logits(model, inputs), start)
    train(model, inputs, inputs["input_ids"])
    trained = logits(model, inputs)
    assert not torch.allclose(trained, start, atol=1e-2)
    close(logits(model.merge_and_unload(), inputs), trained)


@each
def test_what_cannot_be_adapted_is_told(case, bert_folder, gpt2_folder):
    with pytest.raises(ValueError, match="'bert.embeddings.word_embeddings' is a Embedding"):
        adapted(case, bert_folder, target_modules=["word_embeddings"])
    with pytest.raises(ValueError, match="shares its weight"):
        get_peft_model(language_model(gpt2_folder), CONFIGS[case](target_modules=["lm_head"]))
    broken = classifier(bert_folder)
    with torch.no_grad():
        broken.bert.encoder.layer[0].attention.self.query.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="query holds NaN"):
        get_peft_model(broken, config(case))
    model = adapted(case, bert_folder)
    with pytest.raises(ValueError, match="cannot be mixed in one batch"):
        model(**INPUTS, adapter_names=["default", "default"])


@each
def test_factors_come_from_the_cache_and_are_what_is_computed(case, bert_folder, tmp_path):
    torch.manual_seed(0)
    with_cache = adapted(case, bert_folder, factor_cache=str(tmp_path))
    torch.manual_seed(0)
    without = adapted(case, bert_folder)
    keys = set()
    pairs = zip(
        with_cache.base_model.spectral_layers().values(),
        without.base_model.spectral_layers().values(), strict=True,
    )  # fmt: skip
    for one, two in pairs:
        keys.add(one.factor_keys["default"])
        for name, tensor in one.parts("default").items():
            if name in one.frozen:
                assert torch.equal(tensor, two.parts("default")[name])
    assert {file.stem for file in tmp_path.iterdir()} == keys
    assert FactorCache(tmp_path).digest(keys)
