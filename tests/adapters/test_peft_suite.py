"""PEFT's own tests pass on the spectral adapters, and the run of them notices what it should."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks import peft_tests

PEFT = os.environ.get("PEFT_TESTS")
ROOT = Path(__file__).parents[2]

CUSTOM = """
import pytest

from .values import TEST_CASES


class TestPeftCustomModel:
    @pytest.mark.parametrize("test_name, model_id, config_cls, config_kwargs", TEST_CASES)
    def test_training_custom_models(self, test_name, model_id, config_cls, config_kwargs):
        assert not config_kwargs.get("rank_pattern", {}).get("lin1") == 0

    @pytest.mark.parametrize("config_cls", [int])
    def test_new(self, config_cls):
        assert config_cls.__name__ == "SpectralCase" and %s

    def test_of_lora(self):
        raise AssertionError("this is not about us")
"""


def run(source, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.peft_tests", str(source), *arguments],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture
def small_peft(tmp_path):
    """Three tests such as PEFT has; what the second one says is asked for."""

    def make(says):
        tests = tmp_path / "peft" / "tests"
        tests.mkdir(parents=True, exist_ok=True)
        (tests / "values.py").write_text("TEST_CASES = [('LoRA', 'MLP', int, {})]")
        (tests / "test_custom_models.py").write_text(CUSTOM % says)
        return tests.parent

    return make


@pytest.mark.slow
@pytest.mark.skipif(not PEFT, reason="PEFT_TESTS names no checkout or source archive of PEFT")
def test_pefts_own_tests_pass():
    done = run(Path(PEFT).resolve())
    assert done.returncode == 0, done.stdout[-10_000:]


@pytest.mark.slow
def test_failures_and_entries_of_the_table_that_are_not_needed_are_errors(small_peft):
    count = len(peft_tests.CASES)  # all but the pruned one, and the new test
    passing = run(small_peft("True"), "--kind", "spectral", "--only", "Custom")
    assert passing.returncode == 0, passing.stdout
    assert "1 tests of other methods left out" in passing.stdout
    assert f"spectral: {count} passed, 0 failed, 1 by design" in passing.stdout
    checkout = small_peft("False")
    tests = checkout / "tests" / "test_custom_models.py"
    tests.write_text(tests.read_text().replace("not config_kwargs", "True or config_kwargs"))
    failing = run(checkout, "--kind", "spectral")
    assert failing.returncode == 1 and "XPASS(strict)" in failing.stdout
    assert f"spectral: {count - 1} passed, 2 failed, 0 by design" in failing.stdout
    assert "not needed any more" in failing.stdout
    assert "wsa:MLP both" not in failing.stdout  # of a kind that did not run


def test_the_tests_come_from_a_checkout_a_repository_or_an_archive(small_peft, tmp_path):
    checkout = small_peft("True")
    archive = tmp_path / "peft-1.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(checkout, "peft-1")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "tests"]):
        subprocess.run([*git, *command], check=True)
    sources = {"folder": (checkout, None), "git": (checkout, "HEAD"), "archive": (archive, None)}
    for name, (source, revision) in sources.items():
        folder = tmp_path / name
        folder.mkdir()
        tests = peft_tests.take_tests(source, revision, folder)
        names = {path.name for path in tests.iterdir()}
        assert names == {"__init__.py", "values.py", "test_custom_models.py"}
    assert not (checkout / "tests" / "__init__.py").exists()
