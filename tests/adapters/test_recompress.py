"""Cutting a low-rank change by estimated loss, against dense matrices and against the loss."""

import numpy as np
import pytest
import scipy.linalg
import torch
import wsa
from peft import LoraConfig, PeftModel, get_peft_model
from tests.helpers.tiny import make_sentences
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from wsa.adapters import SpectralConfig
from wsa.adapters.recompress import changes_of, cut_changes, measure_curvatures

R = 6


class Output:
    def __init__(self, loss):
        self.loss = loss


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(9, 7), nn.Linear(7, 8)

    def forward(self, x, y=None):
        out = self.second(torch.tanh(self.first(x)))
        return Output(((out - y) ** 2).sum(-1).mean())


CONFIGS = {
    "lora": LoraConfig(r=R, lora_alpha=3 * R, target_modules=["first", "second"]),
    "spectral": SpectralConfig(r=R // 2, target_modules=["first", "second"]),
}


def adapted(kind: str):
    model = get_peft_model(TwoLayers().double(), CONFIGS[kind])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    return model


def batches(n: int = 3):
    generator = torch.Generator().manual_seed(1)
    return [
        {"x": torch.randn(40, 9, generator=generator, dtype=torch.float64),
         "y": torch.randn(40, 8, generator=generator, dtype=torch.float64)}
        for _ in range(n)
    ]  # fmt: skip


def dense_weights(model) -> list[np.ndarray]:
    """What every linear module multiplies by, found by putting the unit vectors in."""
    found = []
    for name, size in (("first", 9), ("second", 7)):
        layer = model.base_model.model.get_submodule(name)
        with torch.no_grad():
            found.append(
                layer(torch.eye(size, dtype=torch.float64)) - layer(torch.zeros(size).double())
            )
    return [weight.T.numpy() for weight in found]


def by_hand(model, budget: int) -> list[np.ndarray]:
    """The cut changes as dense matrices: moments by explicit gradients, roots by scipy."""
    pretrained = TwoLayers().double()
    bases = [w.detach().numpy() for w in (pretrained.first.weight, pretrained.second.weight)]
    weights = [torch.tensor(w) for w in dense_weights(model)]
    biases = [pretrained.first.bias.detach(), pretrained.second.bias.detach()]
    C, G = [np.zeros((9, 9)), np.zeros((7, 7))], [np.zeros((7, 7)), np.zeros((8, 8))]
    for batch in batches():
        first = (batch["x"] @ weights[0].T + biases[0]).requires_grad_()
        hidden = torch.tanh(first)
        second = hidden @ weights[1].T + biases[1]
        loss = ((second - batch["y"]) ** 2).sum(-1).mean()
        gradients = torch.autograd.grad(loss, [first, second])
        for place, (x, delta) in enumerate(zip((batch["x"], hidden), gradients, strict=True)):
            C[place] += sum(np.outer(row, row) for row in x.detach().numpy())
            G[place] += sum(np.outer(row, row) for row in delta.numpy())
    parts = []
    for place in range(2):
        D = weights[place].numpy() - bases[place]
        g, c = (scipy.linalg.sqrtm(M[place]).real for M in (G, C))
        left, sigma, _ = np.linalg.svd(g @ D @ c)
        for i, s in enumerate(sigma):
            p = left[:, i : i + 1]
            parts.append((s, place, np.linalg.inv(g) @ p @ p.T @ g @ D))
    cut = [np.zeros_like(base) for base in bases]
    for _, place, part in sorted(parts, key=lambda part: -part[0])[:budget]:
        cut[place] += part
    return cut


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("target", [0.5, 2, 3.5])
def test_what_is_kept_is_what_the_dense_matrices_say(kind, target):
    expected = by_hand(adapted(kind), round(2 * target))
    model = wsa.recompress(adapted(kind), target, batches())
    bases = [
        w.detach().numpy()
        for w in (TwoLayers().double().first.weight, TwoLayers().double().second.weight)
    ]
    for found, base, change in zip(dense_weights(model), bases, expected, strict=True):
        np.testing.assert_allclose(found - base, change, atol=1e-5)
    kept = sum(len(A) for A, _ in changes_of(model).values())
    assert kept == round(2 * target)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_cut_to_the_full_rank_changes_nothing(kind):
    before, loss = dense_weights(adapted(kind)), adapted(kind)(**batches()[0]).loss.item()
    model = wsa.recompress(adapted(kind), R, batches())
    for found, expected in zip(dense_weights(model), before, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model(**batches()[0]).loss.item() == pytest.approx(loss, abs=1e-5)


def test_the_loss_minds_it_less_than_a_plain_cut():
    """What it is for: a plain decomposition of the changes keeps other directions."""
    kind, budget = "lora", 4
    full = adapted(kind)
    plain = []
    for weight, base in zip(
        dense_weights(full), (TwoLayers().first, TwoLayers().second), strict=True
    ):
        D = weight - base.weight.detach().double().numpy()
        left, sigma, right = np.linalg.svd(D)
        plain += [(s, left[:, i], right[i], len(plain)) for i, s in enumerate(sigma)]

    def logits(model):
        second = model.base_model.model.second
        kept = []
        hook = second.register_forward_hook(lambda *args: kept.append(args[2].detach()))
        for batch in batches():
            model(**batch)
        hook.remove()
        return torch.cat(kept)

    exact = logits(full)
    curvatures = measure_curvatures(full, changes_of(full), batches())
    naive = {
        name: (torch.eye(A.shape[0]).double() @ A, B) for name, (A, B) in changes_of(full).items()
    }
    identity = {
        name: type(c)(
            torch.eye(len(c.inputs)).double(), torch.eye(len(c.output_gradients)).double()
        )
        for name, c in curvatures.items()
    }
    errors = []
    for moments in (curvatures, identity):
        model = adapted(kind)
        with torch.no_grad():
            for name, (A, B) in cut_changes(naive, moments, budget).items():
                layer = model.base_model.model.get_submodule(name)
                layer.lora_A["default"].weight.zero_()[: len(A)] = A
                layer.lora_B["default"].weight.zero_()[:, : len(A)] = B / layer.scaling["default"]
        errors.append((logits(model) - exact).square().mean().item())
    assert errors[0] < errors[1]


def test_pairs_of_factors_are_balanced():
    model = adapted("spectral")
    cut = cut_changes(changes_of(model), measure_curvatures(model, changes_of(model), batches()), 5)
    for A, B in cut.values():
        torch.testing.assert_close(A.norm(dim=1), B.norm(dim=0))


def test_a_classifier_keeps_its_head_and_loads_as_plain_lora(bert_folder, tmp_path):
    def pretrained():
        torch.manual_seed(3)
        return AutoModelForSequenceClassification.from_pretrained(bert_folder, num_labels=2)

    tokenizer = AutoTokenizer.from_pretrained(bert_folder)
    texts, labels = zip(*make_sentences(24), strict=True)
    batch = dict(tokenizer(list(texts), padding=True, return_tensors="pt"))
    batch["labels"] = torch.tensor(labels)
    config = SpectralConfig(
        task_type="SEQ_CLS", r=6, directions="spread", scale=1.0,
        target_modules=["query", "value"], modules_to_save=["classifier"],
    )  # fmt: skip
    model = get_peft_model(pretrained(), config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(5):
        model.train()(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    head = model.base_model.model.classifier.modules_to_save["default"].weight.detach().clone()
    random = torch.get_rng_state()
    cut = wsa.recompress(model, 2, [batch])
    assert torch.equal(torch.get_rng_state(), random)
    found = cut.base_model.model.classifier.modules_to_save["default"].weight
    assert torch.equal(found, head) and found.requires_grad
    names = [name for name, p in cut.named_parameters() if p.requires_grad]
    assert names and all("lora_" in name or "classifier" in name for name in names)
    cut.train()(**batch).loss.backward()
    assert all(p.grad is not None for p in cut.parameters() if p.requires_grad)
    cut.save_pretrained(str(tmp_path))
    again = PeftModel.from_pretrained(pretrained(), str(tmp_path))
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    with torch.no_grad():
        expected, loaded = cut.eval()(**inputs).logits, again.eval()(**inputs).logits
        merged = again.merge_and_unload()(**inputs).logits
    torch.testing.assert_close(loaded, expected)
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="at most 6"):
        wsa.recompress(adapted("lora"), 7, batches())
    with pytest.raises(ValueError, match="there is none"):
        wsa.recompress(adapted("lora"), 2, [])
    dora = get_peft_model(TwoLayers(), LoraConfig(target_modules=["first"], use_dora=True))
    with pytest.raises(ValueError, match="only plain LoRA"):
        wsa.recompress(dora, 2, batches())
    merged = adapted("spectral")
    merged.merge_adapter()
    with pytest.raises(ValueError, match="unmerged"):
        wsa.recompress(merged, 2, batches())
