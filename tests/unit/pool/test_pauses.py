"""Out of use and back, with an engine that refuses or is slow."""

import asyncio
import time
from typing import NamedTuple

import pytest

from plat.errors import PlatError
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.member import Member
from pool.pauses import Pauses
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import function, settle


class Told(NamedTuple):
    pauses: Pauses
    driver: MemoryDriver
    ledger: Ledger
    member: Member
    events: list[str]


@pytest.fixture
async def told() -> Told:
    """A member that is ready, all slots at home."""
    driver, ledger, events = MemoryDriver(), Ledger(), list[str]()
    pauses = Pauses(
        driver,
        ledger,
        resuming=lambda member: events.append("resuming"),
        resumed=lambda member, seconds: events.append("resumed"),
        stays_paused=lambda member: events.append("stays paused"),
    )
    member = Member("a", function().versions[0], State.STARTING)
    member.become(State.READY)
    ledger.open("a", member.version.id, 1, 0.0)
    return Told(pauses, driver, ledger, member, events)


def home(told: Told) -> int:
    account = told.ledger.account("a")
    assert account is not None
    return account.home("r1")


async def test_its_slots_are_out_of_use_at_once(told: Told) -> None:
    told.pauses.pause(told.member)
    assert (told.member.state, home(told), told.driver.paused) == (State.PAUSED, 0, set())
    await settle()
    assert told.driver.paused == {"a"}
    told.pauses.resume(told.member)
    assert (told.member.state, told.member.resuming, home(told)) == (State.PAUSED, True, 0)
    await settle()
    assert (told.member.state, told.member.resuming, home(told)) == (State.READY, False, 1)
    assert (told.events, told.driver.paused) == (["resumed"], set())


async def test_one_that_is_wanted_again_before_the_engine_paused_it_is_not(told: Told) -> None:
    told.pauses.pause(told.member)
    told.pauses.resume(told.member)
    told.pauses.resume(told.member)
    await settle()
    assert (told.driver.paused, told.events) == (set(), ["resumed"])


@pytest.mark.parametrize(
    "error", [PlatError("engine_unavailable", "away"), OSError(24, "Too many open files")]
)
async def test_one_that_cannot_be_resumed_counts_as_nothing(told: Told, error: Exception) -> None:
    told.pauses.pause(told.member)
    await settle()
    told.driver.resume_error = error
    told.pauses.resume(told.member)
    await settle()
    assert (told.events, told.member.resuming, home(told)) == (["stays paused"], False, 0)


async def test_one_that_cannot_be_paused_is_of_use_and_tried_again_ever_later(told: Told) -> None:
    told.driver.pause_error = PlatError("engine_unavailable", "away")
    waits = []
    for _ in range(8):
        told.pauses.pause(told.member)
        began = time.monotonic()
        await settle()
        assert (told.member.state, home(told), told.events) == (State.READY, 1, ["resumed"])
        told.events.clear()
        waits.append(round(told.member.pause_from - began))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    told.driver.pause_error = None
    told.pauses.pause(told.member)
    await settle()
    assert (told.driver.paused, told.member.pause_failures) == ({"a"}, 0)


async def test_waking_is_for_what_should_be_awake(told: Told) -> None:
    told.driver.paused.add("a")
    await told.pauses.wake(told.member)
    assert told.driver.paused == set()
    told.pauses.pause(told.member)
    await settle()
    await told.pauses.wake(told.member)
    assert told.driver.paused == {"a"}


async def test_one_at_a_time(told: Told) -> None:
    async with told.member.switching:
        told.pauses.pause(told.member)
        waking = asyncio.ensure_future(told.pauses.wake(told.member))  # noqa: TID251 - the test waits for it
        await settle()
        assert told.driver.paused == set()
    await waking
    assert told.driver.paused == {"a"}


async def test_while_an_engine_takes_its_time_to_resume_it_that_is_told(told: Told) -> None:
    told.pauses.pause(told.member)
    await settle()
    told.driver.hold_resume = True
    told.pauses.resume(told.member)
    await settle()
    assert (told.events, told.member.state) == (["resuming"], State.PAUSED)
    told.driver.end_resume()
    await settle()
    assert (told.events, told.member.state) == (["resuming", "resumed"], State.READY)
