"""Call a WSGI app (PEP 3333): environ from the request, its pieces sent as they come."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from . import functions, payload, tracebacks
from .connection import Body, ClientGoneError, Connection
from .http1 import Request, ResponseStream
from .order import Order


def environ_of(request: Request, body: io.BufferedIOBase, order: Order) -> dict[str, Any]:
    """Texts are Latin-1 readings of bytes, as PEP 3333 wants them."""
    fields = request.fields
    scheme = fields.get("x-forwarded-proto", "http")
    host, _, port = fields.get("host", "localhost").rpartition(":")
    if not port.isdigit():
        host, port = fields.get("host", "localhost"), "443" if scheme == "https" else "80"
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": unquote_to_bytes(fields.get("x-forwarded-prefix", "")).decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(request.path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": request.query,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": payload.source_ip(request),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": order.concurrency != 1,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in fields.items():
        if "_" not in name:  # `X_Forwarded_For` would pass for the router's own header
            environ["HTTP_" + name.replace("-", "_").upper()] = value
    for plain in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if "HTTP_" + plain in environ:
            environ[plain] = environ.pop("HTTP_" + plain)
    return environ


class Exchange:
    """One call's answer: what `start_response` said, and the pieces."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._stream: ResponseStream | None = None
        self.has_begun = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """A second call replaces the answer, or raises its error once bytes went out (PEP 3333)."""
        if exc_info is not None and self.has_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._status and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        self._status, self._headers = int(status.split(" ", 1)[0]), list(headers)
        return self.write

    def write(self, piece: bytes) -> None:
        """Raises ClientGoneError."""
        if not piece:
            return
        if self._stream is None:
            stream = self._open(None)
            self._send(stream.head + stream.data(piece))
        else:
            if self._connection.is_gone():
                raise ClientGoneError
            self._send(self._stream.data(piece))

    def send(self, pieces: Iterable[bytes]) -> bool:
        """Send the app's pieces; True when the connection can take another request."""
        if self._stream is None and isinstance(pieces, (list, tuple)):
            whole = b"".join(pieces)
            stream = self._open(len(whole))
            self._send(stream.head + stream.data(whole) + stream.end())
            return stream.keep_alive
        for piece in pieces:
            self.write(piece)
        if self._stream is None:
            self._send(self._open(0).head)
        assert self._stream is not None
        self._send(self._stream.end())
        return self._stream.keep_alive

    def _send(self, data: bytes) -> None:
        self.has_begun = True
        self._connection.send(data)

    def _open(self, length: int | None) -> ResponseStream:
        if not self._status:
            raise RuntimeError("the app sent a body before it called start_response")
        for name, value in self._headers:
            if name.lower() == "content-length" and value.isdigit():
                length = int(value)
        self._stream = self._connection.stream(self._request, self._status, self._headers, length)
        return self._stream


class WsgiCaller:
    """Answers one request on a connection; True when the connection can take another."""

    def __init__(self, app: Callable[..., Iterable[bytes]], order: Order) -> None:
        self._app = app
        self._order = order

    def __call__(self, connection: Connection, request: Request) -> bool:
        """Raises BadRequestError and ClientGoneError."""
        body = Body(connection, request)
        exchange = Exchange(connection, request)
        try:
            keep = self._run(exchange, environ_of(request, io.BufferedReader(body), self._order))
        except functions.NOT_THE_FUNCTIONS:
            raise
        except BaseException as error:
            if exchange.has_begun:
                tracebacks.log_error(error)
                raise ClientGoneError from error  # cutting the connection tells the caller
            keep = connection.respond(request, functions.failed(error, request))
        return keep and body.discard()

    def _run(self, exchange: Exchange, environ: dict[str, Any]) -> bool:
        pieces = self._app(environ, exchange.start_response)
        try:
            return exchange.send(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
