"""Bodies of signed calls: read to their end and verified before anything else is done for the call.

Knows the client's request; what a signature is, `signatures` knows. Holds no slot, and counts in no limit:
whoever has no key can use up neither.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from plat.errors import PlatError
from plat.signing import Signing
from router.access.signatures import Check, begin, mismatch
from router.pace import LeastRate, Pace
from router.request_body import EarlyBody, read_early, read_paced

BODY_LIMIT_BYTES = 25 * 1024 * 1024
"""GitHub sends no more; the others' are smaller."""

ROOM_BYTES = 4 * BODY_LIMIT_BYTES
"""What all signed bodies of a router may take together, besides the first 64 KB of each (`EARLY_BYTES`)."""


class SignedBodies:
    """All of one router's."""

    def __init__(
        self,
        body_limit_bytes: int,
        least_rate: LeastRate,
        *,
        room_bytes: int = ROOM_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limit_bytes = min(body_limit_bytes, BODY_LIMIT_BYTES)
        self._least_rate = least_rate
        self.room_bytes = room_bytes
        """Left now."""
        self._clock = clock

    @asynccontextmanager
    async def verified(self, request: web.BaseRequest, signing: Signing) -> AsyncIterator[EarlyBody]:
        """All of the body, while the call goes on. Cancelling is safe.

        Raises PlatError: bad_signature, signing_key_unavailable, body_too_large, too_many_bodies, and what
        `read_early` raises.
        """
        check = begin(signing, request.headers, self._clock())
        if isinstance(check, PlatError):
            raise check
        if (request.content_length or 0) > self._limit_bytes:
            raise self._too_large()
        taken: list[bytes] = []
        try:
            body = await self._read(request, check, taken)
            if not check.holds():
                raise mismatch(signing)
            yield EarlyBody(body, whole=True)
        finally:
            self.room_bytes += sum(map(len, taken))

    async def _read(self, request: web.BaseRequest, check: Check, taken: list[bytes]) -> bytes:
        """`taken`: what was put aside for it, piece by piece."""
        early = await read_early(request, self._limit_bytes)
        check.feed(early.data)
        if early.whole:
            return early.data
        pace = Pace(self._least_rate)
        pace.came(len(early.data), 0.0)
        while piece := await read_paced(request, pace):
            if pace.received > self._limit_bytes:
                raise self._too_large()
            self._take(piece, taken)
            check.feed(piece)
        return b"".join([early.data, *taken])

    def _take(self, piece: bytes, taken: list[bytes]) -> None:
        if len(piece) > self.room_bytes:
            detail = "Other signed calls with large bodies are on their way: send it again."
            raise PlatError("too_many_bodies", detail, retry_after_s=1)
        self.room_bytes -= len(piece)
        taken.append(piece)

    def _too_large(self) -> PlatError:
        return PlatError(
            "body_too_large", f"The body is over the limit of {self._limit_bytes} bytes for signed calls."
        )
