"""What the README shows, run as it stands, and what it promises about transformers' Trainer."""

import subprocess
import sys

import pytest
import torch
import wsa
from peft import get_peft_model
from tests.helpers.tiny import make_tiny_gpt2
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

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


def test_the_readme_example(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base_model, sentences = str(folder), SENTENCES
    # --- README: from here
    import torch
    import wsa
    from peft import PeftModel, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    model = AutoModelForCausalLM.from_pretrained(base_model)
    model = get_peft_model(
        model, wsa.WSAConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM")
    )

    steps = 40
    groups = wsa.parameter_groups(model, learning_rate=1e-2, gate_learning_rate=6 / steps)
    trainer = Trainer(
        model,
        TrainingArguments("checkpoints", max_steps=steps, save_strategy="no", report_to="none"),
        train_dataset=[tokenizer(sentence) for sentence in sentences],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        optimizers=(torch.optim.AdamW(groups), None),
    )
    trainer.train()  # the ℓ1 term of the gates is in the model's loss

    print(wsa.effective_rank(model))  # module → directions still in use
    wsa.prune(model)  # drops the others
    model.save_pretrained("adapter")

    model = AutoModelForCausalLM.from_pretrained(base_model)
    model = PeftModel.from_pretrained(model, "adapter")  # every module at its own rank
    wsa.export(model, "lora")  # an ordinary LoRA adapter, for whoever has no wsa
    model = model.merge_and_unload()  # a plain model
    # --- README: to here
    ranks = wsa.effective_rank(
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), "adapter")
    )
    assert 0 < sum(ranks.values()) < 16 * len(ranks) and len(set(ranks.values())) > 1
    inputs = tokenizer(sentences[:2], return_tensors="pt", padding=True)
    losses = []
    lora = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_model), "lora")
    for candidate in (AutoModelForCausalLM.from_pretrained(base_model), model, lora):
        with torch.no_grad():
            losses.append(candidate.eval()(**inputs, labels=inputs["input_ids"]).loss.item())
    before, merged, as_lora = losses
    assert merged < before - 0.5
    assert as_lora == pytest.approx(merged, abs=1e-5)


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
