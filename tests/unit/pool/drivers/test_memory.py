"""Measuring memory, with this very process as the example."""

import os
from pathlib import Path

from pool.drivers import procfs
from pool.drivers.memory import MemoryMeter


def own_kb() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_process_is_measured_as_the_kernel_measures_it() -> None:
    meter = MemoryMeter()
    meter.watch(os.getpid())
    before = own_kb()
    used = meter.measure()[os.getpid()]
    assert 0.5 * before * 1024 < used < 2 * own_kb() * 1024
    meter.close()


def test_its_processes() -> None:
    meter = MemoryMeter()
    meter.watch(os.getsid(0))
    assert os.getpid() in meter.processes(os.getsid(0))
    assert meter.processes(2**22 + 1) == {2**22 + 1}
    meter.close()


def test_one_that_has_ended_uses_nothing() -> None:
    meter = MemoryMeter()
    nobody = 2**22 + 1
    assert procfs.stat_of(nobody) is None
    meter.watch(nobody)
    assert meter.measure() == {nobody: 0}
    meter.close()


def test_one_that_is_forgotten_is_measured_no_more() -> None:
    meter = MemoryMeter()
    meter.watch(os.getpid())
    meter.forget(os.getpid())
    meter.forget(os.getpid())
    assert meter.measure() == {}
    meter.close()


def test_closing_closes_every_file() -> None:
    before = open_files()
    meter = MemoryMeter()
    meter.watch(os.getpid())
    meter.measure()
    meter.close()
    assert open_files() == before
