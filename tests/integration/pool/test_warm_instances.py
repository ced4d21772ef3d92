"""The contract of every driver for warm and paused instances, against real processes and a real engine."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plat.errors import PlatError
from pool.drivers.base import Kind, WarmOrder
from pool.health import Unreachable, load, probe, wait_ready
from tests.integration.pool.platform import (
    PATIENCE_S,
    Heard,
    Platform,
    call,
    call_that_ends_it,
    eventually,
)
from tests.integration.pool.test_drivers import nothing_left


def environ(inside: dict[str, str]) -> dict[str, str]:
    """Without what says where it is and which it is."""
    own = ("PLAT_SOCKET", "PLAT_INSTANCE", "PLAT_CODE", "HOME", "TMPDIR", "HOSTNAME", "PWD", "OLDPWD")
    return {name: value for name, value in inside.items() if name not in own}


ENVIRON = {"python": "import os; result = dict(os.environ)"}


# --- warm


async def test_a_warm_instance_is_listed_as_what_it_can_become_and_stops(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.warm(driver, memory_mb=96)
        [listed] = await driver.list()
        assert listed.kind == running.kind == Kind("python", 96, 1.0)
        assert (listed.instance, listed.address) == (running.instance, running.address)
        assert (listed.function, listed.number, listed.version_id) == ("", 0, "")
        assert listed.managed
        assert not listed.paused
        await driver.stop(running.instance, grace_s=5)
        with pytest.raises(Unreachable):
            await probe(running.address, 1)
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_a_warm_instance_is_found_again_and_can_take_a_function(platform: Platform) -> None:
    async with platform.open() as driver:
        warm = await platform.warm(driver)
    async with platform.open() as driver:
        [listed] = await driver.list()
        assert (listed.instance, listed.kind) == (warm.instance, warm.kind)
        running = await platform.loaded(driver, listed)
        assert await call(running.address, {"echo": "found"}) == "found"
        await driver.stop(running.instance, grace_s=5)
        await nothing_left(platform, driver)


@pytest.mark.parametrize("after_s", [0, 0.001, 0.01, 0.05, 0.2])
async def test_a_cancelled_warm_start_leaves_nothing(platform: Platform, after_s: float) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        order = WarmOrder("0123456789abcdef", Kind("python", 128, 1.0))
        start = asyncio.ensure_future(driver.warm(order))  # noqa: TID251 - a bare task is what is tested
        await asyncio.wait([start], timeout=after_s)
        if not start.cancel():
            await driver.stop(order.instance, grace_s=0)
        await asyncio.wait([start])
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_a_runtime_that_is_not_there_cannot_be_warm(platform: Platform) -> None:
    async with platform.open() as driver:
        with pytest.raises(PlatError, match="cobol") as raised:
            await driver.warm(WarmOrder("0123456789abcdef", Kind("cobol", 128, 1.0)))
        assert raised.value.code == "instance_start_failed"
        await nothing_left(platform, driver)


# --- place


async def test_a_warm_instance_becomes_one_of_the_function(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        warm = await platform.warm(driver)
        running = await platform.loaded(driver, warm)
        assert (running.instance, running.address) == (warm.instance, warm.address)
        assert (running.function, running.number, running.version_id) == ("hello", 7, "version-1")
        assert running.kind is None
        health = await probe(running.address, PATIENCE_S)
        assert health is not None
        assert (health.function, health.version, health.warm) == ("hello", 7, False)
        assert await call(running.address, {"echo": [1, "two"]}) == [1, "two"]

        [listed] = await driver.list()
        assert (listed.instance, listed.function, listed.number) == (warm.instance, "hello", 7)
        assert (listed.version_id, listed.kind) == ("version-1", None)
        await driver.stop(running.instance, grace_s=5)
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_whose_it_is_is_known_to_the_next_driver(platform: Platform) -> None:
    first, second = Heard(), Heard()
    async with platform.open(first) as driver:
        running = await platform.loaded(driver, await platform.warm(driver))
        await eventually(lambda: first.messages(running.instance), "its first line is told")
    second.kept.update(first.kept)
    async with platform.open(second) as driver:
        [listed] = await driver.list()
        assert (listed.function, listed.number, listed.version_id) == ("hello", 7, "version-1")
        assert listed.kind is None
        assert listed.address == running.address
        await call(listed.address, {"print": ["after"]})
        await eventually(lambda: second.messages(running.instance), "the line is told")
        assert {(each.message, each.function, each.number) for each in second.written} == {
            ("after", "hello", 7)
        }
        await call_that_ends_it(listed.address, {"exit": 4})
        await eventually(lambda: second.exits, "its end is told")
        await nothing_left(platform, driver)


async def test_it_sees_what_one_sees_that_was_started_with_its_function(platform: Platform) -> None:
    options: Any = {"GREETING": "hi=there", "PLAT_FUNCTION": "liar", "PLAT_CODE": "/etc", "PATH": "/bin"}
    look = {
        "python": "import os; result = [os.getuid(), os.path.samefile(os.getcwd(), os.environ['PLAT_CODE'])]"
    }
    async with platform.open() as driver:
        cold, warm = await asyncio.gather(platform.ready(driver, **options), platform.warm(driver))
        warm = await platform.loaded(driver, warm, **options)
        cold_environ, warm_environ = [await call(each.address, ENVIRON) for each in (cold, warm)]
        assert environ(warm_environ) == environ(cold_environ)
        assert warm_environ["GREETING"] == "hi=there"
        assert warm_environ["PLAT_INSTANCE"] == warm.instance
        assert await call(warm.address, look) == await call(cold.address, look)
        assert (await call(warm.address, look))[1] is True
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (cold, warm)))


async def test_the_code_arrives_whole_with_folders_links_and_modes(
    platform: Platform, data_dir: Path
) -> None:
    code = data_dir / "tree"
    (code / "package" / "below").mkdir(parents=True)
    (code / "empty").mkdir()
    (code / "main.py").write_text(
        f"import package.below.value as v\n{(platform.code / 'main.py').read_text()}"
    )
    (code / "package" / "below" / "value.py").write_text("VALUE = 42")
    (code / "package" / "tool").write_text("#!/bin/sh\necho from the tool\n")
    (code / "package" / "tool").chmod(0o555)
    (code / "link").symlink_to("package/below")
    (code / "dangling").symlink_to("/nowhere")
    look = """
import os, subprocess
from package.below.value import VALUE
tool = subprocess.run([os.environ["PLAT_CODE"] + "/package/tool"], capture_output=True, text=True).stdout
os.chdir(os.environ["PLAT_CODE"])
result = [VALUE, tool, os.readlink("link"), os.path.isfile("link/value.py"), os.readlink("dangling"),
          os.path.isdir("empty")]
"""
    async with platform.open() as driver:
        running = await platform.loaded(driver, await platform.warm(driver), code=code)
        inside = await call(running.address, {"python": look})
        await driver.stop(running.instance, grace_s=5)
        assert inside == [42, "from the tool\n", "package/below", True, "/nowhere", True]
        await nothing_left(platform, driver)
    assert (code / "package" / "below" / "value.py").read_text() == "VALUE = 42"


async def test_two_functions_are_given_each_its_own_code(platform: Platform, data_dir: Path) -> None:
    other = data_dir / "other-code"
    other.mkdir()
    (other / "main.py").write_text("def handler(event, context): return 'the other'")
    async with platform.open() as driver:
        one, two = await asyncio.gather(platform.warm(driver), platform.warm(driver))
        one, two = await asyncio.gather(
            platform.loaded(driver, one), platform.loaded(driver, two, code=other)
        )
        assert await call(one.address, {"echo": "mine"}) == "mine"
        assert await call(two.address, {}) == "the other"
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (one, two)))


async def test_one_that_is_gone_or_taken_takes_no_code(platform: Platform) -> None:
    async with platform.open() as driver:
        with pytest.raises(PlatError):
            await driver.place(platform.order())
        running = await platform.loaded(driver, await platform.warm(driver))
        again = msgspec.structs.replace(platform.order(), instance=running.instance)
        with pytest.raises(PlatError):
            await driver.place(again)
        cold = await platform.ready(driver)
        with pytest.raises(PlatError):
            await driver.place(msgspec.structs.replace(again, instance=cold.instance))
        for each in (running, cold):
            assert await call(each.address, {"echo": "unharmed"}) == "unharmed"
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (running, cold)))


async def test_a_handler_that_does_not_load_is_told_and_the_instance_stops(
    platform: Platform, data_dir: Path
) -> None:
    broken = data_dir / "broken"
    broken.mkdir()
    (broken / "main.py").write_text("import nothing_of_that_name")
    heard = Heard()
    async with platform.open(heard) as driver:
        warm = await platform.warm(driver)
        with pytest.raises(PlatError, match="nothing_of_that_name") as raised:
            await platform.loaded(driver, warm, code=broken)
        assert raised.value.code == "handler_import_failed"
        assert "nothing_of_that_name" in (raised.value.traceback or "")
        await driver.stop(warm.instance, grace_s=5)
        await nothing_left(platform, driver)
    assert heard.exits == []


@pytest.mark.parametrize(
    ("event", "reason", "detail"),
    [
        ({"exit": 3}, "exited", "The process exited with status 3."),
        ({"signal": int(signal.SIGSEGV)}, "signalled", "The process was ended by signal 11 (SIGSEGV)."),
        ({"allocate_mb": 100}, "out_of_memory", ""),
    ],
)
async def test_the_end_of_one_that_was_warm_is_told_with_its_cause_and_lines(
    platform: Platform, event: dict[str, int], reason: str, detail: str
) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        warm = await platform.warm(driver, memory_mb=64)
        running = await platform.loaded(driver, warm, memory_mb=64)
        await call(running.address, {"print": ["one", "zwei äöü"]})
        await call_that_ends_it(running.address, event)
        await eventually(lambda: heard.exits, "its end is told")
        [exited] = heard.exits
        assert (exited.instance, exited.reason) == (running.instance, reason)
        assert detail in exited.detail
        assert heard.messages(running.instance) == ["imported", "one", "zwei äöü"]
        assert {(each.function, each.number) for each in heard.written} == {("hello", 7)}
        await nothing_left(platform, driver)


async def test_many_become_something_at_once(platform: Platform) -> None:
    async with platform.open() as driver:
        warm = await asyncio.gather(*(platform.warm(driver) for _ in range(4)))
        all_ = await asyncio.gather(*(platform.loaded(driver, each) for each in warm))
        assert await asyncio.gather(*(call(each.address, {"echo": 1}) for each in all_)) == [1] * 4
        assert {each.function for each in await driver.list()} == {"hello"}
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in all_))
        await nothing_left(platform, driver)


async def test_one_stopped_right_after_the_code_was_placed_leaves_nothing(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        warm = await platform.warm(driver)
        await driver.place(msgspec.structs.replace(platform.order(), instance=warm.instance))
        await driver.stop(warm.instance, grace_s=5)
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_a_warm_instance_that_somebody_ends_is_told(platform: Platform) -> None:
    """Loaded with code that ends it at once: the load is never answered."""
    code = platform.code.with_name("ends")
    code.mkdir()
    (code / "main.py").write_text("import os; os._exit(5)")
    heard = Heard()
    async with platform.open(heard) as driver:
        warm = await platform.warm(driver)
        order = msgspec.structs.replace(platform.order(), instance=warm.instance, code=code)
        placed = await driver.place(order)
        with pytest.raises(Exception, match="closed without an answer"):
            await load(placed.running.address, placed.load, time.monotonic() + PATIENCE_S)
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.exits[0].detail == "The process exited with status 5."
        await nothing_left(platform, driver)


# --- pause


async def test_a_paused_instance_does_nothing_until_it_is_resumed(platform: Platform) -> None:
    async with platform.open() as driver:
        running = await platform.ready(driver)
        await driver.pause(running.instance)
        assert [each.paused for each in await driver.list()] == [True]
        assert await probe(running.address, 0.3) is None
        waiting = asyncio.ensure_future(call(running.address, {"echo": "late"}))  # noqa: TID251
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        await driver.resume(running.instance)
        assert await waiting == "late"
        assert [each.paused for each in await driver.list()] == [False]
        await driver.stop(running.instance, grace_s=5)
        await nothing_left(platform, driver)


LONGEST_GAP = """
import os, time
path = os.environ["TMPDIR"] + "/gap"
last, longest = time.monotonic(), 0.0
while True:
    time.sleep(0.001)
    now = time.monotonic()
    last, longest = now, max(longest, now - last)
    with open(path + ".new", "w") as file:
        file.write(str(longest))
    os.rename(path + ".new", path)
"""


async def test_what_it_started_is_paused_with_it(platform: Platform) -> None:
    start = f"import subprocess, sys\nresult = subprocess.Popen([sys.executable, '-c', {LONGEST_GAP!r}]).pid"
    read = "import os\npath = os.environ['TMPDIR'] + '/gap'\n"
    read += "result = float(open(path).read()) if os.path.exists(path) else -1"

    async def gap_over(seconds: float, address: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while await call(address, {"python": read}) < seconds:
            assert time.monotonic() < deadline, f"no gap over {seconds} s"

    async with platform.open() as driver:
        running = await platform.ready(driver)
        await call(running.address, {"python": start})
        await gap_over(0, running.address)
        await driver.pause(running.instance)
        assert await probe(running.address, 0.3) is None
        await driver.resume(running.instance)
        await gap_over(0.3, running.address)
        await driver.stop(running.instance, grace_s=1)
        await nothing_left(platform, driver)


async def test_pausing_and_resuming_twice_is_no_error(platform: Platform) -> None:
    async with platform.open() as driver:
        running = await platform.loaded(driver, await platform.warm(driver))
        await driver.resume(running.instance)
        await driver.pause(running.instance)
        await driver.pause(running.instance)
        await driver.resume(running.instance)
        await driver.resume(running.instance)
        assert await call(running.address, {"echo": 1}) == 1
        await asyncio.gather(driver.pause(running.instance), driver.pause(running.instance))
        await asyncio.gather(driver.resume(running.instance), driver.resume(running.instance))
        assert await call(running.address, {"echo": 2}) == 2
        await driver.stop(running.instance, grace_s=5)


async def test_what_is_not_there_cannot_be_paused_or_resumed(platform: Platform) -> None:
    async with platform.open() as driver:
        for attempt in (driver.pause, driver.resume):
            with pytest.raises(PlatError):
                await attempt("0123456789abcdef")


async def test_a_paused_instance_can_be_stopped(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        cold, warm = await asyncio.gather(platform.ready(driver), platform.warm(driver))
        for each in (cold, warm):
            await driver.pause(each.instance)
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (cold, warm)))
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_one_that_was_paused_ends_in_order_and_its_lines_are_told(platform: Platform) -> None:
    """SIGTERM reaches it: what it does at its end is done, also when it was paused."""
    code = platform.code.with_name("polite")
    code.mkdir()
    last = "import atexit, sys\natexit.register(lambda: print('good bye', flush=True))\n"
    (code / "main.py").write_text(last + (platform.code / "main.py").read_text())
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.loaded(driver, await platform.warm(driver), code=code)
        await driver.pause(running.instance)
        await driver.stop(running.instance, grace_s=10)
        assert heard.messages(running.instance)[-1] == "good bye"
        await nothing_left(platform, driver)


async def test_a_paused_instance_is_found_paused_by_the_next_driver(platform: Platform) -> None:
    async with platform.open() as driver:
        running = await platform.loaded(driver, await platform.warm(driver))
        await driver.pause(running.instance)
    async with platform.open() as driver:
        [listed] = await driver.list()
        assert (listed.instance, listed.function, listed.paused) == (running.instance, "hello", True)
        await driver.resume(running.instance)
        await wait_ready(running.address, time.monotonic() + PATIENCE_S)
        assert await call(running.address, {"echo": "again"}) == "again"
        [listed] = await driver.list()
        assert not listed.paused
        await driver.pause(running.instance)
    async with platform.open() as driver:
        await driver.stop(running.instance, grace_s=5)
        await nothing_left(platform, driver)


async def test_an_end_is_told_after_a_pause(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver)
        await driver.pause(running.instance)
        await driver.resume(running.instance)
        await call_that_ends_it(running.address, {"exit": 3})
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.exits[0].detail == "The process exited with status 3."
        await nothing_left(platform, driver)
