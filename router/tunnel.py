"""A WebSocket after its handshake: bytes both ways, unread, with back-pressure, until one side ends."""

import asyncio
from typing import Any

from aiohttp import web

from plat.tasks import spawn
from router.exchange import Sent
from router.http1 import ResponseHead, end_to_end, write_response_head
from router.upstream import UpstreamConnection


class _ToUpstream:
    """Takes the client's bytes from aiohttp, in the place of its WebSocket reader (`set_parser`)."""

    def __init__(self, upstream: UpstreamConnection, client: asyncio.Transport) -> None:
        self._upstream = upstream
        self._client = client

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._upstream.write(data)
        if self._upstream.write_paused:
            self._client.pause_reading()
            spawn(self._resume(), "tunnel resume")
        return False, b""

    def feed_eof(self) -> None:
        """The client has gone: its handler is cancelled, which ends the tunnel."""

    async def _resume(self) -> None:
        await self._upstream.drained()
        if not self._client.is_closing():
            self._client.resume_reading()


async def run_tunnel(
    request: web.BaseRequest, upstream: UpstreamConnection, head: ResponseHead, call_id: str
) -> Sent:
    """Forward the 101 and everything after it; returns when the instance has closed its side."""
    headers = [
        *end_to_end(head.headers),
        (b"X-Call-Id", call_id.encode()),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
    ]
    upstream.become_tunnel()
    writer = request.writer
    await writer.write(write_response_head(101, head.reason, headers))
    client = request.transport
    if client is None:
        raise ConnectionResetError("the client has gone")
    parser: Any = _ToUpstream(upstream, client)
    request.protocol.set_parser(parser)
    while piece := await upstream.read():
        await writer.write(piece)
        await writer.drain()
    return Sent(101, keep_alive=False)
