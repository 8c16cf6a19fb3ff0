"""The ranks of a method: said, left to its tuner, or by module; and the factors they ask for."""

import json
import subprocess
import sys

import pytest
import yaml
from tests.helpers.project import edit_yaml, make_project, prepare
from wsa.adapters import SpectralConfig, WSAConfig
from wsa.adapters.factors import FactorCache
from wsa.stages.prune import prune
from wsa.stages.train import train
from wsa.suite.schema import Method


def method(**adapter):
    return Method(title="x", adapter=adapter, learning_rate=1e-3)


@pytest.mark.parametrize("config", [SpectralConfig, WSAConfig])
def test_a_rank_that_is_not_said_is_the_tuners_own(config):
    assert method(peft_type=config.PEFT_TYPE).rank == config().r
    assert method(peft_type=config.PEFT_TYPE, r=3).rank == 3
    assert method(peft_type="IA3").rank == 0


def test_the_defaults_are_known_without_torch():
    code = (
        "import sys; from wsa.suite.schema import Method\n"
        "print(Method(title='x', adapter={'peft_type': 'WSA'}, learning_rate=1).rank,"
        " [m for m in ('torch', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "16 []"


@pytest.mark.parametrize(
    ("patterns", "largest"),
    [({"query": 5}, 5), ({"query": 2}, 3), ({"a": 9, "b": 4}, 9), ({"a": "x"}, 3), ("x", 3)],
)
def test_the_largest_rank_of_a_method_is_that_of_any_module(patterns, largest):
    assert method(peft_type="WSA", r=3, rank_pattern=patterns).largest_rank == largest


def test_a_run_takes_its_ranks_and_names_the_factors_it_used(tmp_path):
    """One module above `r`, one left out; a second method without a rank."""
    folder = make_project(tmp_path, methods=["spectral_a", "wsa"])
    path = folder / "config/suites/tiny.yaml"
    methods = yaml.safe_load(path.read_text())["methods"]
    patterns = {"layer.0.attention.self.query": 20, "layer.1.attention.self.query": 0}
    del methods["wsa"]["adapter"]["r"]
    methods["spectral_a"]["adapter"] |= {"rank_pattern": patterns}
    edit_yaml(path, methods=methods, protocol=protocol(path, epochs=1))
    suite, layout = prepare(folder)
    index = json.loads(layout.factor_index("tiny", 20).read_text())
    keys = {name: module["key"] for name, module in index["modules"].items()}
    cache = FactorCache(layout.factors)
    used = [key for name, key in keys.items() if name != "encoder.layer.1.attention.self.query"]
    assert train(suite, "spectral_a", 0, layout).factors == cache.digest(used)
    assert train(suite, "wsa", 0, layout).factors == cache.digest(keys.values())
    assert {f.stem for f in layout.factors.glob("*.safetensors")} == set(keys.values())
    rank = prune(suite, "wsa", 0, layout).rank
    assert (rank.initial, rank.threshold) == (16, 0.02)


def protocol(path, **changes):
    return yaml.safe_load(path.read_text())["protocol"] | changes
