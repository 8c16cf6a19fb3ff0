"""A DeBERTa-v3 with random weights, of the real size unless told otherwise."""

from __future__ import annotations

import argparse

import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification


def add_size_arguments(parser: argparse.ArgumentParser, layers: int = 12) -> None:
    """`--layers`, `--hidden` and `--vocabulary`; the defaults are DeBERTa-v3-base's."""
    parser.add_argument("--layers", type=int, default=layers)
    parser.add_argument("--hidden", type=int, default=768, help="a multiple of 64")
    parser.add_argument("--vocabulary", type=int, default=128100)


def random_deberta(args: argparse.Namespace) -> DebertaV2ForSequenceClassification:
    """The model as transformers makes it: its stock attention, weights from seed 0."""
    config = DebertaV2Config(
        vocab_size=args.vocabulary,
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden // 64,
        intermediate_size=4 * args.hidden,
        pooler_hidden_size=args.hidden,
        # as in microsoft/deberta-v3-base
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        num_labels=2,
    )
    torch.manual_seed(0)
    return DebertaV2ForSequenceClassification(config)


def size_in_words(args: argparse.Namespace, otherwise: str = "") -> str:
    """The size that the arguments ask for; `otherwise` follows where it is not the real one."""
    if (args.layers, args.hidden, args.vocabulary) == (12, 768, 128100):
        return "DeBERTa-v3-base's size"
    return f"{args.layers} layers of width {args.hidden}: not DeBERTa-v3-base's size{otherwise}"
