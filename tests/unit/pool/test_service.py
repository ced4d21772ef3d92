"""The end of a pool, with a driver in memory."""

from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.settings import Settings
from pool.drivers.base import Kind, Listener, Running, WarmOrder
from pool.service import Pool
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import function, settle

SPEC = function().versions[0].spec


class Away(MemoryDriver):
    """Its engine does not answer."""

    async def list(self) -> list[Running]:
        raise PlatError("engine_unavailable", "No answer.")


async def leftovers(driver: MemoryDriver) -> None:
    """One instance of a pool that was killed, and one that somebody started by hand."""
    await driver.open(
        Listener(
            exited=lambda _: None, changed=lambda: None, wrote=lambda _: None, last_written=lambda _: None
        )
    )
    await driver.warm(WarmOrder("a" * 16, Kind.of(SPEC)))
    running = await driver.warm(WarmOrder("b" * 16, Kind.of(SPEC)))
    driver.running[running.instance] = Running(
        running.instance, "f-1", "f", 1, running.address, running.started_at, managed=False
    )


async def test_one_that_ends_before_it_has_looked_leaves_nothing_of_one_before(tmp_path: Path) -> None:
    driver = MemoryDriver()
    await leftovers(driver)
    pool = Pool(Settings(data=str(tmp_path)), driver)
    await pool.open()
    await pool.stop_instances()
    await pool.close()
    assert set(driver.running) == {"b" * 16}


async def test_an_engine_that_is_away_at_the_end_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Away()
    await leftovers(driver)
    pool = Pool(Settings(data=str(tmp_path)), driver)
    await pool.open()
    await pool.stop_instances()
    await settle()
    await pool.close()
    assert "instances may be left" in caplog.text
