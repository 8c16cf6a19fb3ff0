"""The same for a real pretrained model: MiniLM on few sentences."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch
from tests.helpers.archives import bring_archives
from tests.helpers.project import ROOT, write_yaml
from tests.packed.conftest import PACKED, Bench
from tests.packed.test_runs import assert_same_runs, trials
from wsa.layout import Layout
from wsa.sources import fetch_data, fetch_model
from wsa.stages.tokenise import tokenise
from wsa.suite.load import load_suite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def minilm(tmp_path_factory) -> Bench:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("minilm")
    shutil.copytree(ROOT / "config", folder / "config")
    layout = bring_archives(Layout(folder / "config", folder / "resources", folder / "results"))
    write_yaml(
        layout.config / "suites/few.yaml", extends="minilm-l6_movie-snippets", name="few",
        protocol={"train_sentences": 76, "batch_size": 16, "max_gradient_norm": 0.1},
    )  # fmt: skip
    suite = load_suite("few", layout.config)
    fetch_model(suite.model, layout)
    fetch_data(suite.data, layout)
    tokenise(suite.model, suite.data, layout)
    return Bench.of(suite, layout, folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", PACKED)
def test_minilm_packed_is_minilm_alone(minilm, name, dtype):
    bench = dataclasses.replace(minilm, dtype=dtype)
    runs = list(trials(bench, name))
    assert_same_runs(bench, bench.packed(*runs), [bench.single(*run) for run in runs])
