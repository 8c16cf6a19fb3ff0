"""Tiny models with adapters of PEFT, and a few steps of training."""

from __future__ import annotations

import torch
from peft import TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from wsa.adapters import SpectralLayer, WSAConfig

ATTENTION = ["query", "key", "value"]
HEAD = ["classifier", "pooler.dense"]
INPUTS = {
    "input_ids": torch.tensor([[1, 40, 50, 60, 70, 2], [1, 45, 55, 2, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
}
LABELS = torch.tensor([0, 1])


def classifier(folder, dtype=torch.float32):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=dtype)


def language_model(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def classification(kind=WSAConfig, **arguments):
    arguments = {"r": 4, "target_modules": ATTENTION, "modules_to_save": list(HEAD)} | arguments
    return kind(task_type=TaskType.SEQ_CLS, **arguments)


def logits(model, inputs=INPUTS):
    model.eval()
    with torch.no_grad():
        return model(**inputs).logits


def train(model, inputs=INPUTS, labels=LABELS, steps=3, rate=3e-2):
    """A few steps on everything that trains."""
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
    return model


def spectral_layers(model) -> dict[str, SpectralLayer]:
    return {n: m for n, m in model.named_modules() if isinstance(m, SpectralLayer)}


def with_gates(folder, seed=0, **arguments):
    """A classifier whose gated adapters are far from their start and at different ranks."""
    model = get_peft_model(classifier(folder), classification(**arguments))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "spectral_" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
        first = next(iter(spectral_layers(model).values()))
        first.spectral_gate["default"].zero_()  # a module that loses all directions
    return model
