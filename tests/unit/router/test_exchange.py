"""What of a client's request goes upstream. The rest of an exchange is I/O: tests/integration/router."""

import asyncio

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from router.exchange import is_upgrade, request_headers


def headers_for(given: list[tuple[str, str]], *, body: bytes | None = None) -> list[tuple[str, str]]:
    """As the instance sees them, for a request with these headers."""
    made = request_headers(_request(given, body), "call-1", [(b"X-Ours", b"1")], frozenset({b"x-left-out"}))
    return [(name.decode(), value.decode()) for name, value in made]


def _request(given: list[tuple[str, str]], body: bytes | None = None) -> web.Request:
    payload: StreamReader = EMPTY_PAYLOAD
    if body is not None:
        loop = asyncio.get_running_loop()
        payload = StreamReader(BaseProtocol(loop), 1024, loop=loop)
        payload.feed_data(body)
    method = "GET" if body is None else "POST"
    return make_mocked_request(method, "/function/f", CIMultiDict(given), payload=payload)


async def test_headers_go_on_as_they_came_with_ours_after_them() -> None:
    given = [("Host", "h"), ("Accept", "a"), ("accept", "b"), ("Content-Length", "2")]
    assert headers_for(given, body=b"ok") == [
        ("Host", "h"),
        ("Accept", "a"),
        ("accept", "b"),
        ("X-Call-Id", "call-1"),
        ("X-Ours", "1"),
        ("Content-Length", "2"),
    ]


@pytest.mark.parametrize(
    "name",
    ["Connection", "Keep-Alive", "TE", "Trailer", "Proxy-Authorization", "Expect", "X-Call-Id", "X-Left-Out"],
)
async def test_headers_of_the_hop_and_those_we_replace_stay_here(name: str) -> None:
    names = [each for each, value in headers_for([("Host", "h"), (name, "given")]) if value == "given"]
    assert names == []


async def test_what_connection_names_stays_here() -> None:
    given = [("Host", "h"), ("Connection", "x-private, close"), ("X-Private", "1"), ("X-Public", "2")]
    names = [name for name, _ in headers_for(given)]
    assert "X-Private" not in names
    assert "X-Public" in names


async def test_an_upgrade_is_asked_for_anew() -> None:
    given = [("Host", "h"), ("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")]
    assert is_upgrade(_request(given))
    made = headers_for(given)
    assert ("Connection", "Upgrade") in made
    assert ("Upgrade", "websocket") in made


@pytest.mark.parametrize(
    "given", [[("Upgrade", "websocket")], [("Connection", "upgrade"), ("Upgrade", "h2c")], []]
)
async def test_no_upgrade(given: list[tuple[str, str]]) -> None:
    assert not is_upgrade(_request([("Host", "h"), *given]))
