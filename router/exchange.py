"""One request to one upstream, and its answer, forwarded piece by piece with back-pressure.

Used for calls and for the control API. Knows the client's request and an upstream connection; knows
nothing of slots, routes or metrics.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from plat.errors import PlatError
from plat.tasks import cancel, spawn
from plat.web import CALL_ID_HEADER
from router.http1 import (
    INTERIM_LIMIT,
    LAST_CHUNK,
    BadResponseError,
    Headers,
    ResponseHead,
    end_to_end,
    write_chunk,
    write_response_head,
)
from router.pace import LeastRate, Pace
from router.request_body import EarlyBody, read_paced
from router.upstream import ConnectionLostError, UpstreamConnection

_NOT_FORWARDED = frozenset({b"host", b"content-length", b"expect", b"x-call-id"})
_CALL_ID = CALL_ID_HEADER.encode()


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer has been written already, and whether the connection is kept."""

    def __init__(self, status: int, *, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


class SilenceError(Exception):
    """The upstream did not begin its answer, or paused within it, for longer than allowed."""


def is_upgrade(request: web.BaseRequest) -> bool:
    """Whether the client asks for a WebSocket. What has a body is no such request (RFC 6455, 4.1)."""
    options = request.headers.get("Connection", "").lower()
    asked = "upgrade" in options and request.headers.get("Upgrade", "").lower() == "websocket"
    return asked and request.method == "GET" and not request.body_exists


def request_headers(
    request: web.BaseRequest, call_id: str, extra: Headers, left_out: frozenset[bytes] = frozenset()
) -> Headers:
    """What goes upstream: the client's headers, ours added, hop-by-hop ones replaced."""
    headers = end_to_end(list(request.raw_headers), _NOT_FORWARDED | left_out)
    headers.insert(0, (b"Host", request.headers.get("Host", "").encode("utf-8", "surrogateescape")))
    headers.append((_CALL_ID, call_id.encode()))
    headers += extra
    if is_upgrade(request):
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
    elif request.content_length is not None:
        headers.append((b"Content-Length", str(request.content_length).encode()))
    elif request.body_exists:
        headers.append((b"Transfer-Encoding", b"chunked"))
    return headers


class Exchange:
    """`await start(...)` gives the answer's head; `await forward(...)` sends the answer to the client.

    One clock runs for whoever is waited for: the function while it has what it needs to go on, the
    client while it does not.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        upstream: UpstreamConnection,
        *,
        silence_s: float,
        body_limit_bytes: int,
        least_rate: LeastRate,
    ) -> None:
        self._request = request
        self._chunked = request.body_exists and request.content_length is None
        """How the body is framed, to the instance as by the client."""
        self._last = LAST_CHUNK if self._chunked else b""
        self._upstream = upstream
        self._silence_s = silence_s
        self._body_limit_bytes = body_limit_bytes
        self._least_rate = least_rate
        self._upload: asyncio.Task[None] | None = None
        self._upload_error: PlatError | None = None
        self._uploading = False
        self._awaits_body = False
        """Whether the upload waits for the client to send more."""
        self._awaits_reader = False
        """Whether the answer waits for the client to take some of it."""
        self._clock: asyncio.Timeout | None = None
        self.answered = False
        """Whether any byte of the answer has gone to the client."""

    async def start(self, head: bytes, body: EarlyBody) -> ResponseHead:
        """Send the request; the final answer's head. Interim answers are forwarded as they come.

        Raises SilenceError, ConnectionLostError, BadResponseError, or PlatError for the client's body.
        """
        async with self._timed():
            self._restart_clock()
            if body.whole:
                await self._upstream.send(head + self._framed(body.data) + self._last)
            else:
                self._uploading = True
                self._upload = spawn(self._send_streamed(head, body.data), "upload")
            return await self._final_head()

    async def forward(self, head: ResponseHead, call_id: str, on_complete: Callable[[], None]) -> Sent:
        """The answer to the client. `on_complete` is called once the upstream has sent all of it.

        Raises what `start` raises, and ConnectionError when the client has gone.
        """
        request, upstream = self._request, self._upstream
        bodiless = head.length == 0
        close_delimited = head.length is None and request.version < (1, 1)
        chunked = head.length is None and not close_delimited
        keep_alive = request.keep_alive and not close_delimited
        headers = _response_headers(head, call_id, chunked=chunked, keep_alive=keep_alive)
        if keep_alive and request.version < (1, 1):
            headers.append((b"Connection", b"keep-alive"))  # else it is not, for HTTP/1.0
        out = write_response_head(head.status, head.reason, headers)
        piece = b"" if bodiless else upstream.read_now()
        async with self._timed():
            while True:
                complete = upstream.complete
                if piece:
                    self._passes(piece)
                    out += write_chunk(piece) if chunked else piece
                if complete:
                    out += LAST_CHUNK if chunked else b""
                    await self._end_upload()
                    on_complete()
                self.answered = True
                if out:
                    await self._write(out)
                if complete:
                    return Sent(head.status, keep_alive=keep_alive)
                self._restart_clock()
                piece, out = await upstream.read(), b""

    async def stop_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            await cancel(upload)

    # --- steps

    def _passes(self, piece: bytes) -> None:
        """Told of each piece of the answer's body."""

    async def _final_head(self) -> ResponseHead:
        for _ in range(INTERIM_LIMIT + 1):
            head = await self._upstream.response_head(self._request.method)
            if head.status == 101 and not is_upgrade(self._request):
                raise BadResponseError("status 101 for a request that asks for no other protocol")
            if not head.interim or head.status == 101:
                return head
            if head.status != 100 and self._request.version >= (1, 1):
                await self._write(write_response_head(head.status, head.reason, end_to_end(head.headers)))
                self._restart_clock()
        raise BadResponseError(f"more than {INTERIM_LIMIT} interim answers")

    async def _write(self, out: bytes) -> None:
        """To the client. Nothing is taken from the upstream as long as it has not taken this."""
        self._awaits_reader = True
        self._restart_clock()
        await self._request.writer.write(out)
        await self._request.writer.drain()
        self._awaits_reader = False

    def _framed(self, piece: bytes) -> bytes:
        return write_chunk(piece) if piece and self._chunked else piece

    async def _send_streamed(self, head: bytes, early: bytes) -> None:
        """Send a body as it comes. A fault of the client's ends the exchange from here."""
        try:
            await self._upstream.send(head + self._framed(early))
            async for piece in self._client_pieces(len(early)):
                await self._upstream.send(self._framed(piece))
                self._restart_clock()
            await self._upstream.send(self._last)
        except PlatError as error:
            # Not closed here: the slot is busy until the instance has closed its side.
            self._upload_error = error
        except (ConnectionLostError, ConnectionError):
            return  # whoever reads the answer sees the same, and knows what to make of it
        finally:
            self._uploading = False
            self._restart_clock()

    async def _client_pieces(self, early: int) -> AsyncIterator[bytes]:
        pace = Pace(self._least_rate)
        pace.came(early, 0.0)
        while piece := await self._client_piece(pace):
            if pace.received > self._body_limit_bytes:
                detail = f"The body is over the limit of {self._body_limit_bytes} bytes."
                raise PlatError("body_too_large", detail)
            yield piece

    async def _client_piece(self, pace: Pace) -> bytes:
        content = self._request.content
        if content.exception() is None and ((piece := content.read_nowait()) or content.at_eof()):
            pace.came(len(piece), 0.0)
            return piece
        self._awaits_body = True
        self._restart_clock()
        try:
            return await read_paced(self._request, pace)
        finally:
            self._awaits_body = False
            self._restart_clock()

    async def _end_upload(self) -> None:
        """An answer that is complete ends the upload, wherever that is."""
        if self._uploading:
            self._upstream.close()
        await self.stop_upload()
        self._upload_error = None

    # --- time

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[None]:
        """Within it the clock runs. Raises SilenceError or PlatError when it has run out."""
        try:
            async with asyncio.timeout(None) as self._clock:
                yield
        except TimeoutError as error:
            raise self._lateness() from error
        finally:
            self._clock = None

    def _restart_clock(self) -> None:
        """To be called whenever it has become somebody else's turn."""
        clock = self._clock
        if clock is None or clock.expired():
            return
        patience_s = self._patience_s()
        if patience_s is not None:
            clock.reschedule(asyncio.get_running_loop().time() + patience_s)
        elif clock.when() is not None:
            clock.reschedule(None)

    def _patience_s(self) -> float | None:
        """How long may whoever is waited for take from now on?"""
        if self._upload_error is not None:
            return 0
        # The client has clocks of its own: its body's pace, and its connection's `send_timeout_s`.
        return None if self._awaits_reader or self._awaits_body else self._silence_s

    def _lateness(self) -> Exception:
        return SilenceError() if self._upload_error is None else self._upload_error


def _response_headers(head: ResponseHead, call_id: str, *, chunked: bool, keep_alive: bool) -> Headers:
    headers = [pair for pair in end_to_end(head.headers) if pair[0].lower() != b"x-call-id"]
    headers.append((_CALL_ID, call_id.encode()))
    if chunked:
        headers.append((b"Transfer-Encoding", b"chunked"))
    if not keep_alive:
        headers.append((b"Connection", b"close"))
    return headers
