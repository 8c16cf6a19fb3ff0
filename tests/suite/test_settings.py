"""The workflow's configuration as Snakemake passes it on from its command line."""

from __future__ import annotations

import pytest
from snakemake.cli import parse_config
from wsa.errors import InputError
from wsa.suite.settings import read_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [("seeds=[5, 6]", [5, 6]), ("seeds=3", [0, 1, 2]), ("suites=auto", None)],
)
def test_seeds_are_understood(text, expected):
    assert read_settings(parse_config([text])).seed_list == expected


def test_a_seed_that_is_no_number_is_named():
    with pytest.raises(InputError, match="seeds"):
        read_settings(parse_config(["seeds=[5, six]"]))
