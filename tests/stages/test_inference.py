"""Timing of inference: what is timed, and that rounds can be paired."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraModel
from safetensors.torch import load_file, save_file
from torch import nn
from wsa.errors import InputError
from wsa.evidence.claims.ratio import RatioClaim
from wsa.evidence.statistics import t_interval
from wsa.records.evidence import Inference
from wsa.records.record import read_record
from wsa.stages import inference, session


def claiming(suite, method, reference="base"):
    """The suite with a claim on the time of `method`."""
    claim = RatioClaim(
        id="speed", kind="ratio", quantity="inference_seconds", method=method,
        reference=reference, high=1.05, sentence="So.", source="someone",
    )  # fmt: skip
    return suite.model_copy(update={"claims": (claim,)})


@pytest.fixture
def in_rounds(monkeypatch):
    def choose(first, most, width):
        for name, value in (("ROUNDS", first), ("MOST", most), ("WIDTH", width)):
            monkeypatch.setattr(inference, name, value)

    return choose


def test_every_state_of_every_adapter_is_timed_beside_the_pretrained_model(
    finished_runs, in_rounds
):
    suite, layout = finished_runs
    in_rounds(first=3, most=5, width=1e-9)
    record = inference.time_inference(suite, layout)
    assert read_record(layout.inference_json(suite.name), Inference) == record
    assert list(record.adapters) == ["lora", "wsa", "wsa pruned"]
    assert {len(rounds) for rounds in record.adapters.values()} == {3} == {record.common_rounds}
    assert {len(rounds) for rounds in record.seconds.values()} == {5}
    times = [*record.seconds.values(), *record.adapters.values()]
    assert all(second > 0 for rounds in times for second in rounds)
    assert record.sentences == 48  # all there are
    printed = inference.summary(record)
    assert printed.count("\n") == 6 and "wsa                      merged   as lora" in printed


@pytest.mark.parametrize(
    ("claimed", "timed", "alike"),
    [
        ((), {"base", "lora"}, {"wsa": "lora"}),
        (("wsa",), {"base", "wsa"}, {"lora": "wsa"}),
        (("wsa", "lora"), {"base", "lora", "wsa"}, {}),
    ],
)
def test_of_merged_models_alike_one_is_timed_and_all_that_a_claim_names(
    finished_runs, in_rounds, claimed, timed, alike
):
    suite, layout = finished_runs
    in_rounds(first=2, most=2, width=1.0)
    record = inference.time_inference(claiming(suite, *claimed) if claimed else suite, layout)
    assert (set(record.seconds), record.alike) == (timed, alike)


def test_nothing_stands_for_a_model_of_another_form():
    plain = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    other_values = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    other_module = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    narrower = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    halved = copy.deepcopy(plain).half()
    turned = copy.deepcopy(plain)
    turned[0].weight = nn.Parameter(turned[0].weight.detach().T.contiguous().T)
    assert torch.equal(turned[0].weight, plain[0].weight)
    others = [plain, other_module, narrower, halved, turned, other_values]
    models = dict(zip("abcdef", others, strict=True))
    assert inference.stand_ins(models, claimed=set()) == {"f": "a"}
    assert inference.stand_ins(models, claimed={"f"}) == {"a": "f"}
    assert inference.stand_ins(models, claimed={"a", "f"}) == {}


def test_more_rounds_are_timed_until_the_interval_is_narrow(in_rounds):
    in_rounds(first=6, most=16, width=0.02)
    rng = np.random.default_rng(0)
    more = []
    for spread in (0.005, 0.02, 0.2):
        ratios = rng.normal(size=(1, 6))
        ratios = 1.3 + spread * (ratios - ratios.mean()) / ratios.std(ddof=1)
        seconds = {"base": (2.0,) * 6, "wsa": tuple(2 * ratios[0]), "same": (2.0,) * 6}
        more.append(inference.further_rounds(seconds))
    # by hand: (2.5706 × 0.02 / 0.02)² = 6.6 rounds
    assert more == [0, 1, 10]
    assert inference.further_rounds({"base": (1.0, 2.0)}) == 0


def test_intervals_of_as_many_rounds_as_were_needed_still_hold(in_rounds):
    """Where the spread is such that chance decides how many rounds there are."""
    rng, held, worlds = np.random.default_rng(0), 0, 3000
    for _ in range(worlds):
        ratios = rng.normal(1.0, 0.025, inference.MOST)
        first = ratios[: inference.ROUNDS]
        more = inference.further_rounds({"base": (1.0,) * len(first), "wsa": tuple(first)})
        low, high = t_interval(ratios[: len(first) + more])
        held += low <= 1.0 <= high
    assert held / worlds > 0.92


def test_a_merged_model_that_is_another_one_is_not_timed(finished_runs, tmp_path, monkeypatch):
    suite, layout = finished_runs
    layout = replace(layout, results=tmp_path)
    shutil.copytree(finished_runs[1].results, tmp_path, dirs_exist_ok=True)
    loads = session.load_trained

    def spoiled(model, method, folder):
        """The second time, as if merging had lost the head."""
        loaded = loads(model, method, folder)
        seen.append(folder)
        if seen.count(folder) == 2:
            loaded.base_model.model.classifier.modules_to_save["default"].bias.data += 1
        return loaded

    seen = []
    monkeypatch.setattr(session, "load_trained", spoiled)
    with pytest.raises(InputError, match="tiny: methods.lora: merged, it gives other logits"):
        inference.time_inference(suite, layout)


def test_a_method_that_cannot_be_merged_is_timed_as_trained(
    finished_runs, monkeypatch, in_rounds, capsys
):
    suite, layout = finished_runs

    def refuse(self, *args, **kwargs):
        raise NotImplementedError("never")

    in_rounds(first=2, most=2, width=1.0)
    monkeypatch.setattr(LoraModel, "merge_and_unload", refuse)
    record = inference.time_inference(suite, layout)
    assert list(record.seconds) == ["base", "wsa"]
    assert list(record.adapters) == ["lora", "wsa", "wsa pruned"]
    printed = capsys.readouterr().out
    assert "tiny: lora is timed as trained: it cannot be merged (NotImplemented" in printed


def test_runs_that_are_not_there_or_not_what_they_were_are_refused(finished_runs, tmp_path):
    suite, layout = finished_runs
    with pytest.raises(InputError, match="no run with an adapter and seed 0 is finished"):
        inference.time_inference(suite, replace(layout, results=tmp_path))
    shutil.copytree(layout.results, tmp_path, dirs_exist_ok=True)
    changed = replace(layout, results=tmp_path)
    file = changed.run(suite.name, "wsa", 0).trained / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({name: 0 * value for name, value in tensors.items()}, file)
    with pytest.raises(InputError, match="adapter_model.safetensors: is not what its record says"):
        inference.time_inference(suite, changed)


def test_rounds_start_with_another_case_each_time():
    order = []
    cases = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = inference.interleave(cases, 3)
    assert ["".join(order[i : i + 3]) for i in range(0, 9, 3)] == ["abc", "bca", "cab"]
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"a": 3, "b": 3, "c": 3}
