"""One message as other parsers read it: h11, and aiohttp's two (C and Python).

The router's own must agree with all of them.
"""

import asyncio
from typing import Any, NamedTuple, cast

import h11
from aiohttp import http_parser
from aiohttp.base_protocol import BaseProtocol

LIMIT_BYTES = 1 << 20
NEXT = b"GET /next HTTP/1.1\r\nHost: next.example.org\r\n\r\n"
"""Sent right behind a request: whoever sees the end of the first elsewhere does not read this one."""

Headers = list[tuple[bytes, bytes]]


class Refused(Exception):  # noqa: N818  (an answer, not a fault)
    """The parser does not take the message, or has not seen the end of it."""


class Request(NamedTuple):
    method: bytes
    target: bytes
    headers: Headers
    """Names in lower case, values stripped, in their order."""
    body: bytes


class Response(NamedTuple):
    status: int
    reason: bytes
    headers: Headers
    body: bytes


def normal(headers: Any) -> Headers:
    """Names in lower case, values stripped; `chunked` in lower case too, as h11 gives it."""
    pairs = [(bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in headers]
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in pairs]


# --- h11


def h11_request(data: bytes) -> Request:
    """The request that `data` is, without a byte missing or left over. Raises Refused."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT_BYTES)
    connection.receive_data(data + NEXT)
    request: h11.Request | None = None
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                raise Refused(f"h11: {event!r}")
    except h11.RemoteProtocolError as error:
        raise Refused(f"h11: {error}") from error
    rest, _ = connection.trailing_data
    if rest != NEXT or request is None:
        raise Refused(f"h11 sees the end elsewhere: {rest!r} is left")
    return Request(request.method, request.target, normal(request.headers), body)


def h11_response(data: bytes, method: bytes, *, ended: bool) -> Response:
    """The final answer in `data`, interim ones dropped. Raises Refused."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT_BYTES)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    response: h11.Response | None = None
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif not isinstance(event, h11.InformationalResponse):
                raise Refused(f"h11: {event!r}")
    except h11.RemoteProtocolError as error:
        raise Refused(f"h11: {error}") from error
    rest, _ = connection.trailing_data
    if rest or response is None:
        raise Refused(f"h11 leaves {rest!r}")
    return Response(response.status_code, bytes(response.reason), normal(response.headers), body)


# --- aiohttp

REQUEST_PARSERS = {
    "aiohttp C": http_parser.HttpRequestParser,
    "aiohttp Python": http_parser.HttpRequestParserPy,
}
RESPONSE_PARSERS = {
    "aiohttp C": http_parser.HttpResponseParser,
    "aiohttp Python": http_parser.HttpResponseParserPy,
}


class AiohttpReader:
    """Holds the event loop that aiohttp's parsers want; nothing ever runs in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.close()

    def request(self, parser_class: Any, data: bytes) -> Request:
        """The request that `data` is, with the options of the router's own server. Raises Refused."""
        messages = self._messages(parser_class, data, auto_decompress=False, max_headers=128)
        if len(messages) != 1:
            raise Refused(f"aiohttp: {len(messages)} messages")
        message, payload = messages[0]
        if not message.should_close:
            self._check_end(parser_class, data)
        return _request(message, payload)

    def _check_end(self, parser_class: Any, data: bytes) -> None:
        """What follows is read as the next request, from its first byte. (Not after one that closes.)"""
        messages = self._messages(parser_class, data + NEXT, auto_decompress=False, max_headers=128)
        if len(messages) != 2 or messages[1][0].path != "/next":
            raise Refused("aiohttp sees the end elsewhere")

    def response(self, parser_class: Any, data: bytes, method: str, *, ended: bool) -> Response:
        """The final answer, as aiohttp's client reads it. Raises Refused."""
        messages = self._messages(
            parser_class,
            data,
            ended=ended,
            auto_decompress=False,
            read_until_eof=True,
            response_with_body=method != "HEAD",
            max_line_size=LIMIT_BYTES,
            max_field_size=LIMIT_BYTES,
        )
        final = [pair for pair in messages if pair[0].code >= 200]
        if len(final) != 1:
            raise Refused(f"{len(final)} final answers")
        message, payload = final[0]
        reason = message.reason.encode("utf-8", "surrogateescape")
        return Response(message.code, reason, normal(message.raw_headers), _body(payload))

    def _messages(
        self, parser_class: Any, data: bytes, *, ended: bool = False, **options: Any
    ) -> list[tuple[Any, Any]]:
        parser = parser_class(cast(Any, BaseProtocol(self._loop)), self._loop, LIMIT_BYTES, **options)
        try:
            messages, _, rest = parser.feed_data(data)
            if ended:
                parser.feed_eof()
        except Exception as error:
            raise Refused(f"aiohttp: {type(error).__name__}: {error}") from error
        if rest:
            raise Refused(f"aiohttp leaves {rest!r}")
        return list(messages)


def _request(message: Any, payload: Any) -> Request:
    method, target = (each.encode("utf-8", "surrogateescape") for each in (message.method, message.path))
    return Request(method, target, normal(message.raw_headers), _body(payload))


def _body(payload: Any) -> bytes:
    if payload.exception() is not None or not payload.is_eof():
        raise Refused(f"aiohttp: the body is not complete: {payload.exception()!r}")
    return cast(bytes, payload.read_nowait())
