"""An answer that is kept while it goes to the client, and its way to a client that comes later.

The client may leave: the answer is kept all the same. Knows nothing of keys, slots and routes.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from plat.errors import PlatError
from plat.web import CALL_ID_HEADER, problem_body, problem_headers
from router.access.cors import Page
from router.exchange import Exchange, Sent
from router.http1 import ResponseHead, end_to_end, write_response_head
from router.idempotency.claims import Kept
from router.request_body import EarlyBody

REPLAYED = (b"Idempotent-Replayed", b"true")
"""On answers that another call got first: the name that Stripe gave it."""

_NOT_KEPT = frozenset({b"content-length", b"x-call-id"})
_BODILESS = frozenset({204, 304})


class Recording:
    """What has come of an answer."""

    def __init__(self, head: ResponseHead, limit_bytes: int) -> None:
        self._head = head
        self._limit_bytes = limit_bytes
        self._body = bytearray()
        self.is_whole = True
        """Whether all that has come is here."""

    def add(self, piece: bytes) -> None:
        if self.is_whole and len(self._body) + len(piece) > self._limit_bytes:
            self.is_whole = False
            self._body.clear()
        if self.is_whole:
            self._body += piece

    def kept(self) -> Kept:
        head = self._head
        if not self.is_whole:
            return Kept(head.status, head.reason, [], b"", whole=False)
        return Kept(head.status, head.reason, end_to_end(head.headers, _NOT_KEPT), bytes(self._body))


class RecordedExchange(Exchange):
    """`keep` gets the answer before the client has the end of it, so that who asks again finds it."""

    def __init__(
        self, *given: Any, keep: Callable[[Kept], Awaitable[None]], limit_bytes: int, **more: Any
    ) -> None:
        super().__init__(*given, **more)
        self._keep = keep
        self._limit_bytes = limit_bytes
        self._recording: Recording | None = None
        self._is_complete = False
        self._client_gone = False

    async def start(self, head: bytes, body: EarlyBody) -> ResponseHead:
        answer = await super().start(head, body)
        self._recording = Recording(answer, self._limit_bytes)
        return answer

    async def forward(self, head: ResponseHead, call_id: str, on_complete: Callable[[], None]) -> Sent:
        def completed() -> None:
            self._is_complete = True
            on_complete()

        sent = await super().forward(head, call_id, completed)
        assert self._recording is not None
        await self._keep(self._recording.kept())
        await self._drained()
        return sent

    def _passes(self, piece: bytes) -> None:
        if self._recording is not None:
            self._recording.add(piece)

    async def _write(self, out: bytes) -> None:
        """A client that takes nothing delays nobody else, as long as what it does not take is kept anyway."""
        recording = self._recording
        if self._is_complete and recording is not None:
            self._awaits_reader = True  # the function has done its part: its clock stands still
            self._restart_clock()
            await self._keep(recording.kept())
        transport = self._request.transport
        if self._client_gone or transport is None or transport.is_closing():
            self._client_gone = True
            await self._unless_for_nothing()
        elif recording is not None and recording.is_whole:
            transport.write(out)
        else:
            await self._write_to_reader(out)

    async def _unless_for_nothing(self) -> None:
        """An answer that nobody listens to, and that is too large to be kept, may never end: it ends here."""
        if self._recording is not None and not self._recording.is_whole and not self._is_complete:
            await self._keep(self._recording.kept())
            raise ConnectionResetError("the client has gone")

    async def _write_to_reader(self, out: bytes) -> None:
        try:
            await super()._write(out)
        except ConnectionError:
            self._client_gone = True
            self._awaits_reader = False
            self._restart_clock()
            await self._unless_for_nothing()

    async def _drained(self) -> None:
        try:
            await self._request.writer.drain()
        except ConnectionError:
            self._client_gone = True


def kept_problem(error: PlatError, call_id: str) -> Kept:
    """A failure, as those get it that come later. Its document names the call that failed."""
    headers = problem_headers(error, call_id)
    del headers[CALL_ID_HEADER]
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Kept(error.status, b"", pairs, problem_body(error, call_id))


async def send_kept(request: web.BaseRequest, kept: Kept, call_id: str, page: Page | None) -> Sent:
    """Raises ConnectionError when the client has gone."""
    headers = list(kept.headers if page is None else page.rewritten(kept.headers))
    headers += [(CALL_ID_HEADER.encode(), call_id.encode()), REPLAYED]
    if kept.status not in _BODILESS:
        headers.append((b"Content-Length", b"%d" % len(kept.body)))
    if not request.keep_alive:
        headers.append((b"Connection", b"close"))
    elif request.version < (1, 1):
        headers.append((b"Connection", b"keep-alive"))
    await request.writer.write(write_response_head(kept.status, kept.reason, headers) + kept.body)
    await request.writer.drain()
    return Sent(kept.status, keep_alive=request.keep_alive)
