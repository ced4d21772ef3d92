"""Slots of routers that are gone: instances are asked, and what they say is heard once."""

import asyncio
from typing import NamedTuple

import pytest

from pool.away import GRACE_S
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.member import Member
from pool.recovery import SlotRecovery
from tests.unit.pool.rig import Clock, function, settle

PATIENCE_S = 30.0


class Instances:
    """In the place of the fleet: one member, that says what a test wants."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.says: int | None = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    def get(self, instance: str) -> Member | None:
        return self._member if instance == self._member.id else None

    async def in_flight(self, member: Member) -> int | None:
        self.asked += 1
        await self.answers.wait()
        return self.says


class Lost(NamedTuple):
    recovery: SlotRecovery
    instances: Instances
    ledger: Ledger
    heard: list[str]

    def home(self) -> int:
        account = self.ledger.account("a")
        assert account is not None
        return account.home("r2")


@pytest.fixture
async def lost(clock: Clock) -> Lost:
    """A router has gone that held both slots of an instance."""
    member = Member("a", function(concurrency=2).versions[0], State.STARTING)
    ledger, instances, heard = Ledger(), Instances(member), list[str]()
    ledger.router_here("r1", [])
    ledger.open("a", member.version.id, 2, clock.now)
    ledger.grant(member.version.id, "r1", 2, clock.now)
    recovery = SlotRecovery(
        ledger,
        instances,  # type: ignore[arg-type]
        patience_s=lambda _: PATIENCE_S,
        freed=lambda member: heard.append(f"{member.id} is free"),
        overdue=lambda member: heard.append(f"{member.id} is given up"),
    )
    ledger.router_away("r1")
    recovery.away.left("r1", clock.now)
    return Lost(recovery, instances, ledger, heard)


async def look(lost: Lost) -> None:
    lost.recovery.look()
    await settle()


async def test_they_come_home_when_the_instance_is_idle_and_the_router_had_time_to_come_back(
    lost: Lost, clock: Clock
) -> None:
    await look(lost)
    assert (lost.heard, lost.home()) == ([], 0)
    clock.now += GRACE_S
    await look(lost)
    assert (lost.heard, lost.home()) == (["a is free"], 2)
    await look(lost)
    assert lost.instances.asked == 2, "nothing is out any more"


@pytest.mark.parametrize("says", [1, None], ids=["busy", "silent"])
async def test_an_instance_that_is_not_idle_keeps_them_until_its_calls_must_have_ended(
    lost: Lost, clock: Clock, says: int | None
) -> None:
    lost.instances.says = says
    clock.now += PATIENCE_S
    await look(lost)
    assert (lost.heard, lost.home()) == ([], 0)
    clock.now += 1
    await look(lost)
    assert (lost.heard, lost.home()) == (["a is given up"], 0)


async def test_an_instance_is_asked_one_thing_at_a_time(lost: Lost, clock: Clock) -> None:
    lost.instances.answers.clear()
    clock.now += GRACE_S
    await look(lost)
    await look(lost)
    assert lost.instances.asked == 1
    lost.instances.answers.set()
    await settle()
    assert lost.heard == ["a is free"]
