"""What a person sees of long work, on a terminal and in a log."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios

import pytest
from wsa.machine import progress
from wsa.machine.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on when told."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return sleep


def work(clock, steps: int, **options) -> Progress:
    """`steps` of 100 steps of 32 sentences, two seconds each."""
    bar = Progress("tiny lora seed 0", 100, unit="sentences", **options)
    for step in range(1, steps + 1):
        clock(2)
        bar.update(step, 32 * step, "loss 0.6931")
    return bar


def test_a_log_gets_a_line_every_ten_seconds(clock, capsys):
    work(clock, 100).close()
    lines = capsys.readouterr().err.splitlines()
    # one at the start, one at the end
    assert len(lines) == 2 + 200 // 10 and "\r" not in "".join(lines)
    rate = "loss 0.6931 16 sentences/s"
    assert lines[10] == f"tiny lora seed 0: 50/100, {rate}, 01:40 left"
    assert lines[-1] == f"tiny lora seed 0: 100/100, {rate}, 00:00 left"


def test_what_was_done_before_an_interruption_counts(clock, capsys):
    bar = Progress("tiny lora seed 0", 100, unit="sentences", seconds=100.0)
    clock(10)
    bar.update(55, 55 * 32, "loss 0.5")
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "tiny lora seed 0: 55/100, loss 0.5 16 sentences/s, 01:30 left"


def test_nothing_is_said_after_work_that_failed(clock, capsys):
    work(clock, 3)
    assert capsys.readouterr().err.count("\n") == 1  # where it began


def test_a_terminal_gets_one_live_line(clock, monkeypatch):
    reads, writes = pty.openpty()
    fcntl.ioctl(writes, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(writes, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        work(clock, 8).close()
        progress.say("done")
    shown = b""
    while b"done" not in shown:  # a terminal hands on a few thousand bytes at a time
        shown += os.read(reads, 100_000)
    shown = shown.decode()
    live, *after = shown.splitlines()[-2:]
    assert after == ["done"]
    assert shown.count("\n") == 2 and shown.count("\r") > 8
    assert "8/100, loss 0.6931 16 sentences/s, 03:04 left" in shown and "█" in shown
