"""Bodies of calls with an idempotency key: read to their end, for they are compared with the first call's.

Knows the client's request; knows nothing of keys and stores. Holds no slot.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from plat.errors import PlatError
from router.pace import LeastRate, Pace
from router.request_body import EarlyBody, read_early, read_paced

ROOM_BYTES = 64 * 1024 * 1024
"""What all of a router may take together, besides the first 64 KB of each (`EARLY_BYTES`)."""


class KeyedBodies:
    """All of one router's."""

    def __init__(self, limit_bytes: int, least_rate: LeastRate, *, room_bytes: int = ROOM_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._least_rate = least_rate
        self.room_bytes = room_bytes
        """Left now."""

    @asynccontextmanager
    async def whole(self, request: web.BaseRequest, body: EarlyBody | None) -> AsyncIterator[bytes]:
        """All of it, while the call goes on; `body` is what was read already. Cancelling is safe.

        Raises PlatError: body_too_large, too_many_bodies, and what `read_early` raises.
        """
        self._check(request.content_length or 0)
        taken: list[bytes] = []
        try:
            early = body or await read_early(request, self._limit_bytes)
            self._check(len(early.data))
            if not early.whole:
                await self._read_rest(request, len(early.data), taken)
            yield b"".join([early.data, *taken])
        finally:
            self.room_bytes += sum(map(len, taken))

    async def _read_rest(self, request: web.BaseRequest, early: int, taken: list[bytes]) -> None:
        pace = Pace(self._least_rate)
        pace.came(early, 0.0)
        while piece := await read_paced(request, pace):
            self._check(pace.received)
            if len(piece) > self.room_bytes:
                detail = "Other calls with keys and large bodies are on their way: send it again."
                raise PlatError("too_many_bodies", detail, retry_after_s=1)
            self.room_bytes -= len(piece)
            taken.append(piece)

    def _check(self, length: int) -> None:
        if length > self._limit_bytes:
            raise PlatError(
                "body_too_large",
                f"The body is over the limit of {self._limit_bytes} bytes for calls with an idempotency key.",
            )
