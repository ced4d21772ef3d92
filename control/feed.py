"""Tokens and functions as the pool sees them: all of them first, then every change (DESIGN 3).

Knows sockets and messages; what changed is told to `publish` by `control.catalog`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from plat.feed import (
    FromControl,
    FunctionDropped,
    FunctionEntry,
    FunctionPut,
    Table,
    TablePart,
    TokenDropped,
    TokenEntry,
    TokenPut,
    TokensPart,
    decode_from_pool,
    encode,
    tokens_in_parts,
)
from plat.logs import get_logger
from plat.parts import in_parts
from plat.tasks import cancel, subtask

log = get_logger(__name__)

HEARTBEAT_S = 15

Entries = Callable[[str, Callable[[list[FunctionEntry]], None]], Awaitable[str | None]]
"""Calls back with the functions after a name, at a moment when no change can slip in between.

Gives the name to go on after, None at the end.
"""

Change = FunctionPut | FunctionDropped | TokenPut | TokenDropped


class Tokens(Protocol):
    """Where the tokens are, and who wants to know when they are used."""

    def entries(self) -> list[TokenEntry]: ...
    def note_used(self, at: Mapping[str, float]) -> None: ...


class Outbox:
    """What one listener has not been sent yet: at most one message a function or token, and parts."""

    def __init__(self) -> None:
        self._waiting: dict[str, FromControl] = {}
        self._filled = asyncio.Event()

    def put(self, name: str, message: Change) -> None:
        self._waiting.pop(name, None)  # to the end, so that the order is that of the latest messages
        self._waiting[name] = message
        self._filled.set()

    def put_part(self, functions: list[FunctionEntry]) -> None:
        """Some of the whole table: as they are now, after every change that was put before."""
        for part in in_parts(functions, lambda each: each.weight):
            self._waiting[f"part of {part[0].name}"] = TablePart(part)
        self._filled.set()

    def put_tokens(self, tokens: list[TokenEntry]) -> None:
        """All of them, as they are now."""
        for number, part in enumerate(tokens_in_parts(tokens)):
            self._waiting[f"tokens {number}"] = part
        self._waiting["tokens"] = TokensPart([], last=True)
        self._filled.set()

    async def take(self) -> list[FromControl]:
        """All that waits, as soon as something does. Cancelling is safe: nothing is taken then."""
        await self._filled.wait()
        self._filled.clear()
        taken, self._waiting = list(self._waiting.values()), {}
        return taken


class Feed:
    """All listeners. `publish` is called in the order of commits and does not block."""

    def __init__(self) -> None:
        self._listeners: dict[web.WebSocketResponse, Outbox] = {}

    def publish(self, message: Change) -> None:
        name = _subject(message)
        for outbox in self._listeners.values():
            outbox.put(name, message)

    async def serve(self, request: web.Request, tokens: Tokens, entries: Entries) -> web.WebSocketResponse:
        """Feed one listener until it or this service goes, or the functions cannot be read."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        outbox = self._listeners[socket] = Outbox()
        sender = subtask(_tell(socket, outbox, tokens.entries, entries), "control feed: send")
        reader = subtask(_hear(socket, tokens.note_used), "control feed: read")
        try:
            await asyncio.wait([sender, reader], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._listeners[socket]
            await cancel(sender, reader)
        if not sender.cancelled():
            sender.result()
        return socket

    async def close(self) -> None:
        for socket in list(self._listeners):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"control is stopping")


def _subject(message: Change) -> str:
    """What a later message about the same thing replaces. No function's name has a space in it."""
    match message:
        case FunctionPut(function):
            return function.name
        case FunctionDropped(name):
            return name
        case TokenPut(token):
            return f"token {token.id}"
        case TokenDropped(identity):
            return f"token {identity}"


async def _tell(
    socket: web.WebSocketResponse,
    outbox: Outbox,
    tokens: Callable[[], list[TokenEntry]],
    entries: Entries,
) -> None:
    """All tokens; all functions, read no faster than it is taken; changes in between and for ever after."""
    try:
        await socket.send_bytes(encode(Table()))
        outbox.put_tokens(tokens())
        await _send(socket, await outbox.take())
        after: str | None = ""
        while after is not None:
            after = await entries(after, outbox.put_part)
            await _send(socket, await outbox.take())
        await socket.send_bytes(encode(TablePart([], last=True)))
        while True:
            await _send(socket, await outbox.take())
    except ConnectionError as error:
        log.info("a listener of the function table has gone", detail=str(error))


async def _send(socket: web.WebSocketResponse, messages: list[FromControl]) -> None:
    for message in messages:
        await socket.send_bytes(encode(message))
        await asyncio.sleep(0)  # a socket that takes all at once would leave nobody else a turn


async def _hear(socket: web.WebSocketResponse, used: Callable[[Mapping[str, float]], None]) -> None:
    """Until the listener is gone, or says what it should not."""
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            used(decode_from_pool(message.data).at)
