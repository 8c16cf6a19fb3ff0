"""A classifier reads the first token of the last layer: what models of any kind need to stop there.

The last layer of a model is told by a hook before each call, and computes all tokens again where a
caller wants more than logits.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


def tell_last_layer(model: nn.Module, layer: nn.Module, arguments: int) -> None:
    """Let `layer.first_token` be true during calls of `model` that want logits alone.

    Args:
        model: a sequence classifier of transformers.
        layer: its last layer.
        arguments: how many positional arguments of a call say nothing about what is wanted.
    """

    def first_token_is_enough(model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        config = model.config
        more = [kwargs.get(key) for key in ("output_hidden_states", "output_attentions")]
        defaults = [config.output_hidden_states, config.output_attentions]
        wanted = [
            default if asked is None else asked
            for asked, default in zip(more, defaults, strict=True)
        ]
        # a checkpointed layer runs again on the way back, when this hook has not been called
        checkpointed = getattr(layer, "gradient_checkpointing", False)
        layer.first_token = not (any(wanted) or len(args) > arguments or checkpointed)

    def all_tokens_again(model: nn.Module, args: tuple, output: Any) -> None:
        layer.first_token = False

    model.register_forward_pre_hook(first_token_is_enough, with_kwargs=True)
    model.register_forward_hook(all_tokens_again, always_call=True)


def drop_first(
    dropout: nn.Dropout, x: Float[Tensor, "... 1 n"], length: int
) -> Float[Tensor, "... 1 n"]:
    """Dropout of the first of `length` rows; masks are drawn for all, as the stock code does."""
    if not dropout.training or dropout.p == 0:
        return x
    mask = dropout(x.new_ones(*x.shape[:-2], length, x.shape[-1]))
    return x * mask[..., :1, :]


def add_and_norm(
    output: nn.Module,
    x: Float[Tensor, "batch 1 inner"],
    residual: Float[Tensor, "batch 1 hidden"],
    length: int,
) -> Float[Tensor, "batch 1 hidden"]:
    """What `output` (dense, dropout, LayerNorm) computes of the first of `length` tokens."""
    return output.LayerNorm(drop_first(output.dropout, output.dense(x), length) + residual)
