"""An ablation row is its base row with one thing changed."""

from pathlib import Path

import pytest
from wsa.suite.load import load_suite

CONFIG = Path(__file__).parents[2] / "config"
CHANGED = {
    "wsa_constant_lr": {"schedule": "constant"},
    "wsa_product": {"gate": "product"},
    "wsa_printed": {"subtract_base": False},
}


@pytest.mark.parametrize("row", CHANGED)
def test_an_ablation_changes_one_thing(row):
    suite = load_suite("minilm-l6_ablations", CONFIG)
    told = {"title", "note"}
    base, ablation = (
        suite.methods[name].model_dump(exclude=told) for name in ("wsa", row)
    )  # fmt: skip
    adapters = base.pop("adapter"), ablation.pop("adapter")
    different = {k: v for k, v in ablation.items() if base[k] != v}
    different |= {k: v for k, v in adapters[1].items() if adapters[0].get(k) != v}
    assert different == CHANGED[row]
    assert adapters[0].keys() <= adapters[1].keys()


def test_other_ranks_are_trained_as_the_rows_they_stand_beside():
    suite = load_suite("minilm-l6_ranks", CONFIG)
    for name, method in suite.methods.items():
        base = next(
            (
                suite.methods[b]
                for b in ("wsa_direction", "lora", "spectral_a")
                if name.startswith(b)
            ),
            method,
        )
        assert method.learning_rate == base.learning_rate
        assert method.gate_reach == base.gate_reach
        if base.adapter["peft_type"] == "LORA":
            assert method.adapter["lora_alpha"] == 2 * method.adapter["r"]
