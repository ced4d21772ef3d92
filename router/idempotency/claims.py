"""An idempotency key that is this router's, from the claim to the end: what its store is told, in order.

Knows the store's answers; knows nothing of calls that wait.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from plat.errors import PlatError
from plat.idempotency import Begin, Claim, Finish, Release, Renew, Request, State, Verdict
from plat.logs import get_logger
from router.idempotency.key import Keyed
from router.limits.leases import StoreError

log = get_logger(__name__)


class Kept(Struct, frozen=True, array_like=True):
    """An answer as it is stored. Without what belongs to one exchange: framing, connection, call id."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    whole: bool = True
    """False: it was too large to be kept; nothing but its status is."""


class Claimed:
    """A key that is this router's: `begin` before anything is sent, then `finish`; or `release`."""

    def __init__(self, keyed: Keyed, ask: Callable[[Request], Awaitable[Verdict]], keep_s: float) -> None:
        self.key, self.fingerprint = keyed.key, keyed.fingerprint
        self.token = secrets.token_hex(16)
        self._ask = ask
        self._keep_s = keep_s
        self._turn = asyncio.Lock()
        """One request at a time: a store must not hear them in another order."""
        self.begun = False
        self.released = False
        self.kept: Kept | None = None
        self.ended: Callable[[Kept], None] = _ignore
        """Told at once how it ended, before the store is."""
        self.settled = False
        """Whether the store knows how it ended."""

    def renewal(self) -> Renew:
        return Renew(self.key, self.token, self.fingerprint, self.begun, self._keep_s)

    async def claim(self) -> Verdict:
        """Raises StoreError."""
        async with self._turn:
            return await self._ask(Claim(self.key, self.token, self.fingerprint))

    async def begin(self) -> None:
        """Once this returns, the call may be sent, and never again by anybody. Raises PlatError."""
        async with self._turn:
            try:
                verdict = await self._ask(Begin(self.key, self.token, self._keep_s))
            except StoreError as error:
                raise unavailable() from error
            if verdict.state is not State.MINE:
                raise unavailable()
            self.begun = True

    async def finish(self, kept: Kept) -> None:
        """The answer is for all others from now on; a store that is away is told later. Only once."""
        if self.kept is None:
            self.kept = kept
            self.ended(kept)
            await self.tell()

    async def release(self) -> None:
        """Nothing was sent."""
        self.released = True
        await self.tell()

    async def tell(self) -> None:
        """What the store must know of it now. What it does not hear is told again."""
        async with self._turn:
            try:
                await self._tell()
            except StoreError:
                return  # it was counted; `Idempotency.run` comes here again

    async def _tell(self) -> None:
        if self.settled:
            return
        if self.kept is not None:
            answer = msgspec.msgpack.encode(self.kept)
            await self._ask(Finish(self.key, self.token, self.fingerprint, answer, self._keep_s))
        elif self.released:
            await self._ask(Release(self.key, self.token))
        else:
            verdict = await self._ask(self.renewal())
            if self.begun and verdict.state is State.LOST:
                log.error("the store has given a key away whose call is in flight")
            return
        self.settled = True


def _ignore(kept: Kept) -> None:
    """Nobody waits."""


def unavailable() -> PlatError:
    detail = (
        "Nothing was executed, for no store says whether this key is new. Send it again with the same key."
    )
    return PlatError("idempotency_unavailable", detail, retry_after_s=1)
