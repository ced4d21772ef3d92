"""What an instance from before the pool's (re)start turns out to be. Knows no slots and no drivers.

It may have been left at any step: its process just begun, a warm one given its code but not its order.
"""

import asyncio
import time

from pool.health import FIRST_WAIT_S, LONGEST_WAIT_S, Unreachable, UselessError, probe
from pool.member import Member

PROBE_S = 1.0


async def until_it_serves(member: Member, deadline: float) -> None:
    """Returns when it serves, or is too busy to say so. `deadline` is of `time.monotonic`.

    Raises UselessError for one that has ended, has no function, or does not listen by then, and
    PlatError for one that says why it will never serve.
    """
    wait_s = FIRST_WAIT_S
    while True:
        try:
            health = await probe(member.address, PROBE_S)
        except Unreachable as error:
            if member.died.done():
                raise UselessError(member.died.result().detail) from error
            if time.monotonic() >= deadline:
                raise UselessError("It does not listen at its address.") from error
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)
            continue
        if health is not None and health.warm:
            raise UselessError("It was never told its function.")
        return
