"""Timing of inference: what is timed, and that rounds can be paired."""

import shutil
from dataclasses import replace

import pytest
from peft import LoraModel
from safetensors.torch import load_file, save_file
from wsa.errors import InputError
from wsa.records.evidence import Inference
from wsa.records.record import read_record
from wsa.stages import inference, session


def test_every_state_of_every_adapter_is_timed_in_the_same_rounds(finished_runs, monkeypatch):
    suite, layout = finished_runs
    monkeypatch.setattr(inference, "ROUNDS", 3)
    inference.time_inference(suite, layout)
    record = read_record(layout.inference_json(suite.name), Inference)
    assert list(record.seconds) == ["base", "lora", "wsa"]
    assert list(record.adapters) == ["lora", "wsa", "wsa pruned"]
    times = [*record.seconds.values(), *record.adapters.values()]
    assert {len(rounds) for rounds in times} == {3}
    assert all(second > 0 for rounds in times for second in rounds)
    assert record.sentences == 48  # all there are


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


def test_a_method_that_cannot_be_merged_is_timed_as_trained(finished_runs, monkeypatch, capsys):
    suite, layout = finished_runs

    def refuse(self, *args, **kwargs):
        raise NotImplementedError("never")

    monkeypatch.setattr(inference, "ROUNDS", 1)
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
    assert ["".join(order[i : i + 3]) for i in range(0, 12, 3)] == ["cab", "abc", "bca", "cab"]
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"a": 3, "b": 3, "c": 3}
