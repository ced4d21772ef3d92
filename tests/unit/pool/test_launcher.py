"""How a warm instance becomes one of a version, or turns out to be of no use. A driver in memory."""

import asyncio

import pytest

from plat.errors import PlatError
from pool.drivers.base import Exited, Kind, WarmOrder
from pool.health import UselessError
from pool.lifecycle import State
from pool.member import Member
from tests.unit.pool.rig import Rig, function, settle

VERSION = function().versions[0]
NEVER = float("inf")


async def warm_member(rig: Rig) -> Member:
    running = await rig.driver.warm(WarmOrder("a" * 16, Kind.of(VERSION.spec)))
    return Member(running.instance, VERSION, State.LOADING)


async def test_it_gets_the_code_and_the_address(rig: Rig) -> None:
    member = await warm_member(rig)
    assert await rig.launcher.load(member, NEVER)
    assert rig.driver.placed == [member.id]
    assert member.address == rig.driver.running[member.id].address


@pytest.mark.parametrize(
    "error",
    [UselessError("nothing listens"), OSError(28, "No space left"), PlatError("engine_unavailable", "away")],
)
async def test_of_no_use(rig: Rig, error: Exception) -> None:
    member = await warm_member(rig)
    rig.driver.load_error = error
    assert not await rig.launcher.load(member, NEVER)


async def test_what_another_would_fail_at_too_is_raised(rig: Rig) -> None:
    member = await warm_member(rig)
    rig.driver.load_error = PlatError("handler_import_failed", "no module")
    with pytest.raises(PlatError, match="no module"):
        await rig.launcher.load(member, NEVER)


async def test_one_that_dies_ends_the_wait_with_its_reason(rig: Rig) -> None:
    member = await warm_member(rig)
    rig.driver.hold_load = True
    loading = asyncio.get_running_loop().create_task(rig.launcher.load(member, NEVER))
    await settle()
    member.died.set_result(Exited(member.id, "out_of_memory", "It used too much."))
    with pytest.raises(PlatError, match="It used too much") as raised:
        await loading
    assert raised.value.reason == "out_of_memory"
