"""Where idempotency keys are: the pool, by the feed that is there anyway, or Redis where one is set."""

import asyncio
from itertools import count
from typing import Protocol

from plat.feed import KeyRequest, KeyVerdict
from plat.idempotency import Request, Verdict
from router.feed import PoolLink
from router.limits.leases import StoreError


class KeyStore(Protocol):
    """Redis, or the pool. One request on a key and its token after the other."""

    async def open(self) -> None:
        """Let it remember from now on, if it has not begun yet. Raises StoreError."""

    async def ask(self, request: Request) -> Verdict:
        """Raises StoreError. Cancellable; then it may have been heard or not."""
        ...

    async def close(self) -> None: ...


class PoolKeys:
    """Keys in the pool's memory."""

    def __init__(self, link: PoolLink) -> None:
        self._link = link
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Verdict]] = {}
        link.key_verdict = self._told

    async def open(self) -> None:
        """It remembers since it is there."""

    async def ask(self, request: Request) -> Verdict:
        if not self._link.connected:
            raise StoreError("the pool is away")
        number = next(self._numbers)
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._link.ask_for_key(KeyRequest(number, request))
        try:
            return await future
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """The link ends by itself."""

    def _told(self, message: KeyVerdict) -> None:
        future = self._waiting.get(message.number)
        if future is not None and not future.done():
            future.set_result(message.verdict)


def key_store_of(redis_url: str, link: PoolLink) -> KeyStore:
    """Raises StoreError if the URL cannot be understood."""
    if not redis_url:
        return PoolKeys(link)
    from router.idempotency.redis_store import RedisKeys  # noqa: PLC0415 - loaded only where it is used

    return RedisKeys(redis_url)
