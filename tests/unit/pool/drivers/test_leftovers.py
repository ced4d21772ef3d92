"""What still runs is ended, and nothing that is not ours."""

from msgspec.structs import replace

from pool.drivers.base import Kind, WarmOrder
from pool.drivers.leftovers import stop_leftovers
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import function

KIND = Kind.of(function().versions[0].spec)


async def test_all_but_what_somebody_started_by_hand() -> None:
    driver = MemoryDriver()
    for instance in ("a", "b", "c"):
        await driver.warm(WarmOrder(instance, KIND))
    driver.running["b"] = replace(driver.running["b"], managed=False)
    await stop_leftovers(driver)
    assert list(driver.running) == ["b"]
    assert driver.stopped == [("a", 0), ("c", 0)]
