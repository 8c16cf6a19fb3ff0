"""Tiny models of two kinds, written once a session."""

import pytest
from tests.helpers import tiny


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    return tiny.make_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    return tiny.make_tiny_gpt2(tmp_path_factory.mktemp("gpt2"))
