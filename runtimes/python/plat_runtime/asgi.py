"""Call an ASGI app (version 3): scopes, `receive` and `send` for HTTP, and the lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from . import functions, payload, tracebacks
from .asgi_websocket import WebsocketCall
from .coroutines import tell
from .exchange import CallerGoneError, Exchange
from .http1 import Request
from .loader import IMPORT_FAILED, LoadError
from .protocol import Http1Protocol

App = Callable[..., Awaitable[None]]
Message = Mapping[str, Any]


def scope_of(request: Request, state: dict[str, Any], kind: str = "http") -> dict[str, Any]:
    """`path` begins with `root_path`, as servers and frameworks agree today."""
    fields = request.fields
    prefix = fields.get("x-forwarded-prefix", "")
    scheme = fields.get("x-forwarded-proto", "http")
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": scheme.replace("http", "ws", 1) if kind == "websocket" else scheme,
        "path": unquote(prefix) + unquote(request.path),
        "raw_path": (prefix + request.path).encode("latin-1"),
        "query_string": request.query.encode("latin-1"),
        "root_path": unquote(prefix),
        "headers": [
            (name.lower().encode("latin-1"), value.rstrip(" \t").encode("latin-1"))
            for name, value in request.pairs
        ],
        "client": _client(request),
        "server": _server(fields.get("host", ""), scheme),
        "state": state.copy(),
    }
    if kind == "http":
        scope["method"] = request.method
    return scope


def _client(request: Request) -> tuple[str, int] | None:
    address = payload.source_ip(request)
    return (address, 0) if address else None


def _server(host: str, scheme: str) -> tuple[str, int] | None:
    name, _, port = host.rpartition(":")
    if port.isdigit():
        return (name, int(port))
    return (host, 443 if scheme == "https" else 80) if host else None


class HttpCall:
    """`receive` and `send` of one HTTP exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._is_body_read = False
        self._start: Message | None = None

    async def receive(self) -> dict[str, Any]:
        """Safe to cancel."""
        if self._is_body_read or self._exchange.is_answered:
            await self._exchange.wait_for_end()
            return {"type": "http.disconnect"}
        try:
            piece = await self._exchange.read()
        except CallerGoneError:
            return {"type": "http.disconnect"}
        self._is_body_read = self._exchange.is_body_complete and self._exchange.has_no_piece
        return {"type": "http.request", "body": piece, "more_body": not self._is_body_read}

    async def send(self, message: Message) -> None:
        """Raises CallerGoneError (an OSError), RuntimeError for a message out of order, and ValueError."""
        exchange = self._exchange
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == "http.response.body" and self._start is not None and not exchange.is_answered:
            if exchange.is_gone:
                raise CallerGoneError("the caller closed the connection")
            await self._send_body(
                self._start, bytes(message.get("body", b"")), bool(message.get("more_body", False))
            )
        elif not (kind == "http.response.body" and exchange.is_answered):
            raise RuntimeError(f'the app sent "{kind}" out of order')

    async def _send_body(self, start: Message, body: bytes, more: bool) -> None:
        exchange = self._exchange
        if exchange.stream is None:
            headers = [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in start.get("headers", ())
            ]
            length = _announced(headers)
            exchange.begin(
                start["status"], headers, len(body) if length is None and not more else length, body
            )
        else:
            exchange.send(body)
        if more:
            await exchange.drain()
        else:
            exchange.finish()


def _announced(headers: list[tuple[str, str]]) -> int | None:
    for name, value in headers:
        if name.lower() == "content-length" and value.isdigit():
            return int(value)
    return None


class AsgiCaller:
    """Answers an exchange with the app. Cancelling it cancels the app."""

    def __init__(self, app: App, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.request.is_websocket and isinstance(exchange.line, Http1Protocol):
            await self._serve_websocket(exchange, exchange.line)
        else:
            await self._serve_http(exchange)

    async def _serve_http(self, exchange: Exchange) -> None:
        call = HttpCall(exchange)
        try:
            await self._app(scope_of(exchange.request, self._state), call.receive, call.send)
            if not exchange.is_answered and not exchange.is_gone:
                raise RuntimeError("the app ended without a complete answer")
        except (Exception, asyncio.CancelledError) as error:
            tell(exchange, error)

    async def _serve_websocket(self, exchange: Exchange, line: Http1Protocol) -> None:
        call = WebsocketCall(exchange, line)
        scope = scope_of(exchange.request, self._state, "websocket")
        scope["subprotocols"] = call.subprotocols
        try:
            await self._app(scope, call.receive, call.send)
        except Exception as error:
            if call.is_ended:
                return
            if call.is_accepted:
                tracebacks.log_error(error)
            else:
                exchange.respond(functions.failed(error, exchange.request))
            call.fail()
        else:
            call.finish()


class Lifespan:
    """The app's start-up and shutdown. An app that knows no lifespan is as good as any."""

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._told: asyncio.Queue[Message] = asyncio.Queue()

    async def start(self) -> None:
        """Raises LoadError when the app says that it cannot start."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        answer = await self._ask("startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await asyncio.wait([self._task])
            error = self._task.exception()
            trace = tracebacks.user_traceback(error) if error else str(answer.get("message", ""))
            last = trace.strip().rpartition("\n")[2]
            raise LoadError(IMPORT_FAILED, f"The app's start-up (lifespan) failed: {last}", trace)

    async def stop(self) -> None:
        """What the app raises in its shutdown is logged."""
        if self._task is None or self._task.done():
            return
        await self._ask("shutdown")
        await asyncio.wait([self._task])
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None:
            tracebacks.log_error(error)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._inbox.get, self._told.put)

    async def _ask(self, what: str) -> Message | None:
        """The app's answer; None when it ended without one."""
        assert self._task is not None
        self._inbox.put_nowait({"type": f"lifespan.{what}"})
        answer = asyncio.get_running_loop().create_task(self._told.get())
        await asyncio.wait([self._task, answer], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            if not self._task.cancelled():
                self._task.exception()  # seen: it means that the app knows no lifespan
            return None
        return answer.result()
