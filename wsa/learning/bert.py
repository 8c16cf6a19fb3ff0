"""BERT as a classifier without what its classifier never reads: the same numbers in less time.

The pooler reads the first token alone, so the last layer needs keys and values of all tokens, and
everything else of the first.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
import transformers
from jaxtyping import Float
from torch import Tensor, nn
from transformers.models.bert import modeling_bert as stock

from wsa.learning.first_token import add_and_norm, drop_first, tell_last_layer


def first_token_last(model: nn.Module) -> nn.Module:
    """Let the last layer of a BERT sequence classifier compute its first token alone, in place.

    Logits and gradients are those of the stock code within float32's round-off, and on a CPU
    dropout draws the same masks from the same random stream. A call that asks for hidden states or
    attentions gets all of them. Any other model stays as it is, and so does this one, with a
    warning, where the installed transformers computes something else than this module knows.

    Returns:
        the same object.
    """
    if type(model) is not stock.BertForSequenceClassification:
        return model
    last = model.bert.encoder.layer[-1]
    if type(last) is not stock.BertLayer or last.is_decoder or last.add_cross_attention:
        return model
    if not _same_outputs(last):
        warnings.warn(
            f"transformers {transformers.__version__}: BERT's layer is not the one that "
            "wsa.learning.bert speeds up; the stock code runs instead, more slowly",
            stacklevel=2,
        )
        return model
    last.__class__ = LastLayer
    tell_last_layer(model, last, arguments=6)
    return model


class LastLayer(stock.BertLayer):
    """A layer that computes the first token alone while `first_token` is set."""

    first_token = False

    def forward(
        self,
        hidden_states: Float[Tensor, "batch length hidden"],
        attention_mask: Tensor | None = None,
        *args: Any,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> Float[Tensor, "batch tokens hidden"]:
        """As the stock forward; `tokens` is 1 while `first_token` is set."""
        # a prefix brings keys and values of its own
        if not self.first_token or past_key_values is not None:
            return super().forward(
                hidden_states, attention_mask, *args, past_key_values=past_key_values, **kwargs
            )
        length, first = hidden_states.size(1), hidden_states[:, :1]
        context = _attend(self.attention.self, hidden_states, attention_mask)
        attended = add_and_norm(self.attention.output, context, first, length)
        return add_and_norm(self.output, self.intermediate(attended), attended, length)


def _attend(
    attention: stock.BertSelfAttention,
    hidden_states: Float[Tensor, "batch length hidden"],
    attention_mask: Tensor | None,
) -> Float[Tensor, "batch 1 hidden"]:
    """What the first token gathers from all of them."""

    def heads(x: Tensor) -> Float[Tensor, "batch heads tokens size"]:
        return x.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    query = heads(attention.query(hidden_states[:, :1])) * attention.scaling
    key, value = heads(attention.key(hidden_states)), heads(attention.value(hidden_states))
    scores = query @ key.transpose(-1, -2)
    if attention_mask is not None:
        row = attention_mask[:, :, :1]  # true, or 0, where a token is seen
        if row.dtype == torch.bool:
            scores = scores.masked_fill(~row, torch.finfo(scores.dtype).min)
        else:
            scores = scores + row
    probabilities = drop_first(attention.dropout, scores.softmax(-1), hidden_states.size(1))
    return (probabilities @ value).transpose(1, 2).flatten(2)


@torch.no_grad()
def _same_outputs(layer: stock.BertLayer) -> bool:
    """Whether the layer as `LastLayer` gives the first token that it gives as it is."""
    probe = copy.deepcopy(layer).to("cpu", torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 3, probe.attention.self.query.in_features, generator=generator)
    mask = torch.zeros(2, 1, 3, 3)  # what is added to the scores
    mask[1, :, :, 2] = torch.finfo(mask.dtype).min
    try:
        expected = probe(hidden, mask)[:, :1]
        probe.__class__ = LastLayer
        probe.first_token = True
        found = probe(hidden, mask)
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError):
        return False
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
