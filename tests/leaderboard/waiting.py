"""Waiting for what a script of a page does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(wanted: Callable[[], Any]) -> Any:
    """What `wanted` gives, once that is something; within ten seconds."""
    deadline = time.monotonic() + 10
    while not (found := wanted()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
