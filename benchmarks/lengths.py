"""How long SST-2's sentences are: a stored histogram, and the command that made it.

`python -m benchmarks.lengths --sentences train.tsv --tokenizer DIR`
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from wsa.files import sha256_file, write_text

HISTOGRAM = Path(__file__).parent / "lengths.json"


def sst2_lengths() -> Int64[np.ndarray, " sentences"]:
    """The number of tokens of each of SST-2's 67,349 training sentences, sorted."""
    counts = json.loads(HISTOGRAM.read_text(encoding="utf-8"))["sentences_by_tokens"]
    return np.repeat([int(length) for length in counts], list(counts.values()))


def main(argv: list[str] | None = None) -> None:
    from transformers import AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=Path, required=True, help="a TSV: sentence, label")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a model folder")
    parser.add_argument("--out", type=Path, default=HISTOGRAM)
    args = parser.parse_args(argv)
    with args.sentences.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        sentences = [row["sentence"] for row in rows]
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer, local_files_only=True)
    counts = Counter(len(ids) for ids in tokenizer(sentences)["input_ids"])
    about = {
        "what": "tokens per training sentence of GLUE SST-2, special tokens included",
        "tokenizer": "WordPiece of all-MiniLM-L6-v2; it stands in for DeBERTa-v3's SentencePiece",
        "tokenizer_sha256": sha256_file(args.tokenizer / "tokenizer.json"),
        "sentences_sha256": sha256_file(args.sentences),
        "made_with": "python -m benchmarks.lengths --sentences train.tsv --tokenizer DIR",
        "sentences": len(sentences),
        "sentences_by_tokens": {str(length): counts[length] for length in sorted(counts)},
    }
    write_text(args.out, json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
