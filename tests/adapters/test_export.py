"""Exports load with plain peft and transformers where wsa cannot be imported."""

import re
import textwrap

import pytest
import torch
import wsa
from peft import LoraConfig, get_peft_model
from tests.helpers.fresh import run_python
from tests.helpers.peft_models import (
    INPUTS,
    classification,
    classifier,
    language_model,
    logits,
    train,
    with_gates,
)
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.cli import main
from wsa.errors import InputError
from wsa.stages.export import export_run

PREAMBLE = """
import sys
sys.modules["wsa"] = None
import torch
saved = torch.load("expected.pt")
def check(model, name):
    with torch.no_grad():
        error = (model.eval()(**saved["inputs"]).logits - saved[name]).abs().max().item()
    assert error < 1e-5, (name, error)
"""


def elsewhere(code: str, folder, **expected) -> None:
    """Run `code` in a process where the package cannot be imported; it must print 'same'."""
    torch.save({"inputs": INPUTS, **expected}, folder / "expected.pt")
    done = run_python(["-c", PREAMBLE + textwrap.dedent(code)], folder)
    assert done.stdout.strip().endswith("same"), done.stderr


def test_exports_give_the_same_logits_elsewhere(bert_folder, gpt2_folder, tmp_path):
    spectral = train(get_peft_model(classifier(bert_folder), classification(SpectralConfig)))
    wsa.export(spectral, tmp_path / "spectral")
    gated = with_gates(bert_folder, gate="direction")
    wsa.export(gated, tmp_path / "unpruned")
    expected = {"spectral": logits(spectral), "unpruned": logits(gated)}
    wsa.export(gated, tmp_path / "merged", format="merged")
    assert torch.equal(logits(gated), expected["unpruned"])  # the model itself stays as it is
    ranks = wsa.prune(gated).effective
    wsa.export(gated, tmp_path / "pruned")
    gated.save_pretrained(tmp_path / "saved")
    wsa.export(tmp_path / "saved", tmp_path / "of_folder", base_model=bert_folder)
    wsa.export(tmp_path / "saved", tmp_path / "merged_of_folder", format="merged")
    expected |= dict.fromkeys(("pruned", "of_folder"), logits(gated))
    wsa.prune(gated, 10.0)
    wsa.export(gated, tmp_path / "empty")  # only the head is left
    expected["empty"] = logits(gated)
    language = get_peft_model(
        language_model(gpt2_folder),
        WSAConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", gate="singular_value"),
    )
    train(language, labels=INPUTS["input_ids"])
    wsa.export(language, tmp_path / "language")
    wsa.export(language, tmp_path / "merged_language", format="merged")
    assert not list(tmp_path.glob("merged*/*adapter*"))
    assert (tmp_path / "merged/tokenizer.json").exists()  # the tokenizer goes with the model
    elsewhere(
        f"""
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        def on_base(Auto, folder, name):
            torch.manual_seed(5)
            model = PeftModel.from_pretrained(Auto.from_pretrained(folder, **fp32), name)
            assert model.peft_config["default"].peft_type == "LORA"
            return model

        fp32 = dict(dtype=torch.float32)
        for name in {list(expected)}:
            model = on_base(AutoModelForSequenceClassification, {str(bert_folder)!r}, name)
            check(model, name)
            ranks = {{n: m.r["default"] for n, m in model.named_modules() if hasattr(m, "lora_A")}}
            if name == "pruned":
                expected = {ranks}
                assert len(ranks) == sum(r > 0 for r in expected.values())
                for module, rank in ranks.items():
                    assert rank == 2 * expected[module.removeprefix("base_model.model.")]
            assert len(ranks) == 0 or name != "empty"
            check(model.merge_and_unload(), name)
        check(on_base(AutoModelForCausalLM, {str(gpt2_folder)!r}, "language"), "language")

        for name, state in (("merged", "unpruned"), ("merged_of_folder", "pruned")):
            check(AutoModelForSequenceClassification.from_pretrained(name), state)
        check(AutoModelForCausalLM.from_pretrained("merged_language"), "language")
        print("same")
        """,
        tmp_path,
        **expected,
        language=logits(language),
    )


def test_what_cannot_be_exported_is_refused(bert_folder, gpt2_folder, tmp_path):
    with pytest.raises(InputError, match="holds no adapter"):
        wsa.export(tmp_path / "nowhere", tmp_path / "out")
    lora = get_peft_model(classifier(bert_folder), LoraConfig(target_modules=["query"]))
    lora.save_pretrained(tmp_path / "lora")
    with pytest.raises(InputError, match="is an adapter of type"):
        wsa.export(tmp_path / "lora", tmp_path / "out")
    model = with_gates(bert_folder)
    model.save_pretrained(tmp_path / "saved")
    with pytest.raises(InputError, match="unknown format.*'onnx'"):
        wsa.export(model, tmp_path / "out", format="onnx")
    with pytest.raises(InputError, match="cannot be put on"):
        wsa.export(tmp_path / "saved", tmp_path / "out", "merged", base_model=tmp_path / "none")
    plain = get_peft_model(language_model(gpt2_folder), WSAConfig(r=2, target_modules=["c_fc"]))
    plain.save_pretrained(tmp_path / "plain")
    with pytest.raises(InputError, match="what kind of model.*\n.*wsa.export"):
        wsa.export(tmp_path / "plain", tmp_path / "out", format="merged")
    (tmp_path / "saved/adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="adapter_model.safetensors: cannot be read"):
        wsa.export(tmp_path / "saved", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_is_exported_with_a_card_that_loads_it(finished_runs, tmp_path):
    suite, layout = finished_runs
    export_run(suite, "wsa", 0, layout, tmp_path / "lora")
    export_run(suite, "wsa", 0, layout, tmp_path / "merged", format="merged")
    export_run(suite, "lora", 0, layout, tmp_path / "other", format="merged")
    import pandas as pd

    predictions = pd.read_parquet(layout.run(suite.name, "wsa", 0).predictions)
    pruned = predictions[predictions.state == "pruned"]
    validation = pd.read_parquet(layout.data("tiny") / "validation.parquet")
    sentences = validation.set_index("id").loc[pruned.sentence_id, "sentence"].tolist()
    snippets = []
    for name in ("lora", "merged"):
        card = (tmp_path / name / "README.md").read_text(encoding="utf-8")
        right = (pruned.logit_1 > pruned.logit_0).astype(int).to_numpy() == pruned.label.to_numpy()
        assert f"{100 * right.mean():.2f} % on 48 validation sentences, pruned" in card
        snippet = re.search(r"```python\n(.*?)```", card, re.DOTALL).group(1)
        snippets.append(snippet.replace("path/to/this/folder", name))
    assert '"positive": 1' in (tmp_path / "merged/config.json").read_text()
    code = "\n".join(
        [
            "from transformers import AutoTokenizer",
            "tokenizer = AutoTokenizer.from_pretrained('merged')",
            "inputs = tokenizer(saved['sentences'], padding=True, return_tensors='pt')",
            *(
                snippet + "with torch.no_grad(): found = model.eval()(**inputs).logits\n"
                "assert (found - saved['logits']).abs().max() < 1e-5, found"
                for snippet in snippets
            ),
            "print('same')",
        ]
    )
    found = torch.tensor(pruned[["logit_0", "logit_1"]].to_numpy())
    elsewhere(code, tmp_path, sentences=sentences, logits=found)


def test_the_command_line_exports(finished_runs, tmp_path, capsys):
    suite, layout = finished_runs
    roots = [f"--{name}={getattr(layout, name)}" for name in ("config", "resources", "results")]
    assert main([*roots, "export", suite.name, "wsa", "0", str(tmp_path / "run")]) == 0
    assert str(tmp_path / "run/README.md") in capsys.readouterr().out
    pruned = layout.run(suite.name, "wsa", 0).pruned
    model = layout.model(suite.model.name)
    assert main(["export-adapter", str(pruned), str(tmp_path / "folder"), f"--model={model}"]) == 0
    weights = [tmp_path / name / "adapter_model.safetensors" for name in ("run", "folder")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    capsys.readouterr()
    assert main(["export-adapter", str(tmp_path), str(tmp_path / "none")]) == 2
    assert "holds no adapter" in capsys.readouterr().err


def test_runs_that_cannot_be_exported_are_refused(finished_runs, tmp_path):
    suite, layout = finished_runs
    with pytest.raises(InputError, match="'lora' is no spectral adapter.*\n.*--format merged"):
        export_run(suite, "lora", 0, layout, tmp_path / "out")
    with pytest.raises(InputError, match="no such record"):
        export_run(suite, "wsa", 1, layout, tmp_path / "out")
