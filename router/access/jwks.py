"""Fetches the keys of a JWKS URL: at start, now and then, and when a token names one that is not here.

While the URL is away, or answers no such document, the last keys stay. Knows no tokens.
"""

import asyncio
import time
from collections.abc import Callable

import aiohttp

from plat.errors import PlatError
from plat.logs import get_logger
from plat.tasks import cancel, spawn
from router.access.jwt_keys import Key, keys_of_jwks

log = get_logger(__name__)

EVERY_S = 300.0
RETRY_S = (1.0, 30.0)
"""First and longest wait after a failure."""

LEAST_S = 10.0
"""Between two fetches that tokens ask for: whoever makes up key ids has no more of them."""

FETCH_S = 5.0
ANSWER_S = 2.0
"""How long a call waits for a fetch."""

DOCUMENT_LIMIT_BYTES = 256 * 1024


class Jwks:
    """Tells `fetched` each time the document is there. `run` until cancelled."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.fetched: Callable[[list[Key]], None] = _ignore
        self._url = url
        self._clock = clock
        self._running: asyncio.Task[bool] | None = None
        self._began = float("-inf")
        self.fetches: dict[str, int] = {}
        """How many went how: `ok`, `failed`."""

    def may_know_more(self, now: float) -> bool:
        """Whether there may be keys that are not here: a fetch runs, or the last one is some time ago."""
        return self._running is not None or now - self._began >= LEAST_S

    async def refresh(self) -> None:
        """Wait for a fetch, but not long; nobody gets a second one within `LEAST_S`. Cancelling is safe."""
        if self.may_know_more(self._clock()):
            await asyncio.wait([self._begin()], timeout=ANSWER_S)

    async def run(self) -> None:
        wait_s = RETRY_S[0]
        try:
            while True:
                if await asyncio.shield(self._begin()):
                    wait_s = RETRY_S[0]
                    await asyncio.sleep(EVERY_S)
                else:
                    await asyncio.sleep(wait_s)
                    wait_s = min(wait_s * 2, RETRY_S[1])
        finally:
            if self._running is not None:
                await cancel(self._running)

    def _begin(self) -> "asyncio.Task[bool]":
        """The fetch that runs, or a new one."""
        if self._running is None:
            self._began = self._clock()
            self._running = spawn(self._fetch(), "fetch JWKS")
            self._running.add_done_callback(self._ended)
        return self._running

    def _ended(self, task: "asyncio.Task[bool]") -> None:
        self._running = None

    async def _fetch(self) -> bool:
        """Whether it went well."""
        try:
            keys = keys_of_jwks(await self._document())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, PlatError) as error:
            self._count("failed")
            log.warning(
                "the keys of JSON Web Tokens cannot be fetched", detail=str(error) or type(error).__name__
            )
            return False
        self._count("ok")
        if not keys:
            log.warning("the JWKS document has no key that signs with RS256, ES256 or EdDSA")
        self.fetched(keys)
        return True

    def _count(self, result: str) -> None:
        self.fetches[result] = self.fetches.get(result, 0) + 1

    async def _document(self) -> bytes:
        """Raises PlatError `invalid` for an answer that is none."""
        timeout = aiohttp.ClientTimeout(total=FETCH_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise PlatError("invalid", f"The JWKS URL answered {response.status}.")
            document = b""
            async for piece in response.content.iter_any():
                document += piece
                if len(document) > DOCUMENT_LIMIT_BYTES:
                    raise PlatError("invalid", f"The JWKS document has over {DOCUMENT_LIMIT_BYTES} bytes.")
            return document


def _ignore(keys: list[Key]) -> None:
    """Nobody wants to know."""
