"""Call a synchronous event handler: the request as event and context, its result as the answer."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any

from . import events, payload, tracebacks
from .connection import ClientGoneError, Connection
from .context import Context
from .http1 import BadRequestError, Request, Response, ResponseStream
from .order import Order

_END = object()

NOT_THE_FUNCTIONS = (ClientGoneError, BadRequestError, SystemExit, KeyboardInterrupt)
"""What passes through a handler's call and is not its error: no answer, or the end of the process."""


def event_maker(order: Order) -> Callable[[Request, bytes], Any]:
    if order.event == "http":
        return lambda request, body: payload.http_event(request, body, order)
    return events.body_event


def response_maker(order: Order) -> Callable[[Any], Response]:
    return payload.http_response if order.event == "http" else events.body_response


def failed(error: BaseException, request: Request) -> Response:
    """Log what the function raised; the answer that tells the caller."""
    tracebacks.log_error(error)
    return events.error_response(error, request.fields.get("x-call-id", ""))


class StreamHead:
    """Status and headers of a generator's answer, and whether its first item was only them."""

    __slots__ = ("headers", "is_item", "status")

    def __init__(self, order: Order, request: Request, first: Any) -> None:
        """Raises TypeError or ValueError for a head that is none."""
        self.is_item = order.event == "http" and payload.is_head(first)
        if self.is_item:
            self.status, self.headers = payload.head_of(first)
        else:
            self.status, self.headers = 200, [("content-type", events.stream_type(request, first))]


class FunctionCaller:
    """Answers one request on a connection; True when the connection can take another."""

    def __init__(self, call: Callable[[Any, Any], Any], order: Order) -> None:
        self._call = call
        self._order = order
        self._event = event_maker(order)
        self._response = response_maker(order)

    def __call__(self, connection: Connection, request: Request) -> bool:
        """Raises BadRequestError and ClientGoneError."""
        body = connection.read_body(request)
        try:
            result = self._call(self._event(request, body), Context(self._order, request))
            if isinstance(result, GeneratorType):
                return self._stream(connection, request, result)
            return connection.respond(request, self._response(result))
        except NOT_THE_FUNCTIONS:
            raise
        except BaseException as error:  # also what is no Exception, such as asyncio's CancelledError
            return connection.respond(request, failed(error, request))

    def _stream(self, connection: Connection, request: Request, items: Generator[Any, Any, Any]) -> bool:
        """Send each item as it comes. What is raised before the first byte went out is raised here."""
        with _closing(items):
            first = next(items, None)
            head = StreamHead(self._order, request, first)
            stream = connection.stream(request, head.status, head.headers)
            start = b"" if head.is_item or first is None else stream.data(events.stream_piece(first))
            connection.send(stream.head + start)
            if request.method != "HEAD":
                self._send_rest(connection, stream, items)
        connection.send(stream.end())
        return stream.keep_alive

    def _send_rest(
        self, connection: Connection, stream: ResponseStream, items: Generator[Any, Any, Any]
    ) -> None:
        """Raises ClientGoneError also when the generator fails: cutting the connection tells the caller."""
        try:
            while not connection.is_gone():
                item = next(items, _END)
                if item is _END:
                    return
                connection.send(stream.data(events.stream_piece(item)))
        except NOT_THE_FUNCTIONS:
            raise
        except BaseException as error:
            tracebacks.log_error(error)
            raise ClientGoneError from error
        raise ClientGoneError


class _closing:  # noqa: N801 - reads as contextlib.closing does
    """Close a generator whose caller left; what it raises while closing is logged, not sent."""

    def __init__(self, items: Generator[Any, Any, Any]) -> None:
        self._items = items

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        try:
            self._items.close()
        except Exception as error:
            tracebacks.log_error(error)
