"""The command line as a person meets it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from wsa.cli import main


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from wsa.cli import _parser; _parser().format_help(); "
        "print([m for m in ('torch', 'transformers', 'peft', 'pandas', 'numpy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_suite_is_one_clear_message(capsys, tmp_path):
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/small.yaml").write_text("name: small\n")
    assert main(["--config", str(tmp_path), "train", "smal", "lora", "0"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("wsa: ") and "did you mean 'small'?" in printed


def test_an_unknown_method_is_one_clear_message(capsys):
    assert main(["train", "minilm-l6_movie-snippets", "lorra", "0"]) == 2
    assert "did you mean 'lora'?" in capsys.readouterr().err


def test_too_little_memory_in_any_stage_is_one_clear_message(capsys, monkeypatch):
    import torch

    monkeypatch.setattr("wsa.sources.fetch_model", lambda spec, layout: torch.empty(2**60))
    assert main(["fetch-model", "minilm-l6"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("wsa: out of memory: ") and "Traceback" not in printed


def test_an_error_of_the_program_itself_is_not_hidden(monkeypatch):
    def broken(spec, layout):
        raise RuntimeError("a tensor of the wrong shape")

    monkeypatch.setattr("wsa.sources.fetch_model", broken)
    with pytest.raises(RuntimeError, match="wrong shape"):
        main(["fetch-model", "minilm-l6"])
