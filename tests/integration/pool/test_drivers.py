"""The contract of every driver, against real processes and a real Docker engine."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plat.errors import PlatError
from plat.settings import Settings
from pool.drivers.base import Driver
from pool.health import Unreachable, probe, wait_ready
from tests.integration.pool.platform import (
    PATIENCE_S,
    Heard,
    Platform,
    call,
    call_that_ends_it,
    eventually,
)


async def nothing_left(platform: Platform, driver: Driver) -> None:
    assert await driver.list() == []
    assert list((platform.settings.run_dir / "instances").iterdir()) == []


async def test_an_instance_starts_serves_is_listed_and_stops(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await driver.start(platform.order())
        health = await wait_ready(running.address, time.monotonic() + PATIENCE_S)
        assert (health.function, health.version) == ("hello", 7)
        assert await call(running.address, {"echo": [1, "two"]}) == [1, "two"]

        [listed] = await driver.list()
        assert (listed.instance, listed.address) == (running.instance, running.address)
        assert (listed.function, listed.number, listed.version_id) == ("hello", 7, "version-1")
        assert listed.managed
        assert abs((listed.started_at - running.started_at).total_seconds()) < 60

        await driver.stop(running.instance, grace_s=5)
        with pytest.raises(Unreachable):
            await probe(running.address, 1)
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_stopping_what_is_not_there_is_no_error(platform: Platform) -> None:
    async with platform.open() as driver:
        await driver.stop("0123456789abcdef", grace_s=1)


async def test_an_instance_may_be_stopped_by_many_at_once(platform: Platform) -> None:
    async with platform.open() as driver:
        running = await platform.ready(driver)
        await asyncio.gather(*(driver.stop(running.instance, grace_s=5) for _ in range(5)))
        await nothing_left(platform, driver)


async def test_one_that_does_not_end_by_itself_is_killed_after_the_grace(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver)
        sleeper = asyncio.ensure_future(call_that_ends_it(running.address, {"sleep": 60}))  # noqa: TID251
        await eventually(lambda: "asleep" in heard.messages(running.instance), "the call runs")
        await driver.stop(running.instance, grace_s=0.2)
        await sleeper
        await nothing_left(platform, driver)


@pytest.mark.parametrize(
    ("event", "reason", "detail"),
    [
        ({"exit": 3}, "exited", "The process exited with status 3."),
        ({"exit": 0}, "exited", "The process exited with status 0."),
        ({"signal": int(signal.SIGSEGV)}, "signalled", "The process was ended by signal 11 (SIGSEGV)."),
        ({"signal": int(signal.SIGKILL)}, "signalled", "The process was ended by signal 9 (SIGKILL)."),
    ],
)
async def test_the_end_of_an_instance_is_told_with_its_cause(
    platform: Platform, event: dict[str, int], reason: str, detail: str
) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver)
        await call_that_ends_it(running.address, event)
        await eventually(lambda: heard.exits, "its end is told")
        [exited] = heard.exits
        assert (exited.instance, exited.reason, exited.detail) == (running.instance, reason, detail)
        await nothing_left(platform, driver)


async def test_one_that_uses_too_much_memory_is_killed(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver, memory_mb=64)
        await call_that_ends_it(running.address, {"allocate_mb": 100})
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.exits[0].reason == "out_of_memory"
        assert "64 MB" in heard.exits[0].detail


async def test_what_it_started_counts_as_its_memory_and_ends_with_it(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver, memory_mb=64)
        allocate = "import time; x = bytearray(100 << 20); time.sleep(60)"
        run = f"import subprocess, sys\nresult = subprocess.call(['python3', '-c', {allocate!r}])\n"
        spawn = f"{run}\nif result: import os; os._exit(1)"
        await call_that_ends_it(running.address, {"python": spawn})
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.exits[0].reason == "out_of_memory"


async def test_what_it_computes_is_counted_and_what_it_waits_is_not(platform: Platform) -> None:
    compute = "import time\nwhile time.process_time() < 1.0: pass\nresult = time.process_time()"
    async with platform.open() as driver:
        running = await platform.ready(driver)
        before_s = await driver.cpu_s(running.instance)
        assert 0 <= before_s < 1.0
        await call(running.address, {"python": "import time\ntime.sleep(0.3)\nresult = 1"})
        assert await driver.cpu_s(running.instance) < before_s + 0.2
        said_s = await call(running.address, {"python": compute})
        assert abs(await driver.cpu_s(running.instance) - said_s) < 0.2
        child = (
            f"import subprocess, sys\nresult = subprocess.run([sys.executable, '-c', {compute!r}]).returncode"
        )
        before_s = await driver.cpu_s(running.instance)
        assert await call(running.address, {"python": child}) == 0
        assert await driver.cpu_s(running.instance) > before_s + 0.8, "what it started has ended, and counts"
        with pytest.raises(PlatError):
            await driver.cpu_s("0123456789abcdef")
        await driver.stop(running.instance, grace_s=1)
        await nothing_left(platform, driver)


async def test_lines_are_told_and_the_last_ones_before_the_end(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver)
        await call(running.address, {"print": ["one", "zwei äöü", "", "  three"]})
        await call_that_ends_it(running.address, {"exit": 3})
        await eventually(lambda: heard.exits, "its end is told")
        assert heard.messages(running.instance) == ["imported", "one", "zwei äöü", "", "  three"]
        assert heard.messages(running.instance, "stderr") == ["the last words"]
        times = [each.time for each in heard.written if each.stream == "stdout"]
        assert times == sorted(times)
        assert {(each.function, each.number) for each in heard.written} == {("hello", 7)}


async def test_a_line_is_told_while_the_instance_runs(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        running = await platform.ready(driver)
        await call(running.address, {"print": ["now"]})
        await eventually(lambda: "now" in heard.messages(running.instance), "the line is told")
        await driver.stop(running.instance, grace_s=5)


async def test_a_very_long_line_comes_in_pieces(platform: Platform) -> None:
    heard = Heard()
    long = "x" * 200_000 + "end"
    async with platform.open(heard) as driver:
        running = await platform.ready(driver)
        await call(running.address, {"print": [long]})
        await driver.stop(running.instance, grace_s=5)
    pieces = heard.messages(running.instance)[1:]
    assert "".join(pieces) == long
    assert max(map(len, pieces)) <= 2 * 64 * 1024


async def test_a_second_driver_takes_over_what_the_first_started(platform: Platform) -> None:
    """As after kill -9 of the pool: nothing is handed over but what is on the machine."""
    first, second = Heard(), Heard()
    async with platform.open(first) as driver:
        one, two = await asyncio.gather(platform.ready(driver), platform.ready(driver))
        await call(one.address, {"print": ["before"]})
        await eventually(lambda: "before" in first.messages(one.instance), "the line is told")
    assert await call(one.address, {"print": ["between"]}) is None

    second.kept.update(first.kept)
    async with platform.open(second) as driver:
        listed = await driver.list()
        assert {each.instance for each in listed} == {one.instance, two.instance}
        assert {each.address for each in listed} == {one.address, two.address}
        await call(one.address, {"print": ["after"]})
        await eventually(lambda: "after" in second.messages(one.instance), "the line is told")
        assert second.messages(one.instance) == ["between", "after"]
        await call_that_ends_it(one.address, {"exit": 4})
        await eventually(lambda: second.exits, "its end is told")
        assert second.exits[0].instance == one.instance
        assert second.messages(one.instance, "stderr") == ["the last words"]
        await driver.stop(two.instance, grace_s=5)
        await nothing_left(platform, driver)
    assert first.exits == []


async def test_what_ended_while_no_driver_watched_is_cleared_away_and_its_lines_kept(
    platform: Platform,
) -> None:
    first, second = Heard(), Heard()
    async with platform.open(first) as driver:
        running = await platform.ready(driver)
        await eventually(lambda: first.messages(running.instance), "its first line is told")
    await call_that_ends_it(running.address, {"exit": 3})
    second.kept.update(first.kept)
    async with platform.open(second) as driver:
        await eventually(lambda: second.messages(running.instance, "stderr"), "its last line is told")
        assert second.messages(running.instance) == []
        await driver.stop(running.instance, grace_s=1)
        await nothing_left(platform, driver)


async def test_the_platforms_own_variables_do_not_reach_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAT_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with platform.open() as driver:
        running = await platform.ready(driver, GREETING="hi=there", PLAT_FUNCTION="liar")
        env = await call(running.address, {"python": "import os; result = dict(os.environ)"})
        await driver.stop(running.instance, grace_s=5)
    assert "secret" not in env.values()
    assert env["GREETING"] == "hi=there"
    contract = {name: value for name, value in env.items() if name.startswith("PLAT_")}
    assert contract.pop("PLAT_SOCKET").endswith("/http.sock")
    assert contract.pop("PLAT_CODE") in (str(platform.code), "/code")
    assert contract == {
        "PLAT_FUNCTION": "hello",
        "PLAT_VERSION": "7",
        "PLAT_HANDLER": "main.handler",
        "PLAT_EVENT": "body",
        "PLAT_CONCURRENCY": "1",
        "PLAT_TIMEOUT_S": "30",
        "PLAT_MEMORY_MB": "128",
        "PLAT_INSTANCE": running.instance,
    }


async def test_its_tmp_is_its_own_and_can_be_written(platform: Platform) -> None:
    write = "import tempfile, os\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x'); result = f.name"
    async with platform.open() as driver:
        one, two = await asyncio.gather(platform.ready(driver), platform.ready(driver))
        for each in (one, two):
            await call(each.address, {"python": write})
        await call(
            one.address, {"python": "open(__import__('os').environ['TMPDIR'] + '/mine', 'w'); result = 1"}
        )
        look = "import os; result = os.listdir(os.environ['TMPDIR'])"
        assert await call(one.address, {"python": look}) == ["mine"]
        assert await call(two.address, {"python": look}) == []
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in (one, two)))


async def test_many_start_at_once(platform: Platform) -> None:
    async with platform.open() as driver:
        all_ = await asyncio.gather(*(platform.ready(driver) for _ in range(6)))
        assert {each.instance for each in await driver.list()} == {each.instance for each in all_}
        assert await asyncio.gather(*(call(each.address, {"echo": 1}) for each in all_)) == [1] * 6
        await asyncio.gather(*(driver.stop(each.instance, grace_s=5) for each in all_))
        await nothing_left(platform, driver)


@pytest.mark.parametrize("after_s", [0, 0.001, 0.01, 0.05, 0.2])
async def test_a_cancelled_start_leaves_nothing(platform: Platform, after_s: float) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        order = platform.order()
        start = asyncio.ensure_future(driver.start(order))  # noqa: TID251 - a bare task is what is tested
        await asyncio.wait([start], timeout=after_s)
        if not start.cancel():
            await driver.stop(order.instance, grace_s=0)
        await asyncio.wait([start])
        await nothing_left(platform, driver)
    assert heard.exits == []


async def test_a_start_that_fails_says_why_and_leaves_nothing(platform: Platform) -> None:
    order = platform.order()
    gone = msgspec.structs.replace(order, code=Path("/nowhere/at/all"))
    spec = msgspec.structs.replace(order.version.spec, runtime="cobol")
    unknown = msgspec.structs.replace(order, version=msgspec.structs.replace(order.version, spec=spec))
    async with platform.open() as driver:
        for wrong, word in ((gone, "/nowhere/at/all"), (unknown, "cobol")):
            with pytest.raises(PlatError, match=word) as raised:
                await driver.start(wrong)
            assert raised.value.code == "instance_start_failed"
        await nothing_left(platform, driver)


async def test_two_platforms_on_one_machine_leave_each_other_alone(
    platform: Platform, other_data: Callable[[Settings], Settings]
) -> None:
    other = platform._replace(settings=other_data(platform.settings))
    mine, theirs = Heard(), Heard()
    async with platform.open(mine) as driver, other.open(theirs) as other_driver:
        running = await platform.ready(driver)
        assert await other_driver.list() == []
        await other_driver.stop(running.instance, grace_s=0)
        assert await call(running.address, {"echo": 1}) == 1
        await call_that_ends_it(running.address, {"exit": 1})
        await eventually(lambda: mine.exits, "its own driver tells its end")
    assert theirs.exits == []
    assert theirs.written == []


async def test_a_driver_under_load_of_ends_tells_each_once(platform: Platform) -> None:
    heard = Heard()
    async with platform.open(heard) as driver:
        all_ = await asyncio.gather(*(platform.ready(driver) for _ in range(4)))
        await asyncio.gather(*(call_that_ends_it(each.address, {"exit": 1}) for each in all_))
        await asyncio.gather(*(driver.list() for _ in range(4)))
        await eventually(lambda: len(heard.exits) >= 4, "all ends are told")
        await nothing_left(platform, driver)
    assert sorted(each.instance for each in heard.exits) == sorted(each.instance for each in all_)
