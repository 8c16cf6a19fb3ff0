"""Models, adapters and names that come from elsewhere run no code, here or on the page."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from tests.helpers.project import edit_yaml
from wsa.cli import main

HOSTILE = "<img src=x onerror=alert(1)> & 'so' on\""


class Command:
    """What runs `mkdir ran` when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "ran"),)


@pytest.fixture
def command(project, capsys):
    """Run `wsa …` on the project; returns its exit status and what a person sees."""

    def run(*arguments: str) -> tuple[int, str]:
        folders = [f"--{f}={project / f}" for f in ("config", "resources", "results", "site")]
        return main([*folders, *arguments]), capsys.readouterr().err

    return run


def test_the_commands_below_would_run(tmp_path):
    pickle.loads(pickle.dumps(Command(tmp_path)))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(
    pickle.dumps(value))], ids=["torch", "pickle"])  # fmt: skip
def test_a_pickle_in_a_models_weights_is_not_run(project, command, tmp_path, write):
    (project / "model/model.safetensors").unlink()
    write({"embeddings.word_embeddings.weight": Command(tmp_path)},
          project / "model/pytorch_model.bin")  # fmt: skip
    edit_yaml(project / "config/models/tiny.yaml", name="tiny")
    assert command("fetch-model", "tiny")[0] == 0  # it is copied, and not read
    status, printed = command("factors", "tiny", "4")
    assert status == 2 and "pytorch_model.bin" in printed
    assert command("tokenise", "tiny", "tiny")[0] == 0
    status, printed = command("check", "tiny", "lora")
    assert status == 2 and "transformers cannot load this model" in printed
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_code_that_a_model_brings_is_not_run(project, command, tmp_path, known):
    """Neither for a kind of model that transformers knows, nor for one that it does not."""
    model = project / "model"
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((model / name).read_text())
        classes = ["AutoConfig", "AutoModel", "AutoModelForSequenceClassification"]
        content["auto_map"] = {key: "brought.Brought" for key in classes}
        content["auto_map"]["AutoTokenizer"] = ["brought.Brought", "brought.Brought"]
        if not known:
            content |= {"model_type": "brought", "tokenizer_class": "Brought"}
        (model / name).write_text(json.dumps(content))
    (model / "brought.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    source = {"kind": "path", "path": str(model)}
    edit_yaml(project / "config/models/tiny.yaml", source=source)
    assert command("fetch-model", "tiny")[0] == 0
    shutil.copy(model / "brought.py", project / "resources/models/tiny")
    statuses = [command(*stage)[0] for stage in (
        ["tokenise", "tiny", "tiny"], ["factors", "tiny", "4"], ["check", "tiny", "lora"],
    )]  # fmt: skip
    assert statuses[-1] == (0 if known else 2)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_an_adapter_is_not_run(project, layout, command, tmp_path):
    folder = layout.run("tiny", "wsa", 0).trained
    (folder / "adapter_model.safetensors").unlink()
    torch.save({"a": Command(tmp_path)}, folder / "adapter_model.bin")
    for form in ("lora", "merged"):
        out = str(tmp_path / form)
        model = str(layout.model("tiny"))
        status, printed = command(
            "export-adapter", str(folder), out, "--format", form, "--model", model
        )
        assert status == 2 and str(folder) in printed
    assert command("prune", "tiny", "wsa", "0")[0] == 2
    assert not (tmp_path / "ran").exists()


class Tags(HTMLParser):
    """The names of all elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        self.found |= {name for name, _ in attributes if name.startswith("on")}


def test_names_of_folders_and_damage_are_text_on_the_page(project, command, layout, tmp_path):
    """Findings quote paths, and the commands that mend them."""
    hostile = tmp_path / HOSTILE
    project.rename(hostile)
    record = hostile / "results/tiny/runs/lora/seed-0/result.json"
    record.write_text("{")
    data = hostile / "config/data/tiny.yaml"
    edit_yaml(data, labels=[HOSTILE, "good"], citation=HOSTILE, title=HOSTILE)
    suite = hostile / "config/suites/tiny.yaml"
    edit_yaml(suite, title=HOSTILE, question=HOSTILE)
    folders = [f"--{f}={hostile / f}" for f in ("config", "resources", "results", "site")]
    assert main([*folders, "aggregate", "tiny"]) == 0
    assert main([*folders, "site", "tiny"]) == 0
    pages = list((hostile / "site").rglob("*.html"))
    texts = [path.read_text(encoding="utf-8") for path in pages]
    assert sum("&lt;img src=x" in text for text in texts) > 3
    for text in texts:
        assert not Tags(text).found & {"img", "onerror"}
