"""What is read of a body before a slot is asked for, from bytes that come in pieces of any size."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from plat.errors import PlatError
from router.request_body import EARLY_BYTES, EarlyBody, read_any, read_early
from tests.unit.router.memory import MemoryTransport

LARGE = 10**9


class Connection(BaseProtocol):
    """One that is not read from: the test feeds the stream itself."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.transport = MemoryTransport()

    def pause_reading(self) -> None:
        """Nobody reads."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """The same."""


class Client:
    """Sends a body: `length` is what its head says, None stands for chunked."""

    def __init__(self, length: int | None, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self.stream = StreamReader(Connection(), EARLY_BYTES, loop=asyncio.get_running_loop())
        headers = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        headers.update(more)
        self.request = make_mocked_request("POST", "/", CIMultiDict(headers), payload=self.stream)

    async def send(self, pieces: list[bytes], *, end: bool) -> None:
        """Each in a turn of the loop of its own; the end comes with the last."""
        for number, piece in enumerate(pieces, 1):
            self.stream.feed_data(piece)
            if number < len(pieces):
                await asyncio.sleep(0)
        if end:
            self.stream.feed_eof()

    async def read(self, pieces: list[bytes], *, end: bool = True, limit: int = LARGE) -> EarlyBody:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self.send(pieces, end=end))
            early = await read_early(self.request, limit)
            await sending
        return early

    async def rest(self) -> bytes:
        data = b""
        while piece := await read_any(self.request):
            data += piece
        return data


sizes = st.lists(st.integers(1, 50_000), max_size=8)
"""Of the pieces that a body comes in."""


@given(sizes, st.booleans())
def test_beginning_and_rest_are_the_body(sizes: list[int], chunked: bool) -> None:
    """And the beginning is whole, or it is as long as it may be."""
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    body = b"".join(pieces)

    async def check() -> None:
        client = Client(None if chunked else len(body))
        early = await client.read(pieces)
        assert early.data == body[:EARLY_BYTES]
        assert early.data + await client.rest() == body
        if len(body) != EARLY_BYTES:
            assert early.whole == (len(body) < EARLY_BYTES)

    asyncio.run(check())


@given(sizes, st.integers(1, 100_000))
def test_no_more_is_read_than_is_allowed(sizes: list[int], limit: int) -> None:
    """A beginning over the limit is refused, though its end has not come."""
    pieces, length = [b"x" * size for size in sizes], sum(sizes)

    async def check() -> None:
        client = Client(None)
        if limit < min(length, EARLY_BYTES):
            with pytest.raises(PlatError) as refused:
                await read_early_of(client, pieces, limit)
            assert refused.value.code == "body_too_large"
        elif length >= EARLY_BYTES:
            assert len((await read_early_of(client, pieces, limit)).data) == EARLY_BYTES

    asyncio.run(check())


async def read_early_of(client: Client, pieces: list[bytes], limit: int) -> EarlyBody:
    await client.send(pieces, end=False)
    return await read_early(client.request, limit)


async def test_a_beginning_of_the_full_length_whose_end_has_come_is_whole() -> None:
    assert (await Client(EARLY_BYTES).read([b"x" * EARLY_BYTES])).whole
    assert not (await Client(None).read([b"x" * EARLY_BYTES], end=False)).whole


async def test_no_body() -> None:
    assert await read_early(make_mocked_request("GET", "/"), LARGE) == EarlyBody(b"", whole=True)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (1000, "Only 1 of the body's 1000 bytes came within 0.01 s."),
        (EARLY_BYTES, "Only 1 of the body's 65536 bytes came within 0.01 s."),
        (EARLY_BYTES + 1, "Only 1 of the body's first 65536 bytes came within 0.01 s."),
        (None, "Only 1 of the body's first 65536 bytes came within 0.01 s."),
    ],
)
async def test_too_late(length: int | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.request_body.EARLY_S", 0.01)
    with pytest.raises(PlatError) as refused:
        await read_early_of(Client(length), [b"x"], LARGE)
    assert (refused.value.code, refused.value.detail) == ("request_timeout", said)


async def test_a_malformed_body() -> None:
    client = Client(None)
    client.stream.feed_data(b"abc")
    client.stream.set_exception(web.RequestPayloadError("no chunk size"))
    for read in (read_early(client.request, LARGE), read_any(client.request)):
        with pytest.raises(PlatError) as refused:
            await read
        assert refused.value.code == "bad_request"
        assert "no chunk size" in refused.value.detail
