"""Models whose hidden states are adapted, and BERT written out as an oracle for them."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable
from pathlib import Path

import torch
from tests.helpers.fresh import run_python
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
)
from wsa.learning.optimise import optimise

HEAD = ["classifier", "pooler.dense"]
SIZES = {
    **{"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4},
    **{"intermediate_size": 48, "max_position_embeddings": 64, "num_labels": 2},
}
INPUTS = {
    "input_ids": torch.tensor([[1, 40, 50, 6, 7, 9, 2], [1, 45, 55, 8, 2, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]]),
}


def bert() -> BertForSequenceClassification:
    """A BERT of three layers with random weights, attention far from uniform."""
    torch.manual_seed(0)
    return _wider(BertForSequenceClassification(BertConfig(**SIZES)))


def deberta() -> DebertaV2ForSequenceClassification:
    """The same in DeBERTa-v3's settings."""
    torch.manual_seed(0)
    config = DebertaV2Config(
        **SIZES, relative_attention=True, position_buckets=32, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
        type_vocab_size=0, max_relative_positions=-1, pooler_hidden_size=32,
    )  # fmt: skip
    return _wider(DebertaV2ForSequenceClassification(config))


def _wider(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" not in name:
                parameter.mul_(8)
    return model


def stock_and_fast(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The model, and a copy whose last layer computes its first token alone."""
    fast = optimise(copy.deepcopy(model))
    encoder = next(m for name, m in fast.named_modules() if name.endswith("encoder"))
    assert hasattr(encoder.layer[-1], "first_token")
    return model, fast


def far_from_start(model: nn.Module, prefix: str) -> nn.Module:
    """Every weight of the tuner set to something that depends on its place among them alone."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if prefix in name:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(0.3 * noise)
    return model


def logits(model: nn.Module, inputs: dict[str, Tensor] = INPUTS) -> Tensor:
    """Without dropout."""
    model.eval()
    with torch.no_grad():
        return model(**inputs).logits


def normed(norm: nn.LayerNorm, s: Tensor) -> Tensor:
    """Layer norm as it is defined."""
    centred = s - s.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def bert_by_hand(
    model: BertForSequenceClassification,
    inputs: dict[str, Tensor],
    attention: Callable[[int, Tensor], Tensor] = lambda layer, h: h,
    feed_forward: Callable[[int, Tensor], Tensor] = lambda layer, h: h,
    end: Callable[[int, Tensor, nn.LayerNorm], Tensor] = lambda layer, s, norm: normed(norm, s),
) -> Tensor:
    """The logits of a BERT without dropout, all tokens computed in every layer.

    Args:
        model: a plain one.
        inputs: ids and mask.
        attention: what becomes of the attention's last linear output, in each layer.
        feed_forward: the same of the feed-forward block's.
        end: what comes of the residual sum at a layer's end, and its norm.
    """
    x = model.bert.embeddings(inputs["input_ids"])
    seen = inputs["attention_mask"][:, None, None].to(x.dtype)
    mask = (1 - seen) * torch.finfo(x.dtype).min
    for number, layer in enumerate(model.bert.encoder.layer):
        h = attention(number, layer.attention.output.dense(layer.attention.self(x, mask)[0]))
        x = normed(layer.attention.output.LayerNorm, h + x)
        h = feed_forward(number, layer.output.dense(layer.intermediate(x)))
        x = end(number, h + x, layer.output.LayerNorm)
    return model.classifier(torch.tanh(model.bert.pooler.dense(x[:, 0])))


def logits_in_a_new_process(module: str, make: str, folder: Path) -> Tensor:
    """The logits that an adapter saved in `folder` gives where `module` alone was imported.

    Args:
        module: the tuner's.
        make: the name of a function of this module that makes the pretrained model.
        folder: the adapter's.
    """
    code = f"""
        import torch, {module}
        from peft import PeftModel
        from tests.helpers import hidden
        from wsa.learning.optimise import optimise
        model = PeftModel.from_pretrained(optimise(hidden.{make}()), {str(folder)!r})
        torch.save(hidden.logits(model), {str(folder / "logits.pt")!r})
    """
    done = run_python(["-c", textwrap.dedent(code)], Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "logits.pt")
