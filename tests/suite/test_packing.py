"""What an `execution` of a suite packs, and that it is no part of what a run is."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.test_identity import a_suite
from wsa.suite.packing import packs, why_alone
from wsa.suite.schema import Method
from wsa.suite.tuning import trials_of


def test_nothing_is_packed_where_nothing_is_said():
    suite = a_suite(seeds=[0, 1, 2])
    assert packs(suite) == [] and "execution" not in suite.model_dump(mode="json")


def test_an_execution_leaves_every_run_what_it_is():
    alone, packed = a_suite(), a_suite(execution={"pack": 8})
    assert [alone.run_digest(name) for name in alone.methods] == [
        packed.run_digest(name) for name in packed.methods
    ]


def test_seeds_of_a_method_go_together():
    suite = a_suite(seeds=[0, 1, 2, 3, 7], execution={"pack": 2})
    assert packs(suite) == [
        (("lora",), (0, 1)), (("lora",), (2, 3)), (("wsa",), (0, 1)), (("wsa",), (2, 3)),
    ]  # fmt: skip


def test_trials_of_one_shape_go_together():
    tune = {"learning_rate": [1e-4, 1e-2]}
    suite = a_suite(
        execution={"pack": 3}, tuning={"trials": 4}, methods__lora__tune=tune,
        methods__wsa__tune=tune | {"adapter.l1": [1e-4, 1e-2]},
    )  # fmt: skip
    # WSA's trials differ in more than their rates, and a fourth of LoRA's is left over
    assert packs(trials_of(suite)) == [(("lora.1", "lora.2", "lora.3"), (1000,))]


@pytest.mark.parametrize(
    ("adapter", "why"),
    [
        ({"peft_type": "LORA", "r": 4, "lora_dropout": 0.0}, ""),
        ({"peft_type": "LORA", "r": 4, "lora_dropout": 0.1}, "dropout"),
        ({"peft_type": "LORA", "r": 4, "use_dora": True}, "use_dora"),
        ({"peft_type": "SPECTRAL", "directions": "random", "scale": 1.0}, ""),
        ({"peft_type": "WSA", "choose": "sensitivity", "target_rank": 2}, "changes its ranks"),
        ({"peft_type": "VERA"}, "no adapter of type"),
    ],
)
def test_who_trains_by_itself(adapter, why):
    method = Method(title="A", learning_rate=1e-3, adapter=adapter)
    assert why in why_alone(method) and bool(why) == bool(why_alone(method))


def test_what_trials_choose_can_differ():
    """Two methods are alike as they stand, and may not be once their trials have chosen."""
    alpha = {"learning_rate": [1e-4, 1e-2], "adapter.lora_alpha": [8, 32]}
    suite = a_suite(execution={"pack": 2}, tuning={"trials": 4}, methods__lora__tune=alpha,
                    methods__wsa__tune={"learning_rate": [1e-4, 1e-2]})  # fmt: skip
    twice = suite.model_copy(update={"methods": suite.methods | {"b": suite.methods["lora"]}})
    assert packs(twice) == []
    seeds = twice.model_copy(update={"seeds": (0, 1)})  # of one method they have the same values
    assert packs(seeds) == [((name,), (0, 1)) for name in ("lora", "wsa", "b")]
    dropout = {"learning_rate": [1e-4, 1e-2], "adapter.lora_dropout": [0.1, 0.3]}
    assert "dropout" in why_alone(suite.methods["lora"].model_copy(update={"tune": dropout}))


@pytest.mark.parametrize("execution", [{"pack": 1}, {"pack": 65}, {}, {"pack": 2, "mode": "x"}])
def test_an_execution_that_is_none_is_refused(execution):
    with pytest.raises(ValidationError):
        a_suite(execution=execution)


def test_half_precision_is_not_packed():
    with pytest.raises(ValidationError, match="in float32 alone"):
        a_suite(execution={"pack": 2}, protocol__precision="bfloat16")
