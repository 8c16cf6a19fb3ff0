"""DeBERTa-v2/v3 without the waste of its stock attention: the same numbers in less time.

transformers projects all relative positions (512 in DeBERTa-v3) at every layer, repeats them per
sentence of the batch and gathers from the scores against all of them. A sentence of N tokens can
only be 1-N to N-1 apart, so here the 2N positions it may use are projected, once per batch, and
their scores are brought into place by views. And a classifier reads nothing but the first token of
the last layer, so there the others are computed no further than that token needs them.

Projections are always called as modules: an adapter around one acts on tokens and positions alike,
as it does in the stock code.

Disentangled attention: He et al., "DeBERTa", ICLR 2021, equation 4.
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Callable

import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.models.deberta_v2 import modeling_deberta_v2 as stock

from wsa.learning.first_token import add_and_norm, drop_first, tell_last_layer


def optimise(model: nn.Module) -> nn.Module:
    """Make a DeBERTa-v2/v3 model faster in place; leave every other architecture alone.

    What changes: `compact_relative_positions`, `first_token_last`, and `config.problem_type`,
    without which the loss selects its labels by `nonzero()` and makes the host wait for the
    accelerator.

    Returns:
        the same object.
    """
    config = getattr(model, "config", None)
    if getattr(config, "model_type", None) != "deberta-v2":
        return model
    if getattr(config, "num_labels", 0) > 1 and config.problem_type is None:
        config.problem_type = "single_label_classification"
    return first_token_last(compact_relative_positions(model))


def compact_relative_positions(model: nn.Module) -> nn.Module:
    """Let every attention of a DeBERTa-v2/v3 model use only the relative positions it needs.

    Logits and gradients are those of the stock code within float32's round-off, and dropout draws
    the same masks from the same random stream. Sentences so long that positions share an
    embedding (over 129 tokens in DeBERTa-v3) take the stock code. State dicts do not change.
    Call it before adapters are attached: an adapter with dropout of its own sees fewer positions
    than in the stock code, so its masks are others, of the same distribution.

    Where the installed transformers computes something else than this module knows, a warning is
    given and the model stays as it is.

    Returns:
        the same object.
    """
    attentions = [m for m in model.modules() if type(m) is stock.DisentangledSelfAttention]
    if not attentions or not attentions[0].relative_attention:
        return model
    if not _same_outputs(_probe_attention, attentions[0], CompactSelfAttention):
        _warn("attention")
        return model
    for attention in attentions:
        attention.__class__ = CompactSelfAttention
    for module in model.modules():
        if type(module) is stock.DebertaV2Encoder:
            module.__class__ = CompactEncoder
    return model


def first_token_last(model: nn.Module) -> nn.Module:
    """Let the last layer of a sequence classifier compute its first token alone.

    Logits and gradients are those of the stock code within float32's round-off, and dropout draws
    the same masks from the same random stream. A call that asks for hidden states or attentions
    gets all of them. Works after `compact_relative_positions`, and leaves any other model alone.

    Returns:
        the same object.
    """
    if (
        type(model) is not stock.DebertaV2ForSequenceClassification
        or type(model.pooler) is not stock.ContextPooler
        or type(model.deberta.encoder) is not CompactEncoder
    ):
        return model
    layers = model.deberta.encoder.layer
    # the convolution of some models follows the first layer and reads all of its tokens
    if type(layers[-1]) is not stock.DebertaV2Layer or len(layers) == 1:
        return model
    if not _same_outputs(_probe_layer, layers[-1], LastLayer):
        _warn("layer")
        return model
    layers[-1].__class__ = LastLayer
    tell_last_layer(model, layers[-1], arguments=6)
    return model


class LastLayer(stock.DebertaV2Layer):
    """A layer that computes the first token alone while `first_token` is set."""

    first_token = False

    def forward(
        self,
        hidden_states: Float[Tensor, "batch length hidden"],
        attention_mask: Int[Tensor, "batch 1 length length"],
        query_states: Float[Tensor, "batch length hidden"] | None = None,
        relative_pos: Int[Tensor, "1 length length"] | None = None,
        rel_embeddings: Float[Tensor, "positions hidden"] | None = None,
        output_attentions: bool = False,
    ) -> tuple[Float[Tensor, "batch tokens hidden"], Tensor | None]:
        """As the stock forward; `tokens` is 1 while `first_token` is set."""
        length, attention = hidden_states.size(1), self.attention
        if not self.first_token or relative_pos is not None or not attention.self.compacts(length):
            return super().forward(
                hidden_states,
                attention_mask,
                query_states,
                relative_pos,
                rel_embeddings,
                output_attentions,
            )
        context = attention.self.first_token(hidden_states, attention_mask, rel_embeddings)
        attended = add_and_norm(attention.output, context, hidden_states[:, :1], length)
        return add_and_norm(self.output, self.intermediate(attended), attended, length), None


class CompactEncoder(stock.DebertaV2Encoder):
    """Builds the table of relative positions once per length, and only where one is needed."""

    def get_rel_pos(self, hidden_states, query_states=None, relative_pos=None):
        if relative_pos is not None or query_states is not None:
            return super().get_rel_pos(hidden_states, query_states, relative_pos)
        length = hidden_states.size(-2)
        if all(layer.attention.self.compacts(length) for layer in self.layer):
            return None
        return _relative_positions(
            length, self.position_buckets, self.max_relative_positions, hidden_states.device
        )


class CompactSelfAttention(stock.DisentangledSelfAttention):
    """Disentangled self-attention over the relative positions that a batch can use."""

    def compacts(self, length: int) -> bool:
        """Whether every relative position among `length` tokens has an embedding of its own."""
        # from position_buckets // 2 tokens apart on, positions share logarithmic buckets
        buckets = self.position_buckets
        return length <= (buckets // 2 + 1 if buckets > 0 else self.max_relative_positions)

    def forward(
        self,
        hidden_states: Float[Tensor, "batch length hidden"],
        attention_mask: Int[Tensor, "batch 1 length length"],
        output_attentions: bool = False,
        query_states: Float[Tensor, "batch length hidden"] | None = None,
        relative_pos: Int[Tensor, "1 length length"] | None = None,
        rel_embeddings: Float[Tensor, "positions hidden"] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As the stock forward; `relative_pos` None means query position minus key position."""
        length = hidden_states.size(1)
        if query_states is not None or relative_pos is not None or not self.compacts(length):
            return super().forward(
                hidden_states,
                attention_mask,
                output_attentions,
                query_states,
                relative_pos,
                rel_embeddings,
            )
        # dropout before the cut: the stock code draws a mask for all positions
        middle = self.pos_ebd_size
        positions = self.pos_dropout(rel_embeddings)[middle - length : middle + length]
        query, key, value, position_query, position_key = self._projections(
            hidden_states, hidden_states, positions
        )
        scores = query @ key.transpose(-1, -2)
        if position_key is not None:
            # position i - j belongs in column j of row i: reversed, the columns rise with j
            to_position = self._position_scores(query, position_key.flip(-2))
            scores = scores + _skew(to_position, length - 1)
        if position_query is not None:
            from_position = self._position_scores(key, position_query)
            scores = scores + _skew(from_position, length).transpose(-1, -2)
        probabilities = self.dropout(_probabilities(scores, attention_mask))
        context = (probabilities @ value).transpose(1, 2).flatten(2)
        return context, (probabilities if output_attentions else None)

    def first_token(
        self,
        hidden_states: Float[Tensor, "batch length hidden"],
        attention_mask: Int[Tensor, "batch 1 length length"],
        rel_embeddings: Float[Tensor, "positions hidden"],
    ) -> Float[Tensor, "batch 1 hidden"]:
        """The first token of what `forward` gives, where the length is one that `compacts`."""
        length, middle = hidden_states.size(1), self.pos_ebd_size
        # row j is the position of the first token seen from token j
        positions = self.pos_dropout(rel_embeddings)[middle - length + 1 : middle + 1].flip(0)
        query, key, value, position_query, position_key = self._projections(
            hidden_states[:, :1], hidden_states, positions
        )
        scores = query @ key.transpose(-1, -2)
        if position_key is not None:
            scores = scores + query @ position_key.transpose(-1, -2)
        if position_query is not None:
            scores = scores + (key * position_query).sum(-1).unsqueeze(-2)
        probabilities = _probabilities(scores, attention_mask[:, :, :1])
        context = drop_first(self.dropout, probabilities, length) @ value
        return context.transpose(1, 2).flatten(2)

    def _projections(
        self,
        queries: Float[Tensor, "batch queries hidden"],
        tokens: Float[Tensor, "batch length hidden"],
        positions: Float[Tensor, "positions hidden"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """By heads: queries, keys and values, then positions as queries and as keys.

        Queries are scaled. Positions are None where attention has no such term.
        """
        query, position_query = self._project("query", "p2c", queries, positions)
        key, position_key = self._project("key", "c2p", tokens, positions)
        value = self._heads(self.value_proj(tokens))
        terms = 1 + (position_key is not None) + (position_query is not None)
        scale = math.sqrt(self.attention_head_size * terms)
        if position_query is not None:
            position_query = position_query / scale
        return query / scale, key, value, position_query, position_key

    def _project(
        self,
        name: str,
        kind: str,
        tokens: Float[Tensor, "batch length hidden"],
        positions: Float[Tensor, "positions hidden"],
    ) -> tuple[
        Float[Tensor, "batch heads length size"], Float[Tensor, "1 heads positions size"] | None
    ]:
        """Tokens and, if attention is of this `kind`, positions as queries or keys, by heads.

        Where one module projects both, it is called once: an adapter in it then computes its
        weights once.
        """
        projection = getattr(self, f"{name}_proj")
        if kind not in self.pos_att_type:
            return self._heads(projection(tokens)), None
        if not self.share_att_key:
            position_projection = getattr(self, f"pos_{name}_proj")
            projected = projection(tokens), position_projection(positions.unsqueeze(0))
        else:
            joined = projection(torch.cat((tokens.flatten(0, 1), positions)).unsqueeze(0))
            of_tokens, of_positions = joined.split((tokens.shape[:2].numel(), len(positions)), 1)
            projected = of_tokens.unflatten(1, tokens.shape[:2])[0], of_positions
        return self._heads(projected[0]), self._heads(projected[1])

    def _heads(self, x: Float[Tensor, "batch n hidden"]) -> Float[Tensor, "batch heads n size"]:
        return x.unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)

    def _position_scores(
        self,
        tokens: Float[Tensor, "batch heads length size"],
        positions: Float[Tensor, "1 heads positions size"],
    ) -> Float[Tensor, "batch heads length positions"]:
        """Each token against each position, all sentences in one product per head."""
        batch, _, length, _ = tokens.shape
        joined = tokens.transpose(0, 1).flatten(1, 2)
        scores = torch.bmm(joined, positions[0].transpose(-1, -2))
        return scores.unflatten(1, (batch, length)).transpose(0, 1)


def _skew(
    scores: Float[Tensor, "batch heads n 2*n"], offset: int
) -> Float[Tensor, "batch heads n n"]:
    """Entry [i, j] of the result is entry [i, j - i + offset] of `scores`; a view."""
    n = scores.size(-2)
    flat = scores.flatten(-2)[..., offset : offset + n * (2 * n - 1)]
    return flat.unflatten(-1, (n, 2 * n - 1))[..., :n]


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # a table made while evaluating must serve training as well
def _relative_positions(
    length: int, buckets: int, max_position: int, device: torch.device
) -> Int[Tensor, "1 length length"]:
    """The stock table of (bucketed) relative positions."""
    tokens = torch.empty(length, 1, device=device)
    return stock.build_relative_position(tokens, tokens, buckets, max_position)


def _probabilities(
    scores: Float[Tensor, "batch heads queries keys"],
    attention_mask: Int[Tensor, "batch 1 queries keys"],
) -> Float[Tensor, "batch heads queries keys"]:
    blocked: Bool[Tensor, "batch 1 queries keys"] = ~attention_mask.bool()
    scores = scores.masked_fill(blocked, torch.finfo(scores.dtype).min)
    return nn.functional.softmax(scores, dim=-1)


# --- is it still the code that this module knows? ------------------------------------------------


def _warn(part: str) -> None:
    warnings.warn(
        f"transformers {transformers.__version__}: DeBERTa's {part} is not the one that "
        "wsa.learning.deberta speeds up; the stock code runs instead, more slowly",
        stacklevel=3,
    )


@torch.no_grad()
def _same_outputs(
    run: Callable[[nn.Module, dict[str, Tensor]], Tensor], module: nn.Module, faster: type
) -> bool:
    """Whether a module as `faster` gives what it gives as it is, dropout included."""
    probe = copy.deepcopy(module).to("cpu", torch.float32).train()
    attention = module if isinstance(module, stock.DisentangledSelfAttention) else None
    attention = attention or module.attention.self
    generator = torch.Generator().manual_seed(0)
    width = attention.query_proj.in_features
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    inputs = {
        "hidden_states": torch.randn(2, 3, width, generator=generator),
        "attention_mask": mask[:, None, :, None] * mask[:, None, None, :],
        "rel_embeddings": torch.randn(2 * attention.pos_ebd_size, width, generator=generator),
    }
    outputs = []
    with torch.random.fork_rng(devices=[]):
        for kind in (type(module), faster):
            probe.__class__ = kind
            torch.manual_seed(0)
            try:
                outputs.append(run(probe, inputs))
            except (AttributeError, TypeError, ValueError, RuntimeError, IndexError):
                return False
    return torch.allclose(*outputs, rtol=1e-4, atol=1e-5)


def _probe_attention(attention: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    return attention(**inputs)[0]


def _probe_layer(layer: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    layer.first_token = True
    return layer(**inputs)[0][:, :1]
