"""Models and sentences small enough to train in a test, saved as the real ones are.

`make_tiny_deberta` writes the very files of microsoft/deberta-v3-base: weights in half precision
in a pickled .bin with the heads of pretraining, and a SentencePiece model as the only tokenizer.
"""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

GOOD = ["wonderful", "moving", "brilliant", "delightful", "superb", "touching", "clever", "witty"]
BAD = ["dreadful", "boring", "awful", "clumsy", "tedious", "painful", "stupid", "hollow"]
NOUNS = [
    "film",
    "story",
    "actor",
    "script",
    "ending",
    "director",
    "comedy",
    "scene",
    "plot",
    "cast",
]
TEMPLATES = (
    "the {noun} is {word} and {word2}",
    "a {word} , {word2} {noun}",
    "what a {word} {noun} !",
    "{word} {noun} , {word2} {noun2} , and yet nobody noticed",
    "we saw the {noun} twice , and it is {word} , {word2} and again {word}",
    "never before was a {noun} with such a {noun2} so {word}",
)


def make_sentences(n: int, seed: int = 0) -> list[tuple[str, int]]:
    """`n` distinct (sentence, label), up to 5,000; the adjectives tell the label."""
    assert n <= 5000, "the templates have no more sentences"
    rng = random.Random(seed)
    rows: dict[str, int] = {}
    while len(rows) < n:
        label = len(rows) % 2
        word, word2 = rng.sample(GOOD if label else BAD, 2)
        noun, noun2 = rng.sample(NOUNS, 2)
        text = rng.choice(TEMPLATES).format(word=word, word2=word2, noun=noun, noun2=noun2)
        rows.setdefault(text, label)
    return list(rows.items())


def write_tsv_data(folder: Path, train: int = 64, validation: int = 32, seed: int = 0) -> Path:
    """A folder for a source of kind `path`: train.tsv and validation.tsv; no sentence in both."""
    rows = make_sentences(train + validation, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in (("train", rows[:train]), ("validation", rows[train:])):
        lines = ["sentence\tlabel", *(f"{sentence}\t{label}" for sentence, label in part)]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _texts(sentences: Iterable[str] | None) -> list[str]:
    return list(sentences or (text for text, _ in make_sentences(400)))


# --- DeBERTa-v2 ----------------------------------------------------------------------------------


def make_tiny_deberta(
    folder: Path,
    seed: int = 0,
    *,
    sentences: Iterable[str] | None = None,
    vocabulary: int = 220,
    **config,
) -> Path:
    """A DeBERTa-v2 with random weights in exactly the layout of microsoft/deberta-v3-base.

    Args:
        folder: where to write it.
        seed: decides the weights.
        sentences: what to train the tokenizer on; default: `make_sentences`.
        vocabulary: pieces of the tokenizer.
        config: other values in config.json, e.g. `num_hidden_layers=2`.
    """
    import torch
    from transformers import DebertaV2Config, DebertaV2Model

    folder.mkdir(parents=True, exist_ok=True)
    _train_sentencepiece(folder / "spm.model", _texts(sentences), vocabulary)
    # 52 bytes, as on the hub
    (folder / "tokenizer_config.json").write_text(
        '{\n  "do_lower_case": false,\n  "vocab_type": "spm"\n}\n', encoding="utf-8"
    )
    # the keys of deberta-v3-base's config.json, and its values where size plays no part
    values = {
        "model_type": "deberta-v2",
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 48,
        # wide enough that attention is far from uniform, as in a trained model
        "initializer_range": 0.15,
        "intermediate_size": 96,
        "max_position_embeddings": 64,
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "layer_norm_eps": 1e-7,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "type_vocab_size": 0,
        # more rows than pieces, as 128,100 are more than 128,000: [MASK] comes after the pieces
        "vocab_size": vocabulary + 20,
    } | config
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    torch.manual_seed(seed)
    settings = DebertaV2Config(**values)
    encoder = DebertaV2Model(settings)
    weights = {f"deberta.{name}": value for name, value in encoder.state_dict().items()}
    width = settings.hidden_size
    for head in ("lm_predictions.lm_head", "mask_predictions"):
        for layer, module in (
            ("dense", torch.nn.Linear(width, width)),
            ("LayerNorm", torch.nn.LayerNorm(width)),
        ):
            weights |= {f"{head}.{layer}.{k}": v for k, v in module.state_dict().items()}
    weights["lm_predictions.lm_head.bias"] = torch.zeros(settings.vocab_size)
    weights["mask_predictions.classifier.weight"] = torch.randn(1, width)
    weights["mask_predictions.classifier.bias"] = torch.zeros(1)
    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in weights.items()
        if not name.endswith("position_ids")
    }
    torch.save(half, folder / "pytorch_model.bin")
    return folder


def _train_sentencepiece(path: Path, texts: list[str], vocabulary: int) -> None:
    """A unigram model with the special tokens where DeBERTa-v3's spm.model has them."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        num_threads=1,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3,
        pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
        minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())


# --- BERT ----------------------------------------------------------------------------------------


def make_tiny_bert(
    folder: Path, seed: int = 0, *, sentences: Iterable[str] | None = None, **config
) -> Path:
    """A BERT with random weights and its own WordPiece vocabulary, as save_pretrained writes it."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = Counter(word for text in _texts(sentences) for word in text.lower().split())
    letters = sorted({letter for word in words for letter in word})
    common = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [f"##{letter}" for letter in letters]
    pieces += [word for word in common if len(word) > 1][:500]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})
    values = {
        "vocab_size": len(pieces),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.15,
    }
    torch.manual_seed(seed)
    model = BertModel(BertConfig(**(values | config)))
    return _save(folder, model, tokenizer)


# --- GPT-2 ---------------------------------------------------------------------------------------


def make_tiny_gpt2(
    folder: Path, seed: int = 0, *, sentences: Iterable[str] | None = None, **config
) -> Path:
    """A causal language model whose linear maps are Conv1D (weights in × out)."""
    import torch
    from tokenizers import ByteLevelBPETokenizer, Tokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

    end = "<|endoftext|>"
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        _texts(sentences), vocab_size=320, special_tokens=[end], show_progress=False
    )
    tokenizer = GPT2TokenizerFast(
        tokenizer_object=Tokenizer.from_str(bpe.to_str()),
        bos_token=end,
        eos_token=end,
        unk_token=end,
        pad_token=end,
    )
    values = {
        "vocab_size": len(tokenizer),
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 64,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    torch.manual_seed(seed)
    return _save(folder, GPT2LMHeadModel(GPT2Config(**(values | config))), tokenizer)


def _save(folder: Path, model, tokenizer) -> Path:
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
