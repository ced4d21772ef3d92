"""Requests as aiohttp hands them to a handler, without a socket."""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol


def payload(*pieces: bytes, error: Exception | None = None) -> StreamReader:
    """A body that has arrived in `pieces`; with `error` it broke off."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    for piece in pieces:
        reader.feed_data(piece)
    if error is None:
        reader.feed_eof()
    else:
        reader.set_exception(error)
    return reader


class Writer:
    """Takes what a handler writes; with `error`, the client has gone."""

    def __init__(self, error: Exception | None = None) -> None:
        self.written: list[bytes] = []
        self.ended = False
        self.output_size = 0
        self.error = error
        self.transport: asyncio.Transport | None = None

    async def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.written.append(data)
        self.output_size += len(data)

    async def write_headers(self, status_line: str, headers: object) -> None:
        self.output_size += len(status_line)

    async def write_eof(self, chunk: bytes = b"") -> None:
        self.written.append(chunk)
        self.ended = True

    async def drain(self) -> None: ...

    def send_headers(self) -> None: ...

    def enable_chunking(self) -> None: ...

    def enable_compression(self, *_: object) -> None: ...


async def answered_by(app: web.Application, request: web.Request) -> web.StreamResponse:
    """What `app` answers, by its routes and through its middlewares."""
    app.freeze()
    return await app._handle(request)
