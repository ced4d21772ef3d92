"""Instances out of use and back: the ledger at once, the engine in the background. Decides nothing."""

import asyncio
import time
from collections.abc import Callable

from plat.logs import get_logger
from plat.tasks import spawn, subtask
from pool.drivers.base import Driver
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.member import Member

log = get_logger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
_DOUBLINGS = 6
"""From a pause that failed to the next attempt; these reach the longest wait."""


class Pauses:
    """`resuming` hears of a member that the engine is asked to resume, if that is not done at once.

    `resumed` hears that a member is ready again, and the seconds it took, and has yet to log it.

    `stays_paused` hears of one that cannot be resumed: whoever waits for it must have another.
    """

    def __init__(
        self,
        driver: Driver,
        ledger: Ledger,
        *,
        resuming: Callable[[Member], None],
        resumed: Callable[[Member, float], None],
        stays_paused: Callable[[Member], None],
    ) -> None:
        self._driver = driver
        self._ledger = ledger
        self._resuming = resuming
        self._resumed = resumed
        self._stays_paused = stays_paused

    def pause(self, member: Member) -> None:
        """All its slots are home."""
        member.become(State.PAUSED)
        self._ledger.pause(member.id)
        spawn(self._pause(member), f"pause {member.id}")

    async def _pause(self, member: Member) -> None:
        async with member.switching:
            if member.state is not State.PAUSED or member.resuming:
                return
            try:
                await self._driver.pause(member.id)
            except Exception as error:
                log.warning("instance cannot be paused", instance=member.id, detail=str(error))
                wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**member.pause_failures)
                member.pause_from = time.monotonic() + wait_s
                member.pause_failures = min(member.pause_failures + 1, _DOUBLINGS)
                self.resume(member)
            else:
                member.pause_failures = 0

    def resume(self, member: Member) -> None:
        if not member.resuming:
            member.resuming = True
            spawn(self._resume(member), f"resume {member.id}")

    async def _resume(self, member: Member) -> None:
        began = time.monotonic()
        async with member.switching:
            resuming = subtask(self._driver.resume(member.id), f"resume {member.id} by the driver")
            try:
                await asyncio.sleep(0)  # it is asked
                await asyncio.sleep(0)
                if not resuming.done():
                    self._resuming(member)
                await resuming
            except Exception as error:
                log.warning("instance cannot be resumed", instance=member.id, detail=str(error))
                member.resuming = False
                if member.state is State.PAUSED:
                    self._stays_paused(member)
                return
        member.resuming = False
        if member.state is State.PAUSED:
            member.enter(State.READY)
            self._ledger.resume(member.id)
            self._resumed(member, time.monotonic() - began)

    async def wake(self, member: Member) -> None:
        """The engine may have paused it after all: what a pool asked for before it was killed comes late."""
        async with member.switching:
            if not member.stopping and member.state is not State.PAUSED:
                try:
                    await self._driver.resume(member.id)
                except Exception as error:
                    log.info("an instance does not answer", instance=member.id, detail=str(error))
