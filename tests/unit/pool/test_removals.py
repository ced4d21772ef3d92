"""An instance is ended in the driver until it is done, however often that is refused."""

import pytest

from plat.errors import PlatError
from plat.tasks import spawn
from pool.drivers.base import Kind, WarmOrder
from pool.removals import Removals
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import settle


@pytest.fixture
async def driver(monkeypatch: pytest.MonkeyPatch) -> MemoryDriver:
    """Has the instance "a"."""
    monkeypatch.setattr("pool.removals.RETRY_S", 0)
    driver = MemoryDriver()
    await driver.warm(WarmOrder("a", Kind("python", 64, 1.0)))
    return driver


@pytest.mark.parametrize(
    "error", [PlatError("engine_unavailable", "The engine is away."), OSError(24, "Too many open files")]
)
async def test_it_is_tried_again_until_the_engine_does_it(driver: MemoryDriver, error: Exception) -> None:
    driver.stop_error = error
    removals = Removals(driver)
    removal = spawn(removals.remove("a", 3.0), "removal")
    await settle()
    assert removals.under_way == {"a"}
    assert not removal.done()
    driver.stop_error = None
    await removal
    assert (driver.stopped, removals.under_way) == ([("a", 3.0)], set())


async def test_in_the_background_it_has_no_grace(driver: MemoryDriver) -> None:
    removals = Removals(driver)
    removals.begin("a")
    await settle()
    assert (driver.stopped, removals.under_way) == ([("a", 0)], set())
