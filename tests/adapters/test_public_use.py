"""What the README shows, run as it stands, and what it promises about transformers' Trainer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import wsa
from peft import PeftModel, get_peft_model
from tests.helpers.tiny import make_tiny_gpt2
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

SENTENCES = ["the film is wonderful and moving", "the script is dreadful and boring"] * 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A causal language model without dropout, so that a step can be computed twice."""
    none = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    return make_tiny_gpt2(tmp_path_factory.mktemp("gpt2"), **none)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, wsa; assert wsa.__all__; dir(wsa)\n"
        "print([m for m in ('torch', 'transformers', 'peft', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'prun'"):
        _ = wsa.prun


def test_the_readme_example_prunes(folder, tmp_path, monkeypatch):
    """Run as it is typed, with a model and sentences for the names it leaves to the reader."""
    page = (Path(__file__).parents[2] / "README.md").read_text()
    section = page.partition("## Use the adapters elsewhere")[2]
    (example,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [tokenizer(sentence)["input_ids"] for sentence in SENTENCES]
    shortest = min(map(len, rows))  # so that nothing must be padded
    dataset = [{"input_ids": row[:shortest], "labels": row[:shortest]} for row in rows]
    monkeypatch.chdir(tmp_path)
    names = {"model": AutoModelForCausalLM.from_pretrained(folder), "dataset": dataset}
    exec(compile(example, "README.md", "exec"), names)
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), "adapter")
    ranks = wsa.effective_rank(again)
    assert 0 < sum(ranks.values()) < 16 * len(ranks) and len(set(ranks.values())) > 1
    lora = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), "as-lora")
    inputs = torch.tensor([row["input_ids"] for row in dataset])
    losses = []
    for candidate in (AutoModelForCausalLM.from_pretrained(folder), names["model"], again, lora):
        with torch.no_grad():
            losses.append(candidate.eval()(input_ids=inputs, labels=inputs).loss.item())
    before, merged, *others = losses
    assert merged < before - 0.5
    assert others == pytest.approx([merged, merged], abs=1e-5)


def language_model(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    # transformers does not see it in the name GPT2LMHeadModel, and counts a label too many
    model.loss_type = "ForCausalLM"
    return model


def rows():
    torch.manual_seed(0)
    ids = torch.randint(1, 200, (4, 9))
    labels = ids.clone()
    labels[0, 4:] = -100  # parts of a step with unequal numbers of labels
    return [{"input_ids": ids[i], "labels": labels[i]} for i in range(len(ids))]


@pytest.mark.parametrize("task_type", [None, "CAUSAL_LM"])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_trainer_adds_the_penalty_once_a_step(parts, task_type, folder, tmp_path):
    """One step of gradient descent is −rate · (∂ mean cross-entropy + λ sign g), however split."""
    l1, rate, data = 0.25, 1e-2, rows()
    config = wsa.WSAConfig(r=4, target_modules=["c_fc"], l1=l1, task_type=task_type)
    model = get_peft_model(language_model(folder), config)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "spectral_A" in name:
            parameter.data.normal_(std=0.1)
    gates = {n: p for n, p in model.named_parameters() if "spectral_gate" in n}
    model.eval()
    batch = {key: torch.stack([row[key] for row in data]) for key in data[0]}
    logits = model(input_ids=batch["input_ids"]).logits[:, :-1]
    loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
    slopes = torch.autograd.grad(loss, list(gates.values()))
    expected = [
        (p - rate * (slope + l1 * p.sign())).detach()
        for p, slope in zip(gates.values(), slopes, strict=True)
    ]
    trainer = Trainer(
        model,
        TrainingArguments(
            str(tmp_path), max_steps=1, per_device_train_batch_size=4 // parts,
            gradient_accumulation_steps=parts, lr_scheduler_type="constant", max_grad_norm=0,
            save_strategy="no", report_to="none", use_cpu=True,
        ),
        train_dataset=data,
        optimizers=(torch.optim.SGD(list(gates.values()), rate), None),
    )  # fmt: skip
    trainer.train()
    for found, wanted in zip(gates.values(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=0, atol=1e-7)


def test_evaluation_is_without_the_penalty(folder, tmp_path):
    data = rows()[1:]
    model = get_peft_model(
        language_model(folder),
        wsa.WSAConfig(r=4, target_modules=["c_fc"], l1=10.0, task_type="CAUSAL_LM"),
    )
    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    found = Trainer(model, arguments, eval_dataset=data).evaluate()["eval_loss"]
    ids = torch.stack([row["input_ids"] for row in data])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[:, :-1]
    assert found == pytest.approx(
        F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).item()
    )


def test_gates_have_their_own_rate_and_vectors_no_decay(folder):
    model = get_peft_model(language_model(folder), wsa.WSAConfig(r=4, target_modules=["c_fc"]))
    names = {id(p): name for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(wsa.parameter_groups(model, 1e-3, 5e-2), weight_decay=0.5)
    seen = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gate = "spectral_gate" in names[id(parameter)]
            assert (group["lr"], group["weight_decay"]) == ((5e-2, 0.0) if gate else (1e-3, 0.5))
            seen.append(names[id(parameter)])
    assert sorted(seen) == sorted(n for n, p in model.named_parameters() if p.requires_grad)
