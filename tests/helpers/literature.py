"""A small published record, as people write it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.helpers.project import write_yaml
from wsa.layout import Layout
from wsa.literature.reading import read_literature
from wsa.literature.schema import Literature, Number, Table

TABLE = {
    "table": "first-1", "paper": "First", "venue": "CONF 2024", "link": "https://example.org/1",
    "place": "table 1", "model": "tiny-model", "seeds": 5, "statistic": "mean",
    "chosen_on": "same sentences", "reported_on": "validation", "read_in": "the paper",
    "second_hand": "", "note": "",
}  # fmt: skip
NUMBER = {
    "table": "first-1", "method": "lora", "variant": "", "rank": 8, "targets": "all",
    "parameters": "", "task": "Tiny", "metric": "accuracy", "value": "94.95", "std": "",
    "copied_from": "", "chosen_on": "", "reported_on": "", "note": "",
}  # fmt: skip
METHODS = {
    "full": {"title": "Full fine-tuning", "like": {"kind": "full"}},
    "lora": {
        "title": "LoRA", "source": "arXiv:2106.09685", "parameters": "lora",
        "like": {"peft_type": "LORA", "use_dora": [None, False], "init_lora_weights": [None, True]},
    },
    "dora": {"title": "DoRA", "like": {"peft_type": "LORA", "use_dora": True}},
    "pissa": {"title": "PiSSA", "like": {"peft_type": "LORA", "init_lora_weights": "pissa*"}},
    "spectral_a": {"title": "Spectral-Adapter-A", "like": {"peft_type": "SPECTRAL"}},
    "other": {"title": "Other"},
}  # fmt: skip
SIZE = {
    "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12,
    "intermediate_size": 3072, "vocab_size": 1000,
}  # fmt: skip
MODELS = {"tiny-model": {"title": "Tiny model", "parameters": 184_000_000, "size": SIZE}}
TASKS = {
    "Tiny": {"data": "tiny-data", "sentences": 872},
    "Pairs": {"data": "pairs", "sentences": 408, "positives": 279},
}


def write_literature(
    config: Path,
    numbers: Iterable[Mapping],
    tables: Iterable[Mapping] = ({},),
    methods: Mapping = METHODS,
) -> Layout:
    """Write a record below `config`: each table and number as what differs from `TABLE`, `NUMBER`.

    Returns:
        A layout that has it.
    """
    layout = Layout(config=config)
    layout.literature.mkdir(parents=True, exist_ok=True)
    for path, kind, usual, rows in (
        (layout.published_tables, Table, TABLE, tables),
        (layout.published_numbers, Number, NUMBER, numbers),
    ):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(kind.model_fields), lineterminator="\n")
            writer.writeheader()
            writer.writerows(usual | row for row in rows)
    write_yaml(layout.published_methods, **methods)
    write_yaml(layout.published_models, **MODELS)
    write_yaml(layout.published_tasks, **TASKS)
    return layout


def make_literature(config: Path, *given: Iterable[Mapping]) -> Literature:
    """The record, read."""
    return read_literature(write_literature(config, *given))
