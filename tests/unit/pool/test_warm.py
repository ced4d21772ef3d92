"""The stock of warm instances: made in the background, taken once, adopted, stopped. A driver in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plat.errors import PlatError
from pool.drivers.base import Kind, WarmOrder
from pool.line import Line
from pool.warm import ANNOUNCED_S, AT_ONCE
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, settle

SMALL, LARGE = Kind("python", 128, 1.0), Kind("python", 512, 1.0)
PLENTY = 100_000


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


@pytest.fixture
async def rig(tmp_path: Path, driver: MemoryDriver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    Clock().install(monkeypatch)
    rig = Rig(tmp_path, driver, warm=3)
    await rig.open(monkeypatch)
    rig.stock.targets.know({SMALL: 1})
    yield rig
    await settle()


async def refill(rig: Rig, room_mb: int = PLENTY, now: float = 1000.0) -> int:
    """How many are there afterwards."""
    rig.stock.refill(now, room_mb)
    await settle()
    return len(rig.stock.known())


async def test_a_few_at_a_time(rig: Rig) -> None:
    assert await refill(rig) == AT_ONCE
    assert await refill(rig) == 3
    assert await refill(rig) == 3


class CountedLine(Line):
    """One that goes nowhere, and tells how often it was closed and used."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.announced = 0

    def announce(self) -> None:
        self.announced += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[CountedLine]:
    """Those that were opened."""
    lines: list[CountedLine] = []

    async def open_line(address: str) -> Line:
        lines.append(CountedLine())
        return lines[-1]

    monkeypatch.setattr("pool.warm.open_line", open_line)
    return lines


async def test_who_takes_one_gets_the_line_to_it_and_those_that_stop_are_hung_up(
    rig: Rig, lines: list[CountedLine]
) -> None:
    await refill(rig)
    await refill(rig)
    taken = rig.stock.take(SMALL, 1000.0)
    assert taken is not None
    assert taken.line is lines[0]
    await rig.stock.stop_all()
    assert [line.closed for line in lines] == [0, 1, 1]


async def test_it_is_announced_to_the_next_of_the_kind_and_not_too_often(
    rig: Rig, lines: list[CountedLine]
) -> None:
    await refill(rig)
    await refill(rig)
    assert [line.takes_notice for line in lines] == [True, True, True]
    rig.stock.announce(LARGE, 1000.0)
    assert [line.announced for line in lines] == [0, 0, 0]
    rig.stock.announce(SMALL, 1000.0)
    rig.stock.announce(SMALL, 1000.0 + ANNOUNCED_S / 2)
    assert [line.announced for line in lines] == [1, 0, 0]
    taken = rig.stock.take(SMALL, 1000.1)
    assert taken is not None
    assert taken.line is lines[0], "who was told is who is taken"
    rig.stock.announce(SMALL, 1000.0 + ANNOUNCED_S * 1.5)
    assert [line.announced for line in lines] == [1, 1, 0]


async def test_the_next_is_begun_when_one_is_made(rig: Rig) -> None:
    rig.stock.made = lambda: rig.stock.refill(1000.0, PLENTY)
    assert await refill(rig) == 3


async def test_one_that_fails_does_not_begin_the_next_at_once(rig: Rig, driver: MemoryDriver) -> None:
    driver.start_error = PlatError("instance_start_failed", "no")
    rig.stock.made = lambda: rig.stock.refill(1000.0, PLENTY)
    assert await refill(rig) == 0
    assert driver.warmed == AT_ONCE


async def test_no_more_than_fit(rig: Rig) -> None:
    assert await refill(rig, 127) == 0
    assert await refill(rig, 128) == 1


async def test_taken_once_and_never_again(rig: Rig) -> None:
    await refill(rig)
    taken = {rig.stock.take(SMALL, 1000.0) for _ in range(AT_ONCE)}
    assert len({each.instance for each in taken if each is not None}) == AT_ONCE
    assert rig.stock.take(SMALL, 1000.0) is None
    assert rig.stock.known() == set()


async def test_only_of_its_kind(rig: Rig) -> None:
    await refill(rig)
    assert rig.stock.take(LARGE, 1000.0) is None
    assert not rig.stock.has(LARGE)
    assert rig.stock.has(SMALL)


async def test_what_is_too_much_is_stopped(rig: Rig, driver: MemoryDriver) -> None:
    await refill(rig)
    rig.stock.targets.know({LARGE: 1})
    await refill(rig)
    assert {each.kind for each in driver.running.values()} == {LARGE}


async def test_one_that_dies_is_made_anew(rig: Rig, driver: MemoryDriver) -> None:
    await refill(rig)
    driver.end(next(iter(driver.running)))
    assert len(rig.stock.known()) == AT_ONCE - 1
    assert await refill(rig) == 3


async def test_failures_are_not_repeated_at_once(rig: Rig, driver: MemoryDriver) -> None:
    driver.start_error = PlatError("instance_start_failed", "no image")
    for _ in range(10):
        assert await refill(rig) == 0
    assert driver.warmed == AT_ONCE
    driver.start_error = None
    assert await refill(rig, now=1100.0) == AT_ONCE


async def test_memory_is_counted_and_given_up(rig: Rig, driver: MemoryDriver) -> None:
    await refill(rig)
    await refill(rig)
    assert rig.stock.memory_mb() == 3 * 128
    assert rig.stock.give_up(129) == 256
    await settle()
    assert rig.stock.memory_mb() == 128
    assert len(driver.running) == 1


async def test_found_after_a_restart(rig: Rig, driver: MemoryDriver) -> None:
    warm = await driver.warm(WarmOrder("a" * 16, SMALL))
    await rig.list_machine()
    assert rig.stock.known() == {warm.instance}
    assert rig.stock.has(SMALL)


async def test_one_that_has_a_function_already_is_stopped(rig: Rig, driver: MemoryDriver) -> None:
    warm = await driver.warm(WarmOrder("a" * 16, SMALL))
    driver.loaded.add(warm.instance)
    await rig.list_machine()
    await settle()
    assert rig.stock.known() == set()
    assert driver.running == {}


async def test_the_end_takes_all(rig: Rig, driver: MemoryDriver) -> None:
    """Also one that is not ready yet, and one that is being stopped: nobody looks after them later."""
    await refill(rig)
    rig.stock.give_up(1)
    driver.hold_warm = True
    await refill(rig)
    assert len(driver.running) > len(rig.stock.ready())
    await rig.stock.stop_all()
    assert driver.running == {}
    assert rig.stock.looked_after() == set()
