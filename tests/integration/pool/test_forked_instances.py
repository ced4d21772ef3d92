"""An instance that was forked is what one is that was executed; that was warm, what one is that was not."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pool.drivers.base import Driver, Kind, Running, WarmOrder
from pool.drivers.process import ProcessDriver
from pool.health import load, wait_ready
from tests.integration.pool.forking import forked, lives
from tests.integration.pool.platform import PATIENCE_S, Platform, call, eventually
from tests.integration.pool.test_drivers import nothing_left

MOST_COPIED = 25
"""Between an order to load and the answer to the first call: some are of files and threads."""

SECRET = "a-secret-that-nobody-else-may-see"

LOOK = """
import gc, json, logging, os, resource, signal, subprocess, sys, threading, time
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
own = ("PLAT_SOCKET", "PLAT_INSTANCE", "HOME", "TMPDIR")
result = {
    "environ": {name: value for name, value in os.environ.items() if name not in own},
    "own names": [name for name in own if name in os.environ],
    "argv": sys.argv,
    "path": sys.path,
    "flags": repr(sys.flags),
    "main": sys.modules["__main__"].__file__,
    "cwd": os.getcwd(),
    "leader": os.getpid() == os.getsid(0) == os.getpgid(0),
    "umask": os.umask(0o77),
    "nice": os.nice(0),
    "limits": [resource.getrlimit(each) for each in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)],
    "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
    "threads": threading.active_count(),
    "files": sorted(int(each) for each in os.listdir("/proc/self/fd")),
    "stdin": os.readlink("/proc/self/fd/0"),
    "outputs": [os.path.basename(os.readlink(f"/proc/self/fd/{each}")) for each in (1, 2)],
    "append": [bool(__import__("fcntl").fcntl(each, 3) & os.O_APPEND) for each in (1, 2)],
    "buffered": [sys.stdout.line_buffering, sys.stderr.line_buffering, sys.stdout.encoding],
    "gc": [gc.isenabled(), gc.get_threshold()],
    "time zone": time.strftime("%H %Z", time.gmtime(0)) + time.strftime("%H %Z", time.localtime(0)),
    "no bytecode": sys.dont_write_bytecode,
    "modules of its own": [logging.WHOSE, subprocess.WHOSE],
    "main thread": threading.current_thread() is threading.main_thread(),
}
"""


async def loaded(platform: Platform, driver: Driver, **env: Any) -> Running:
    """One that was warm."""
    warm = await platform.warm(driver)
    order = replace(platform.order(**env), instance=warm.instance)
    placed = await driver.place(order)
    await load(placed.running.address, placed.load, time.monotonic() + PATIENCE_S)
    return placed.running


async def test_an_instance_is_the_same_however_it_came_to_be(
    forking_platform: Platform, executing_platform: Platform, code: Path
) -> None:
    for name in ("logging", "subprocess"):
        (code / f"{name}.py").write_text("WHOSE = 'the function'\n")
    (code / "lib").mkdir()
    env = {"TZ": "Asia/Tokyo", "PYTHONPATH": str(code / "lib"), "PATH": "/mine", "PLAT_FUNCTION": "liar"}
    found = []
    for platform in (executing_platform, forking_platform):
        async with platform.open() as driver:
            for running in (await platform.ready(driver, **env), await loaded(platform, driver, **env)):
                found.append(await call(running.address, {"python": LOOK}))
                await driver.stop(running.instance, grace_s=5)
    for each in found[1:]:
        assert each == found[0]
    assert found[0]["time zone"] == "00 GMT09 JST"
    assert found[0]["modules of its own"] == ["the function"] * 2
    assert found[0]["environ"]["PLAT_FUNCTION"] == "hello"


async def test_no_two_have_the_same_random_numbers(forking_platform: Platform) -> None:
    draw = """
import random, secrets, ssl, tempfile, uuid
result = [random.random(), uuid.uuid4().hex, secrets.token_hex(8), ssl.RAND_bytes(8).hex(), tempfile.mktemp()]
"""
    async with forking_platform.open() as driver:
        all_ = [await forking_platform.ready(driver) for _ in range(3)]
        drawn = [await call(each.address, {"python": draw}) for each in all_]
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in all_))
    for values in zip(*drawn, strict=True):
        assert len(set(values)) == 3


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED", "LC_ALL"])
async def test_a_variable_that_counts_only_at_the_start_counts(
    forking_platform: Platform, variable: str
) -> None:
    """It is started by itself: no fork has the variable in what the kernel knows as its environment."""
    inside = "result = open('/proc/self/environ').read()"
    async with forking_platform.open() as driver:
        running = await forking_platform.ready(driver, **{variable: "0"})
        assert f"{variable}=0" in await call(running.address, {"python": inside})
        await driver.stop(running.instance, grace_s=5)


async def test_loading_a_function_copies_hardly_any_page(forking_platform: Platform) -> None:
    """What it writes to was copied while nobody waited: without, it is 45 pages."""
    async with forking_platform.open() as driver:
        await forked(driver)
        assert isinstance(driver, ProcessDriver)
        warm = await forking_platform.warm(driver)
        pid = driver._live_one(warm.instance).pid
        before = page_faults(pid)
        running = await forking_platform.loaded(driver, warm)
        assert await call(running.address, {"echo": 1}) == 1
        assert page_faults(pid) - before < MOST_COPIED
        await driver.stop(running.instance, grace_s=5)


def page_faults(pid: int) -> int:
    """Those that needed no disk, of all its threads (proc(5), field 10)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


async def test_secrets_are_nowhere_but_in_the_instance(forking_platform: Platform) -> None:
    """Not even in the memory of the fork server, of which later instances are copies."""
    async with forking_platform.open() as driver:
        server = await forked(driver)
        own = await forking_platform.ready(driver, SECRET=SECRET)
        other = await forking_platform.ready(driver)
        warm = await loaded(forking_platform, driver, SECRET=SECRET)
        assert await call(own.address, {"python": "import os; result = os.environ['SECRET']"}) == SECRET
        pids = [
            await call(each.address, {"python": "import os; result = os.getpid()"}) for each in (own, other)
        ]
        assert _memory_has(pids[0], SECRET)
        assert not _memory_has(pids[1], SECRET)
        assert not _memory_has(server.pid, SECRET)
        assert SECRET.encode() not in Path(f"/proc/{pids[0]}/environ").read_bytes()
        for file in (forking_platform.settings.run_dir / "instances").rglob("*.json"):
            assert SECRET not in file.read_text()
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (own, other, warm)))


def _memory_has(pid: int, word: str) -> bool:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(each, 16) for each in line.split()[0].split("-"))
            if "rw" in line.split()[1] and "[v" not in line:
                memory.seek(start)
                if word.encode() in memory.read(end - start):
                    return True
    return False


WORK = {
    "fork": """
import os
pid = os.fork()
if not pid:
    os._exit(7)
result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
""",
    "terminate": """
import os, signal, time
pid = os.fork()
if not pid:
    time.sleep(600)
os.kill(pid, signal.SIGTERM)
result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) + signal.SIGTERM + 7
""",
    "fork pool": """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    result = sum(pool.map(abs, [-3, -4]))
""",
    "spawn pool": """
import multiprocessing
with multiprocessing.get_context("spawn").Pool(1) as pool:
    result = sum(pool.map(abs, [-3, -4]))
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    result = sum(pool.map(abs, [-3, -4]))
""",
    "subprocess": "import subprocess; result = subprocess.run(['sh', '-c', 'exit 7']).returncode",
    "asyncio": "import asyncio; result = asyncio.run(asyncio.sleep(0, 7))",
    "signal": """
import os, signal
got = []
signal.signal(signal.SIGCHLD, lambda *_: got.append(7))
pid = os.fork()
if not pid:
    os._exit(0)
os.waitpid(pid, 0)
result = got[0]
""",
}


@pytest.mark.parametrize("work", WORK)
async def test_a_handler_may_start_what_it_likes(process_platform: Platform, work: str) -> None:
    async with process_platform.open() as driver:
        running = await process_platform.ready(driver)
        assert await call(running.address, {"python": WORK[work]}) == 7
        await driver.stop(running.instance, grace_s=5)
        await nothing_left(process_platform, driver)


async def test_what_it_left_behind_by_forking_twice_ends_with_it(process_platform: Platform) -> None:
    twice = """
import os, time
end, begin = os.pipe()
if not os.fork():
    if not os.fork():
        os.write(begin, str(os.getpid()).encode())
        time.sleep(600)
    os._exit(0)
os.wait()
result = int(os.read(end, 20))
"""
    async with process_platform.open() as driver:
        running = await process_platform.ready(driver)
        pid = await call(running.address, {"python": twice})
        assert lives(pid)
        await driver.stop(running.instance, grace_s=5)
        await eventually(lambda: not lives(pid), "its grandchild ends")


@pytest.mark.node
async def test_a_runtime_without_a_fork_server_has_warm_instances_too(
    executing_platform: Platform, code: Path
) -> None:
    (code / "main.js").write_text(
        "exports.handler = () => ({ env: process.env.GREETING, cwd: process.cwd() });\n"
    )
    order = executing_platform.order(GREETING="hi")
    spec = replace(order.version.spec, runtime="node")
    order = replace(order, version=replace(order.version, spec=spec))
    async with executing_platform.open() as driver:
        warm = await driver.warm(WarmOrder(order.instance, Kind.of(spec)))
        assert (await wait_ready(warm.address, time.monotonic() + PATIENCE_S)).warm
        placed = await driver.place(order)
        await load(placed.running.address, placed.load, time.monotonic() + PATIENCE_S)
        assert await call(warm.address, {}) == {"env": "hi", "cwd": str(code)}
        await driver.pause(order.instance)
        await driver.resume(order.instance)
        assert await call(warm.address, {}) == {"env": "hi", "cwd": str(code)}
        await driver.stop(order.instance, grace_s=5)
        await nothing_left(executing_platform, driver)
