"""What a suite with tuning tries: the same points for all, and nothing that differs by machine."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml
from tests.helpers.project import ROOT, edit_yaml, make_project
from tests.helpers.tuned import RANGES, tuned_raw, tuned_suite
from wsa.cli import main
from wsa.errors import InputError
from wsa.records.record import read_record
from wsa.records.tuning import MethodTuning
from wsa.suite.load import load_suite
from wsa.suite.schema import Suite
from wsa.suite.settings import DEFAULT_SUITE, Settings, suites_tuned_in
from wsa.suite.tuning import trials_of, with_values


def places(suite: Suite, method: str) -> np.ndarray:
    """Where in the unit cube the trials of `method` lie, from the values that they have."""
    trials = [m for name, m in trials_of(suite).methods.items() if name.split(".")[0] == method]
    columns = []
    for key, (low, high) in RANGES[method].items():
        own, _, argument = key.partition(".")
        values = [getattr(m, own)[argument] if argument else getattr(m, own) for m in trials]
        columns.append([math.log(v / low) / math.log(high / low) for v in values])
    return np.array(columns).T


@pytest.mark.parametrize("trials", [2, 4, 5, 8])
def test_every_method_has_the_same_points_its_rate_at_even_steps(trials):
    suite = tuned_suite(trials)
    even = (np.arange(trials) + 0.5) / trials
    for method in RANGES:
        np.testing.assert_allclose(places(suite, method)[:, 0], even, atol=2e-3)
    # radical inverses in base 2, by hand; alpha is a whole number, so only near
    halton = [0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875, 0.0625][:trials]
    np.testing.assert_allclose(places(suite, "lora")[:, 1], halton, atol=0.05)


def test_values_have_three_digits_and_are_whole_where_the_range_is():
    trials = trials_of(tuned_suite(7))
    for name, method in trials.methods.items():
        rate = getattr(method, method.rate_key)
        assert rate == float(f"{rate:.2e}")
        if name.startswith("lora"):
            assert type(method.adapter["lora_alpha"]) is int


def test_trials_are_judged_on_training_sentences_with_a_seed_of_their_own():
    suite = tuned_suite(4, train_sentences=500, holdout_sentences=300)
    trials = trials_of(suite)
    assert trials.protocol.evaluate_on == "holdout" and trials.protocol.holdout_sentences == 300
    assert trials.protocol.train_sentences == 500
    assert not set(trials.seeds) & set(suite.seeds)
    assert len(trials.runs()) == 4 * len(RANGES)
    same = {"evaluate_on", "holdout_sentences", "train_sentences"}
    assert trials.protocol.model_dump(exclude=same) == suite.protocol.model_dump(exclude=same)


def test_what_trials_fill_in_is_as_if_it_had_been_written():
    raw = tuned_raw()
    written = raw | {"tuning": None}
    written["methods"]["lora"] = raw["methods"]["lora"] | {"learning_rate": 3e-3, "tune": {}}
    written["methods"]["lora"]["adapter"] = raw["methods"]["lora"]["adapter"] | {"lora_alpha": 9}
    plain, tuned = Suite.model_validate(written), tuned_suite()
    values = {"learning_rate": 3e-3, "adapter.lora_alpha": 9}
    methods = tuned.methods | {"lora": with_values(tuned.methods["lora"], values)}
    filled = tuned.model_copy(update={"methods": methods})
    assert filled.run_digest("lora") == plain.run_digest("lora")
    assert tuned.waits_for_trials("lora") and not filled.waits_for_trials("lora")


# of minilm-l6_movie-snippets before there was tuning
LORA = "0a855228d640"


def test_digests_of_suites_without_tuning_are_as_they_were():
    suite = load_suite("minilm-l6_movie-snippets", ROOT / "config")
    assert suite.run_digest("lora")[:12] == LORA
    raw = suite.model_dump(mode="json")
    raw["methods"]["lora"]["tune"] = {"learning_rate": [1e-3, 1e-2]}
    assert Suite.model_validate(raw).run_digest("lora")[:12] == LORA


def test_the_default_s_methods_are_the_zoo_s_at_the_values_that_its_published_trials_chose():
    default, zoo = (load_suite(name, ROOT / "config") for name in (DEFAULT_SUITE, "minilm-l6_zoo"))
    for name in default.methods.keys() - {"majority"}:
        record = read_record(ROOT / f"published/minilm-l6_zoo/tuning/{name}.json", MethodTuning)
        (values,) = [trial.values for trial in record.trials if trial.method == record.chosen]
        filled = {name: with_values(zoo.methods[name], values)}
        chosen = zoo.model_copy(update={"methods": filled})
        assert default.run_digest(name) == chosen.run_digest(name), (name, values)


def test_a_schedule_of_a_method_s_own_fits_the_steps_of_a_trial():
    suite = load_suite("minilm-l6_zoo", ROOT / "config")
    tuning = suite.tuning.model_copy(update={"train_sentences": 750})
    shorter = suite.model_copy(update={"tuning": tuning})
    adapter = trials_of(shorter).methods["adalora.1"].adapter
    assert suite.methods["adalora"].adapter["total_step"] == 2 * math.ceil(1500 / 32)
    assert adapter["total_step"] == 2 * math.ceil(750 / 32)
    assert (adapter["tinit"], adapter["tfinal"]) == (5, 20)


WRONG = [
    ({"tuning": {"trials": 0}}, "tuning.trials", "2"),
    ({"tuning": {"trials": 1}}, "tuning.trials", "2"),
    ({"tuning": {"trials": 4, "evaluate_on": "validation"}}, "tuning.evaluate_on", "unknown key"),
    ({"tuning": {"trials": 4, "trails": 4}}, "tuning.trails", "'trials'?"),
    ({"tuning": {"trials": 4, "of": "tiny"}}, "tuning.of", "should be another suite"),
    ({"tuning": {"trials": 4, "seed": 1}}, "tuning.seed", "the suite's own seeds"),
    ({"tune": {"learning_rate": [1e-2, 1e-4]}}, "tune.learning_rate", "0 < low < high"),
    ({"tune": {"learning_rate": [0, 1e-4]}}, "tune.learning_rate", "0 < low < high"),
    ({"tune": {"learning_rate": [1e-4]}}, "methods.lora.tune.learning_rate", ""),
    ({"tune": {"learning_rat": [1e-4, 1e-2]}}, "tune.learning_rat", "'learning_rate'?"),
    ({"tune": {"learning_rate": ["low", 1e-2]}}, "methods.lora.tune.learning_rate", "number"),
    ({"tune": {"adapter.r": [2, 8]}}, "tune.learning_rate is missing", "always tuned"),
    ({"tune": None}, "method 'lora': tune is missing", "learning_rate: [1.0e-4, 1.0e-2]"),
    (
        {"tune": {"learning_rate": [1e-4, 1e-2]} | {f"adapter.{k}": [1, 2] for k in "abc"}},
        "at most 2 more", "equal trials",
    ),
    ({"protocol": {"evaluate_on": "holdout"}}, "cannot judge the chosen ones again", "validation"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "problem", "more"), WRONG)
def test_what_is_wrong_is_told_before_anything_is_trained(tmp_path, capsys, change, problem, more):
    project = make_project(tmp_path, methods=["majority", "lora"])
    path = project / "config/suites/tiny.yaml"
    raw = yaml.safe_load(path.read_text())
    methods = raw["methods"]
    methods["lora"]["tune"] = change.get("tune", {"learning_rate": [1e-4, 1e-2]})
    if methods["lora"]["tune"] is None:
        del methods["lora"]["tune"]
    protocol = raw["protocol"] | change.get("protocol", {})
    tuning = change.get("tuning", {"trials": 2})
    edit_yaml(path, methods=methods, protocol=protocol, tuning=tuning)
    with pytest.raises(InputError) as error:
        load_suite("tiny", project / "config")
    assert str(path) in str(error.value)
    assert problem in str(error.value) and more in str(error.value)
    assert main(["--config", str(project / "config"), "train", "tiny_tuning", "lora.1", "9"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_method_that_trains_nothing_has_nothing_to_tune():
    raw = tuned_raw()
    raw["methods"]["majority"]["tune"] = {"learning_rate": [1e-4, 1e-2]}
    with pytest.raises(ValueError, match="trains nothing"):
        Suite.model_validate(raw)


def test_trials_of_a_suite_without_tuning_are_refused():
    with pytest.raises(InputError, match="has no trials") as error:
        load_suite("minilm-l6_movie-snippets_tuning", ROOT / "config")
    assert "tuning: {trials: 8}" in str(error.value)


def test_values_of_another_suite_s_trials_need_that_suite_to_have_them(tmp_path):
    project = make_project(tmp_path, methods=["majority", "lora"])
    own, other = (project / f"config/suites/{name}.yaml" for name in ("tiny", "other"))
    ranges = {"lora": {"tune": {"learning_rate": [1e-4, 1e-2]}}}
    settings = Settings(folders={"config": str(project / "config")})

    def asked(of: str, **changes: object) -> list[Suite]:
        raw = {"extends": "tiny", "name": "other", "tuning": {"trials": 2, "of": of}} | changes
        other.write_text(yaml.safe_dump(raw))
        return suites_tuned_in([load_suite("other", project / "config")], settings)

    with pytest.raises(InputError, match="has no trials of its own") as error:
        asked("tiny", methods=ranges)
    assert str(other) in str(error.value) and "tuning.of" in str(error.value)
    methods = yaml.safe_load(own.read_text())["methods"]
    methods["lora"] |= ranges["lora"]
    edit_yaml(own, methods=methods, tuning={"trials": 2})
    assert [suite.name for suite in asked("tiny")] == ["tiny"]
    with pytest.raises(InputError, match="are those of another") as error:
        load_suite("other_tuning", project / "config")
    assert "tiny_tuning" in str(error.value)
    wider = {"lora": {"tune": {"learning_rate": [1e-5, 1e-2]}}}
    with pytest.raises(InputError, match="'lora' is not tuned so in suite 'tiny'") as error:
        asked("tiny", methods=wider)
    assert "methods.lora.tune" in str(error.value) and "0.0001" in str(error.value)
    with pytest.raises(InputError, match="tinny"):
        asked("tinny")


def test_a_method_without_a_rate_is_refused_where_there_is_no_tuning():
    raw = tuned_raw() | {"tuning": None}
    raw["methods"]["lora"]["learning_rate"] = None
    with pytest.raises(ValueError, match="method 'lora': learning_rate is missing"):
        Suite.model_validate(raw)
