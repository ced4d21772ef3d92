"""What only the process driver does: surviving kill -9 between any two of its steps, and its limits."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import uvloop

from pool.drivers import procfs
from pool.drivers.environment import contract
from pool.drivers.folder import Folder, Record
from tests.integration.pool.platform import PATIENCE_S, Heard, Platform, call, eventually

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(600)")


def instances(platform: Platform) -> Path:
    path = platform.settings.run_dir / "instances"
    path.mkdir(parents=True, exist_ok=True)
    return path


def a_process(env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """With its variables to be seen: for a moment after exec(2) there are none yet."""
    process = subprocess.Popen(SLEEP, env=env, start_new_session=True)
    deadline = time.monotonic() + PATIENCE_S
    while env and not Path(f"/proc/{process.pid}/environ").read_bytes():
        assert time.monotonic() < deadline, "a process without its variables"
        time.sleep(0.001)
    return process


async def test_killed_between_starting_a_process_and_writing_down_its_pid(process_platform: Platform) -> None:
    order = process_platform.order()
    folder = Folder(instances(process_platform), order.instance)
    folder.make(Record.of(order.instance, order.version, datetime.now(UTC)))
    process = a_process(contract(order, socket=str(folder.socket), code="/code"))
    async with process_platform.open() as driver:
        [found] = await driver.list()
        assert found.instance == order.instance
        await driver.stop(found.instance, grace_s=5)
        assert await driver.list() == []
    process.wait()


async def test_killed_before_the_process_was_started(process_platform: Platform) -> None:
    order = process_platform.order()
    folder = Folder(instances(process_platform), order.instance)
    folder.make(Record.of(order.instance, order.version, datetime.now(UTC)))
    (instances(process_platform) / ".unfinished.abcd").mkdir()
    async with process_platform.open() as driver:
        assert await driver.list() == []
    assert list(instances(process_platform).iterdir()) == []


async def test_a_pid_that_another_process_has_now_is_left_alone(process_platform: Platform) -> None:
    order = process_platform.order()
    folder = Folder(instances(process_platform), order.instance)
    process = a_process({})
    stat = procfs.stat_of(process.pid)
    assert stat is not None
    record = Record.of(order.instance, order.version, datetime.now(UTC))
    folder.make(msgspec.structs.replace(record, pid=process.pid, started=stat.started - 1))
    async with process_platform.open() as driver:
        assert await driver.list() == []
    assert list(instances(process_platform).iterdir()) == []
    assert process.poll() is None
    process.kill()
    process.wait()


async def test_the_folder_of_a_container_is_left_alone(process_platform: Platform) -> None:
    (instances(process_platform) / "0123456789abcdef").mkdir()
    async with process_platform.open() as driver:
        assert await driver.list() == []
    assert [path.name for path in instances(process_platform).iterdir()] == ["0123456789abcdef"]


async def test_what_it_is_given(process_platform: Platform) -> None:
    look = """
import os, resource
result = {
    "cwd": os.getcwd(),
    "leader": os.getsid(0) == os.getpid() == os.getpgid(0),
    "stdin": os.readlink("/proc/self/fd/0"),
    "umask": os.umask(0o77),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "inherited": os.path.exists(f"/proc/self/fd/{os.environ['INHERITED']}"),
}
"""
    leak = os.open("/dev/zero", os.O_RDONLY)
    high = os.dup2(leak, 400, inheritable=True)
    async with process_platform.open() as driver:
        running = await process_platform.ready(driver, INHERITED=str(high))
        found = await call(running.address, {"python": look})
        await driver.stop(running.instance, grace_s=5)
    os.close(leak)
    os.close(high)
    assert found == {
        "cwd": str(process_platform.code),
        "leader": True,
        "stdin": "/dev/null",
        "umask": 0o77,
        "core": [0, 0],
        "inherited": False,
    }


async def test_what_it_started_in_the_background_ends_with_it(process_platform: Platform) -> None:
    start = "import subprocess; result = subprocess.Popen(['sleep', '600']).pid"
    group = "import subprocess; result = subprocess.Popen(['sleep', '600'], process_group=0).pid"
    async with process_platform.open() as driver:
        running = await process_platform.ready(driver)
        pids = [await call(running.address, {"python": code}) for code in (start, group)]
        await driver.stop(running.instance, grace_s=5)
        await eventually(lambda: not any(_runs(pid) for pid in pids), "its children end")


def _runs(pid: int) -> bool:
    stat = procfs.stat_of(pid)
    return stat is not None and stat.state not in "ZX"


def test_all_of_it_works_under_uvloop(process_platform: Platform) -> None:
    """The services run under it; its readers, signals and children are its own."""

    async def run() -> None:
        heard = Heard()
        async with process_platform.open(heard) as driver:
            one, two = await asyncio.gather(*(process_platform.ready(driver) for _ in range(2)))
            assert await call(one.address, {"echo": 1}) == 1
            record = Folder(instances(process_platform), one.instance).read()
            assert record is not None and record.pid is not None
            os.kill(record.pid, signal.SIGKILL)
            await eventually(lambda: heard.exits, "its end is told")
            assert heard.exits[0].reason == "signalled"
            await driver.stop(two.instance, grace_s=5)
            assert await driver.list() == []

    uvloop.run(run())


@pytest.mark.parametrize("what", ["pause", "resume"])
async def test_killed_between_two_groups_of_one_instance_it_counts_as_paused(
    forking_platform: Platform, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What stands still in it would never be woken up otherwise."""
    platform = forking_platform
    in_own_group = f"[{sys.executable!r}, '-S', '-c', 'import time; time.sleep(600)'], process_group=0"
    start = f"import subprocess\nresult = [subprocess.Popen({in_own_group}).pid for _ in range(5)]"
    async with platform.open() as driver:
        running = await platform.ready(driver)
        pids = await call(running.address, {"python": start})
        if what == "resume":
            await driver.pause(running.instance)
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", killed_at_the_second(os.killpg))
            with pytest.raises(KeyboardInterrupt):
                await getattr(driver, what)(running.instance)
    async with platform.open() as driver:
        assert [each.paused for each in await driver.list()] == [True]
        await driver.resume(running.instance)
        assert await call(running.address, {"echo": "awake"}) == "awake"
        states = [stat.state for stat in map(procfs.stat_of, pids) if stat is not None]
        assert (len(states), "T" in states) == (5, False)
        await driver.stop(running.instance, grace_s=5)


def killed_at_the_second(killpg: Callable[[int, int], None]) -> Callable[[int, int], None]:
    calls = iter(range(100))

    def signal_or_die(group: int, number: int) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        killpg(group, number)

    return signal_or_die
