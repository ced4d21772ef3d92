"""ASGI's websocket messages on an upgraded connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from . import http1, websocket
from .exchange import CallerGoneError, Exchange
from .protocol import Http1Protocol

MOST_WAITING_BYTES = 1024 * 1024
"""Of messages that the app has not received; more are left in the socket."""

GRACE_S = 10
"""Seconds an app has to end after its peer left, until it is cancelled."""


class WebsocketCall:
    """`receive` and `send` of one websocket. `is_ended`: nothing can be sent any more."""

    def __init__(self, exchange: Exchange, line: Http1Protocol) -> None:
        fields = exchange.request.fields
        self.is_accepted = False
        self.is_ended = False
        self.subprotocols = [
            each.strip() for each in fields.get("sec-websocket-protocol", "").split(",") if each.strip()
        ]
        self._exchange = exchange
        self._line = line
        self._key = fields.get("sec-websocket-key", "")
        self._is_announced = False
        self._reader = websocket.FrameReader()
        self._messages: deque[dict[str, Any]] = deque()
        self._size = 0
        self._farewell: dict[str, Any] | None = None
        self._news = asyncio.Event()
        line.open_tunnel(self._received, self._left)

    async def receive(self) -> dict[str, Any]:
        """Safe to cancel."""
        if not self._is_announced:
            self._is_announced = True
            return {"type": "websocket.connect"}
        while not self._messages:
            if self._farewell is not None:
                return self._farewell
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        self._size -= _size(message)
        if self._size <= MOST_WAITING_BYTES // 2:
            self._line.resume()
        return message

    async def send(self, message: Mapping[str, Any]) -> None:
        """Raises CallerGoneError (an OSError) and RuntimeError for a message out of order."""
        kind = message["type"]
        if self.is_ended or self._exchange.is_gone:
            if kind == "websocket.close":
                return
            raise CallerGoneError("the websocket is closed")
        if kind == "websocket.accept" and not self.is_accepted:
            self._accept(message)
        elif kind == "websocket.send" and self.is_accepted:
            self._send_message(message)
        elif kind == "websocket.close":
            self._close(message.get("code") or websocket.NORMAL, message.get("reason") or "")
        else:
            raise RuntimeError(f'the app sent "{kind}" out of order')
        await self._line.drain()

    def finish(self) -> None:
        """The app has ended."""
        if not self.is_ended:
            self._close(websocket.NORMAL, "")

    def fail(self) -> None:
        """The app has raised."""
        if not self.is_ended and self.is_accepted:
            self._close(websocket.INTERNAL, "")

    def _accept(self, message: Mapping[str, Any]) -> None:
        fields = self._exchange.request.fields
        if fields.get("sec-websocket-version") != "13" or not websocket.is_key(self._key):
            raise ValueError("the websocket handshake has no valid Sec-WebSocket-Version and -Key")
        headers = [("upgrade", "websocket"), ("connection", "Upgrade")]
        headers.append(("sec-websocket-accept", websocket.accept_key(self._key)))
        if message.get("subprotocol"):
            headers.append(("sec-websocket-protocol", str(message["subprotocol"])))
        for name, value in message.get("headers") or ():
            headers.append((name.decode("latin-1"), value.decode("latin-1")))
        self._line.write(http1.upgrade_head(headers))
        self.is_accepted = True

    def _send_message(self, message: Mapping[str, Any]) -> None:
        text = message.get("text")
        if text is not None:
            self._line.write(websocket.encode(websocket.TEXT, text.encode()))
        else:
            self._line.write(websocket.encode(websocket.BINARY, bytes(message["bytes"])))

    def _close(self, code: int, reason: str) -> None:
        self.is_ended = True
        if self.is_accepted:
            self._line.write(websocket.encode_close(code, reason))
        else:
            self._line.write(http1.encode(http1.Response(403, [], b""), is_head=False, close=True))
        self._say_farewell(code, reason)

    def _received(self, data: bytes) -> None:
        try:
            for event in self._reader.feed(data):
                self._take(event)
        except websocket.FrameError as error:
            if not self.is_ended:
                self._close(error.code, str(error))
            self._reader = websocket.FrameReader()
            self._left()

    def _take(self, event: websocket.Event) -> None:
        if self.is_ended:
            return
        if event.kind == websocket.PING:
            self._line.write(websocket.encode(websocket.PONG, event.payload))
        elif event.kind == websocket.CLOSE:
            self.is_ended = True
            self._line.write(websocket.encode_close(event.code))
            self._say_farewell(event.code, event.payload.decode())
        elif event.kind != websocket.PONG:
            self._queue(event)

    def _queue(self, event: websocket.Event) -> None:
        is_text = event.kind == websocket.TEXT
        message: dict[str, Any] = {"type": "websocket.receive"}
        message["text" if is_text else "bytes"] = event.payload.decode() if is_text else event.payload
        self._messages.append(message)
        self._size += _size(message)
        if self._size > MOST_WAITING_BYTES:
            self._line.pause()
        self._news.set()

    def _left(self) -> None:
        """The peer has closed the connection."""
        self.is_ended = True
        self._exchange.is_gone = True
        self._say_farewell(websocket.ABNORMAL, "")

    def _say_farewell(self, code: int, reason: str) -> None:
        if self._farewell is None:
            self._farewell = {"type": "websocket.disconnect", "code": code, "reason": reason}
            asyncio.get_running_loop().call_later(GRACE_S, self._cancel)
        self._news.set()

    def _cancel(self) -> None:
        if self._exchange.task is not None:
            self._exchange.task.cancel()


def _size(message: Mapping[str, Any]) -> int:
    return len(message.get("text") or message.get("bytes") or b"") + 64
