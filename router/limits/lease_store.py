"""The stores that leases come from: the pool, by the feed that is there anyway, or Redis where one is set."""

import asyncio

from plat.feed import Lease, Leased
from plat.leasing import Answer, Ask
from router.feed import PoolLink
from router.limits.leases import Store, StoreError


class PoolStore:
    """Buckets in the pool's memory."""

    def __init__(self, link: PoolLink) -> None:
        self._link = link
        self._waiting: dict[int, asyncio.Future[list[Answer]]] = {}
        link.leased = self._leased

    async def open(self) -> None:
        """Without the pool there are no functions."""
        await self._link.met.wait()

    async def lease(self, router: str, number: int, asks: list[Ask]) -> list[Answer]:
        """Whose they are, the pool knows by the link. Raises StoreError while it is away."""
        if not self._link.connected:
            raise StoreError("the pool is away")
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._link.ask_for_leases(Lease(number, asks))
        try:
            return await future
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """The link ends by itself."""

    def _leased(self, message: Leased) -> None:
        future = self._waiting.get(message.number)
        if future is not None and not future.done():
            future.set_result(message.answers)


def store_of(redis_url: str, link: PoolLink) -> Store:
    """Raises StoreError if the URL cannot be understood."""
    if not redis_url:
        return PoolStore(link)
    from router.limits.redis_store import RedisStore  # noqa: PLC0415 - loaded only where it is used

    return RedisStore(redis_url)
