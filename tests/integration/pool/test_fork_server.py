"""Fork servers and pools are killed, held up and starved: no instance is lost, and none runs unknown."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plat.errors import PlatError
from pool.drivers import fork_process, procfs
from pool.drivers.base import Driver, Running
from pool.drivers.fork_process import ChildOrder, ForkProcess, ForkServerGoneError
from pool.drivers.fork_server import ForkServer
from pool.drivers.starter import system_environment
from pool.health import wait_ready
from runtimes import PYTHON
from tests.integration.pool.forking import forked, lives, marked
from tests.integration.pool.platform import (
    PATIENCE_S,
    Heard,
    Platform,
    call,
    call_that_ends_it,
    eventually,
)
from tests.integration.pool.test_drivers import nothing_left


@pytest.fixture
def path(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A PATH that no other process has."""
    value = f"{os.environ['PATH']}:{data_dir}"
    monkeypatch.setenv("PATH", value)
    return value


def twenty_starts(platform: Platform, driver: Driver) -> list[asyncio.Task[Running]]:
    return [asyncio.ensure_future(driver.start(platform.order())) for _ in range(20)]  # noqa: TID251


async def test_two_hundred_at_once(forking_platform: Platform, path: str) -> None:
    async with forking_platform.open() as driver:
        server = await forked(driver)
        orders = [forking_platform.order() for _ in range(200)]
        all_ = await asyncio.gather(*(driver.start(each) for each in orders))
        for each in all_:
            await wait_ready(each.address, time.monotonic() + PATIENCE_S)
        assert len(marked(path)) == 201
        assert await forked(driver) is server
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in all_))
        await nothing_left(forking_platform, driver)
        assert marked(path) == [server.pid]
    assert marked(path) == []


async def test_the_fork_server_is_killed_among_forks(forking_platform: Platform, path: str) -> None:
    """Every start succeeds, by fork or without; nothing runs that is not listed; another one takes over."""
    heard = Heard()
    async with forking_platform.open(heard) as driver:
        before = await forking_platform.ready(driver)
        for _ in range(5):
            server = await forked(driver)
            starts = twenty_starts(forking_platform, driver)
            await asyncio.sleep(random.uniform(0, 0.02))
            os.kill(server.pid, signal.SIGKILL)
            all_ = await asyncio.gather(*starts)
            await asyncio.gather(*(answers(each) for each in all_))
            assert {each.instance for each in await driver.list()} == {
                each.instance for each in [before, *all_]
            }
            await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in all_))
        assert heard.exits == []
        assert await call(before.address, {"echo": 1}) == 1
        await call_that_ends_it(before.address, {"exit": 3})
        await eventually(lambda: heard.exits, "the end of a child of a server that is gone is told")
        await nothing_left(forking_platform, driver)
        server = await forked(driver)
        await eventually(lambda: marked(path) == [server.pid], "nothing else of it is left")
    assert marked(path) == []


async def answers(running: Running) -> None:
    await wait_ready(running.address, time.monotonic() + PATIENCE_S)
    assert await call(running.address, {"echo": 1}) == 1


async def test_starts_are_cancelled_among_forks(forking_platform: Platform, path: str) -> None:
    async with forking_platform.open() as driver:
        server = await forked(driver)
        for _ in range(10):
            starts = twenty_starts(forking_platform, driver)
            await asyncio.sleep(random.uniform(0, 0.02))
            for start in starts:
                start.cancel()
            done = await asyncio.gather(*starts, return_exceptions=True)
            made = [each for each in done if isinstance(each, Running)]
            assert {each.instance for each in await driver.list()} == {each.instance for each in made}
            await asyncio.gather(*(driver.stop(each.instance, grace_s=0) for each in made))
        await nothing_left(forking_platform, driver)
        await eventually(lambda: marked(path) == [server.pid], "every child has ended")
        await eventually(lambda: not _zombies_of(server.pid), "every child was reaped")


def _zombies_of(parent: int) -> list[str]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for pid in children if (stat := procfs.stat_of(int(pid))) and stat.state == "Z"]


async def test_a_fork_server_that_does_not_answer_is_replaced(
    forking_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_process, "ANSWER_S", 0.2)
    async with forking_platform.open() as driver:
        stuck = await forked(driver)
        os.kill(stuck.pid, signal.SIGSTOP)
        running = await forking_platform.ready(driver)
        assert await call(running.address, {"echo": 1}) == 1
        await eventually(lambda: not lives(stuck.pid), "the one that is stuck is ended")
        assert (await forked(driver)).pid != stuck.pid
        await driver.stop(running.instance, grace_s=5)
        await nothing_left(forking_platform, driver)


async def test_a_child_that_is_killed_before_it_is_let_go_is_an_instance_that_ended(
    forking_platform: Platform,
) -> None:
    async with forking_platform.open() as driver:
        server = await forked(driver)
        with await server.fork(_child_order(forking_platform)) as child:
            os.kill(child.pid, signal.SIGKILL)
            child.release()
        cause = None
        while cause is None:
            cause = await server.reap(child.pid)
        assert cause.detail == "The process was ended by signal 9 (SIGKILL)."


async def test_a_child_that_is_not_let_go_ends(forking_platform: Platform) -> None:
    async with forking_platform.open() as driver:
        server = await forked(driver)
        with await server.fork(_child_order(forking_platform)) as child:
            assert lives(child.pid)
        await eventually(lambda: procfs.stat_of(child.pid) is None, "it has ended, and was reaped")


def _child_order(platform: Platform) -> ChildOrder:
    return ChildOrder(system_environment(), str(platform.code), "/dev/null", "/dev/null")


async def test_a_fork_server_without_descriptors_says_so(forking_platform: Platform) -> None:
    async with forking_platform.open() as driver:
        server = await forked(driver)
        usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (5, most))
        with pytest.raises(PlatError, match="Too many open files"):
            await driver.start(forking_platform.order())
        await nothing_left(forking_platform, driver)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (usual, most))
        running = await forking_platform.ready(driver)
        await driver.stop(running.instance, grace_s=5)
        assert await forked(driver) is server


async def test_a_server_that_cannot_be_started_is_done_without(
    executing_platform: Platform, tmp_path: Path
) -> None:
    for argv in (("/no/such/program",), ("false",), (sys.executable, "-c", "raise SystemExit('broken')")):
        server = ForkServer(argv, {})
        server.want()
        assert await server.process_within(PATIENCE_S) is None
        await server.close()


async def test_what_is_asked_of_one_that_has_ended_is_refused() -> None:
    process = ForkProcess(PYTHON.fork_argv, system_environment())
    await process.settled.wait()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ForkServerGoneError):
        while True:
            (await process.fork(ChildOrder({}, "/", "/dev/null", "/dev/null"))).__exit__(None, None, None)
    assert await process.reap(1) is None
    assert await process.close() == "status -9"


async def test_one_that_cannot_find_out_which_pages_are_written_to_forks_all_the_same(
    data_dir: Path,
) -> None:
    env = {**system_environment(), "TMPDIR": str(data_dir / "there is none")}
    process = ForkProcess(PYTHON.fork_argv, env)
    await process.settled.wait()
    assert process.is_ready
    (await process.fork(ChildOrder({}, "/", "/dev/null", "/dev/null"))).__exit__(None, None, None)
    assert "pages that a load writes to are not known: FileNotFoundError" in await process.close()


async def test_one_that_is_killed_while_it_finds_it_out_leaves_no_process(path: str, data_dir: Path) -> None:
    for _ in range(20):
        process = ForkProcess(PYTHON.fork_argv, {**system_environment(), "TMPDIR": str(data_dir)})
        await asyncio.wait_for(seen(path, process), PATIENCE_S)
        os.kill(process.pid, signal.SIGKILL)
        assert await process.close() == "status -9"
        await eventually(lambda: not marked(path), "the child ends with it")


async def seen(path: str, process: ForkProcess) -> None:
    """The server has a child: it is watched, for some milliseconds."""
    while len(marked(path)) < 2:
        assert not process.is_ready, "it was not seen"
        await asyncio.sleep(0)
    await asyncio.sleep(random.uniform(0, 0.01))


async def test_one_that_finds_it_out_leaves_nothing_of_it(data_dir: Path) -> None:
    process = ForkProcess(PYTHON.fork_argv, {**system_environment(), "TMPDIR": str(data_dir)})
    await process.settled.wait()
    assert process.is_ready
    assert not list(data_dir.iterdir())
    assert not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    assert await process.close() in ("status -9", "status 0"), "it had something to say"


POOL = """
import asyncio, sys
from pathlib import Path
from plat.settings import Settings
from pool.drivers.process import ProcessDriver
from tests.integration.pool.platform import Heard, Platform

async def main():
    platform = Platform(Settings(data=sys.argv[1], port=0, admin_port=0), ProcessDriver, Path(sys.argv[2]))
    driver = platform.make(platform.settings)
    await driver.open(Heard().listener)
    await driver._starter.fork_server("python", 20)
    print("ready", flush=True)
    while True:
        await asyncio.gather(*(driver.start(platform.order()) for _ in range(4)))

asyncio.run(main())
"""


async def test_the_pool_is_killed_among_forks(forking_platform: Platform, path: str) -> None:
    """Whatever runs afterwards is found again; the rest has never run."""
    for _ in range(6):
        await asyncio.to_thread(kill_a_pool, forking_platform, random.uniform(0, 0.1))
        async with forking_platform.open() as driver:
            server = await forked(driver)
            listed = await driver.list()
            await only_these_run(path, len(listed) + 1)
            await asyncio.gather(*(answers(each) for each in listed))
            await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in listed))
            await nothing_left(forking_platform, driver)
            assert marked(path) == [server.pid]
    assert marked(path) == []


async def only_these_run(path: str, count: int) -> None:
    await eventually(lambda: len(marked(path)) == count, f"{count} run")


def kill_a_pool(platform: Platform, after_s: float) -> None:
    arguments = [sys.executable, "-c", POOL, platform.settings.data, str(platform.code)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as pool:
        assert pool.stdout is not None
        assert pool.stdout.readline() == b"ready\n"
        time.sleep(after_s)
        pool.kill()


async def test_a_paused_one_stays_so_when_the_fork_server_dies(forking_platform: Platform) -> None:
    """The kernel wakes stopped processes whose session loses its parent; these are sessions of their own."""
    async with forking_platform.open() as driver:
        server = await forked(driver)
        running = await forking_platform.ready(driver)
        await driver.pause(running.instance)
        os.kill(server.pid, signal.SIGKILL)
        await eventually(lambda: not lives(server.pid), "the server is gone")
        [listed] = await driver.list()
        assert listed.paused
        await driver.resume(running.instance)
        assert await call(running.address, {"echo": 1}) == 1
        await driver.stop(running.instance, grace_s=5)


async def test_stopped_while_it_is_being_paused(process_platform: Platform) -> None:
    async with process_platform.open() as driver:
        for _ in range(10):
            running = await process_platform.ready(driver)
            pause = asyncio.ensure_future(driver.pause(running.instance))  # noqa: TID251
            await driver.stop(running.instance, grace_s=5)
            await asyncio.wait([pause])
            if not pause.cancelled() and (error := pause.exception()) is not None:
                assert isinstance(error, PlatError)
        await nothing_left(process_platform, driver)
