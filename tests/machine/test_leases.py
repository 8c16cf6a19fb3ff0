"""Devices are leased: never two processes on one, whatever becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from wsa.machine import devices as machine
from wsa.machine import leases
from wsa.machine.leases import devices, leased_device, lock_file

UUIDS = ("GPU-11aa", "GPU-22bb", "GPU-33cc")
HOLD = """
import os, sys
from wsa.machine.leases import leased_device
with leased_device() as device:
    print("holds", device, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Locks of this test's own, whatever else runs on this machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(leases.tempfile, "tempdir", None)
    monkeypatch.delenv("WSA_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def start():
    """Starts processes that hold a device until they are told to end, or are killed."""
    started = []

    def one(**environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def held(process: subprocess.Popen) -> list[str]:
    """What a process holds and what CUDA may see there, once it holds it."""
    while True:
        words = process.stdout.readline().split()
        assert words, f"ended with {process.wait()}"
        if words[0] == "holds":
            return words[1:]


def test_four_processes_hold_four_devices_and_a_fifth_waits(start):
    four = [start(WSA_DEVICES="0,1,2,3") for _ in range(4)]
    holds = [held(process) for process in four]
    assert sorted(device for device, _ in holds) == ["0", "1", "2", "3"]
    assert all(device == visible for device, visible in holds)
    fifth = start(WSA_DEVICES="0,1,2,3")
    assert fifth.stdout.readline() == "waiting for a device: 0, 1, 2, 3 taken by other runs\n"
    four[2].stdin.write("\n")
    four[2].stdin.flush()
    assert held(fifth)[0] == holds[2][0]


def test_a_killed_process_lets_go(start):
    first = start(WSA_DEVICES="a,b")
    device = held(first)[0]
    second = start(WSA_DEVICES="a,b")
    assert held(second)[0] != device
    third = start(WSA_DEVICES="a,b")
    assert third.stdout.readline().startswith("waiting")
    first.kill()
    assert held(third)[0] == device


def test_a_device_named_beforehand_is_kept_and_leased(start):
    """As Slurm names it, or a person."""
    first = start(WSA_DEVICES="0,1,2,3", CUDA_VISIBLE_DEVICES="2")
    assert held(first) == ["2", "2"]
    same = start(WSA_DEVICES="0,1,2,3", CUDA_VISIBLE_DEVICES="2")
    assert same.stdout.readline() == "waiting for a device: 2 taken by other runs\n"
    others = [start(WSA_DEVICES="0,1,2,3") for _ in range(3)]
    assert sorted(held(process)[0] for process in others) == ["0", "1", "3"]


def test_a_machine_without_gpu_leases_nothing(monkeypatch):
    monkeypatch.setattr(leases, "nvidia_smi", lambda field: ())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with leased_device() as device:
        assert device is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, UUIDS),
        ("2,0", ("GPU-33cc", "GPU-11aa")),
        ("GPU-22", ("GPU-22bb",)),
        ("MIG-7,MIG-8", ("MIG-7", "MIG-8")),
        ("1,7,0", ("GPU-22bb",)),  # CUDA stops at the first that is none
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),  # Slurm's, for a job without a GPU
    ],
)
def test_what_cuda_may_see_narrows_what_there_is(monkeypatch, visible, expected):
    monkeypatch.setattr(leases, "nvidia_smi", lambda field: UUIDS)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices() == expected


def test_gpus_are_read_from_nvidia_smi(tmp_path, monkeypatch):
    """A program of that name that answers as NVIDIA's does."""
    program = tmp_path / "nvidia-smi"
    answer = '[ "$*" = "--query-gpu=uuid --format=csv,noheader" ] && printf "GPU-1\\nGPU-2\\n"'
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    machine.nvidia_smi.cache_clear()
    try:
        assert devices() == ("GPU-1", "GPU-2")
    finally:
        machine.nvidia_smi.cache_clear()


def test_a_lease_takes_no_time_and_can_be_taken_by_every_user(monkeypatch):
    monkeypatch.setenv("WSA_DEVICES", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    begin = time.monotonic()
    with leased_device():
        assert lock_file("0").stat().st_mode & 0o777 == 0o666
    with leased_device():
        pass
    assert time.monotonic() - begin < 5
