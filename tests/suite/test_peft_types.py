"""Every method of PEFT is found fit for a whole run, or refused in words, before any training."""

from __future__ import annotations

import pytest
import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import load_file
from tests.helpers.project import make_project, prepare
from wsa.errors import InputError
from wsa.learning.models import attach, load_pretrained, load_trained, save_trained
from wsa.stages import inference
from wsa.stages.check import check_method
from wsa.stages.evaluate import evaluate
from wsa.stages.export import export_run
from wsa.stages.train import train
from wsa.suite.schema import Method
from wsa.task import task

TWO = task(("no", "yes"))

TYPES = sorted(str(getattr(key, "value", key)) for key in PEFT_TYPE_TO_CONFIG_MAPPING)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(make_project(tmp_path_factory.mktemp("types"), methods=["spectral_a"]))


@pytest.fixture
def check(prepared):
    """Check one method, given by its adapter; gives the message of a refusal."""

    def run(**adapter) -> str | None:
        suite, layout = with_method(prepared[0], adapter), prepared[1]
        done = layout.checked(suite.name, "method")
        done.unlink(missing_ok=True)
        try:
            check_method(suite, "method", layout)
        except InputError as error:
            assert not done.exists()
            return str(error)
        assert done.exists()
        return None

    return run


def with_method(suite, adapter):
    method = Method(title="x", adapter=adapter, learning_rate=1e-3)
    return suite.model_copy(update={"methods": {"method": method}})


@pytest.mark.parametrize("peft_type", TYPES)
def test_every_type_with_its_defaults_is_fit_or_refused_in_words(check, peft_type):
    message = check(peft_type=peft_type)
    if message is not None:
        assert "suites/tiny.yaml: methods.method" in message and "what to do: " in message


def test_most_types_are_fit(check):
    """With sizes that fit the tiny model, where their own do not."""
    sizes = {
        "ADALORA": {"total_step": 12},  # as many as the suite's
        "C3A": {"block_size": 8},
        "LN_TUNING": {"target_modules": ["LayerNorm"]},
        "MISS": {"r": 4},
        "P_TUNING": {"num_virtual_tokens": 3},
        "PREFIX_TUNING": {"num_virtual_tokens": 3},
        "PROMPT_TUNING": {"num_virtual_tokens": 3},
        "ROAD": {"group_size": 8},
        "SHIRA": {"r": 4},
        "VBLORA": {"vector_length": 8, "num_vectors": 8},
        "WAVEFT": {"n_frequency": 64},
    }
    plain = [
        "BEFT",
        "BOFT",
        "IA3",
        "LILY",
        "LOHA",
        "LOKR",
        "LORA",
        "OFT",
        "SPECTRAL",
        "VERA",
        "WSA",
    ]
    for peft_type in [*sizes, *plain]:
        assert check(peft_type=peft_type, **sizes.get(peft_type, {})) is None, peft_type


REFUSED = [
    ({"peft_type": "LN_TUNING"}, "adapter.target_modules: LN_TUNING trains norms", "[LayerNorm]"),
    ({"peft_type": "LORA", "init_lora_weights": "eva"}, "computed from data before", "gaussian"),
    ({"peft_type": "LORA", "init_lora_weights": "lora_ga"}, "computed from data", "pissa"),
    ({"peft_type": "LORA", "init_lora_weights": "corda"}, "computed from data before", "olora"),
    ({"peft_type": "LORA", "use_qalora": True}, "on this one it is plain LoRA", "leave it out"),
    ({"peft_type": "LORA", "use_dora": "no"}, "adapter.use_dora: should be a valid bool", "bool"),
    ({"peft_type": "LORA", "lora_dropout": True}, "adapter.lora_dropout: should be", "wants float"),
    ({"peft_type": "LORA", "lora_alpha": 4.5}, "adapter.lora_alpha: should be", "wants int"),
    ({"peft_type": "LORA", "rank_pattern": {"qurey": 4}}, "'qurey' matches none", "'query'?"),
    ({"peft_type": "LORA", "alpha_pattern": {"key": 4}}, "adapter.alpha_pattern: 'key'", "query"),
    ({"peft_type": "WSA", "rank_pattern": {"layer.9": 4}}, "'layer.9' matches none", "a full name"),
    ({"peft_type": "LORA", "exclude_modules": ["valeu"]}, "'valeu' matches none", "'value'?"),
    ({"peft_type": "LORA", "exclude_modules": ".*valeu"}, "'.*valeu' matches none", "a full name"),
    ({"peft_type": "LORA", "layers_to_transform": [0, 7]}, "adapter.layers_to_transform: '7'", ""),
    ({"peft_type": "PROMPT_TUNING"}, "adapter.num_virtual_tokens: PROMPT_TUNING must", "such as"),
    ({"peft_type": "ADALORA"}, "for another number of steps than the 12", "total_step: 12"),
    ({"peft_type": "ADALORA", "total_step": 9}, "adapter.total_step: its schedule", "12"),
    ({"peft_type": "XLORA"}, "mixes LoRA adapters that were trained before", "take LORA instead"),
    ({"peft_type": "POLY"}, "a suite has one task", "take LORA instead"),
    ({"peft_type": "LORA", "alora_invocation_tokens": [9999]}, "no weight but the head's", "has "),
    ({"peft_type": "LORA", "inference_mode": True}, "no weight is said to train", "has "),
]  # fmt: skip


@pytest.mark.parametrize(("adapter", "problem", "remedy"), REFUSED)
def test_what_would_silently_be_another_method_is_refused(check, adapter, problem, remedy):
    problem_, _, remedy_ = check(**adapter).partition("what to do: ")
    assert "suites/tiny.yaml: methods.method" in problem_ and problem in problem_
    assert remedy in remedy_


ACCEPTED = [
    {"peft_type": "LORA", "init_lora_weights": "pissa_niter_2"},
    {"peft_type": "LORA", "init_lora_weights": "gaussian", "lora_dropout": 0},
    {"peft_type": "LORA", "rank_pattern": {"query": 2, "layer.0.*value": 3}, "use_dora": True},
    {"peft_type": "LORA", "monteclora_config": {"num_samples": 2}},
    {"peft_type": "LORA", "kasa_config": {}},
    {"peft_type": "IA3", "target_modules": ["key", "dense"], "feedforward_modules": ["dense"]},
    {"peft_type": "WSA", "factor_rank": None, "l1": 0},
    {"peft_type": "LORA", "layers_to_transform": [1], "exclude_modules": ["self.value"]},
]


@pytest.mark.parametrize("adapter", ACCEPTED)
def test_arguments_that_peft_takes_are_taken(check, adapter):
    assert check(**adapter) is None


def test_weights_that_do_not_move_are_told(check, capsys):
    assert check(peft_type="GLORA") is None
    line = next(x for x in capsys.readouterr().out.splitlines() if "have not moved" in x)
    assert line.startswith("tiny: methods.method: 4 weights") and "query.glora_" in line


def test_what_cannot_be_merged_is_told(check, capsys):
    assert check(peft_type="LILY") is None
    assert "tiny: methods.method: cannot be merged (NotImplementedError" in capsys.readouterr().out


def outputs(model, ids):
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_a_saved_ia3_adapter_is_read_again_with_the_same_bits(prepared, tmp_path):
    """PEFT completes the targets [dense] by BERT's [output.dense], and then balks at its file."""
    suite = with_method(prepared[0], {"peft_type": "IA3", "target_modules": ["dense"]})
    folder, method = prepared[1].model("tiny"), suite.methods["method"]
    model = attach(load_pretrained(folder, 0, TWO), method, suite.model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.5)
    save_trained(model, method, tmp_path)
    again = load_trained(load_pretrained(folder, 0, TWO), method, tmp_path)
    ids = torch.arange(5, 17)[None]
    assert torch.equal(outputs(model, ids), outputs(again, ids))
    shapes = {
        k: tuple(t.shape) for k, t in load_file(tmp_path / "adapter_model.safetensors").items()
    }
    # scaled on the way in, where feedforward: 64 wide
    assert shapes["base_model.model.bert.encoder.layer.0.output.dense.ia3_l"] == (1, 64)


@pytest.mark.parametrize("argument", ["kasa_config", "monteclora_config"])
def test_a_term_of_the_loss_that_peft_leaves_to_the_loop_is_trained(prepared, argument):
    """In training, and only there, the loss is the cross-entropy and what the tuner gives."""
    adapter = {"peft_type": "LORA", "r": 4, argument: {}}
    suite = with_method(prepared[0], adapter)
    model = load_pretrained(prepared[1].model("tiny"), 0, TWO)
    model = attach(model, suite.methods["method"], suite.model).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch = {"input_ids": torch.arange(5, 17)[None], "labels": torch.tensor([1])}
    outputs = model(**batch)
    plain = torch.nn.functional.cross_entropy(outputs.logits, batch["labels"])
    own = {"kasa_config": "_get_kasa_loss", "monteclora_config": "_get_monteclora_loss"}
    term = getattr(model.base_model, own[argument])()
    assert term.requires_grad and abs(term) > 0
    torch.testing.assert_close(outputs.loss, plain + term)
    model.eval()
    outputs = model(**batch)
    plain = torch.nn.functional.cross_entropy(outputs.logits, batch["labels"])
    assert torch.equal(outputs.loss, plain)


def test_fit_methods_go_through_every_stage(prepared, tmp_path, monkeypatch):
    """Those that once ended in a traceback after all training."""
    suite, layout = prepared
    adapters = {
        "ia3": {"peft_type": "IA3"},
        "lily": {"peft_type": "LILY"},
        "prompt": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3},
    }
    methods = {
        name: Method(title="x", adapter=a, learning_rate=1e-3) for name, a in adapters.items()
    }
    protocol = suite.protocol.model_copy(update={"epochs": 1})
    suite = suite.model_copy(update={"methods": methods, "protocol": protocol})
    monkeypatch.setattr(inference, "ROUNDS", 2)
    monkeypatch.setattr(inference, "MOST", 2)
    for name in methods:
        train(suite, name, 0, layout)
        assert 0 <= evaluate(suite, name, 0, layout).headline <= 1
    record = inference.time_inference(suite, layout)
    assert list(record.seconds) == ["base", "ia3"]
    assert list(record.adapters) == ["ia3", "lily", "prompt"]
    export_run(suite, "ia3", 0, layout, tmp_path / "ia3", "merged")
    assert (tmp_path / "ia3/model.safetensors").exists()
    with pytest.raises(InputError, match="'lily' cannot be merged: NotImplementedError"):
        export_run(suite, "lily", 0, layout, tmp_path / "lily", "merged")
