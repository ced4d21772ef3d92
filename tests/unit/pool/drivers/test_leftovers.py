"""What still runs is ended, and nothing that is not ours."""

import pytest
from msgspec.structs import replace

from plat.errors import PlatError
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
    await stop_leftovers(driver, 2.0)
    assert list(driver.running) == ["b"]
    assert driver.stopped == [("a", 2.0), ("c", 2.0)]


class Stubborn(MemoryDriver):
    async def stop(self, instance: str, grace_s: float) -> None:
        if instance == "a":
            raise PlatError("instance_unavailable", "It does not go.")
        await super().stop(instance, grace_s)


async def test_one_that_cannot_be_stopped_keeps_no_other() -> None:
    driver = Stubborn()
    for instance in ("a", "b"):
        await driver.warm(WarmOrder(instance, KIND))
    with pytest.raises(PlatError, match="does not go"):
        await stop_leftovers(driver, 0)
    assert list(driver.running) == ["a"]
