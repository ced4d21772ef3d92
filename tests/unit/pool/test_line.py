"""One question over one connection: in whatever pieces the answer comes, and if it never does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.address import Address
from plat.tasks import subtask
from pool.line import HEAD_LIMIT_BYTES, Answer, Line, NoAnswerError, Unreachable, parse_head

QUESTION = b"GET / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Memory(asyncio.Transport):
    """What was written, and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_cut = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written.append(data)

    def abort(self) -> None:
        self.is_cut = True


def a_line() -> tuple[Line, Memory]:
    line, transport = Line(), Memory()
    line.connection_made(transport)
    return line, transport


async def answer_to(*pieces: bytes, then_lost: bool = False) -> Answer:
    line, transport = a_line()
    asking = subtask(line.ask(QUESTION), "ask")
    await asyncio.sleep(0)
    assert transport.written == [QUESTION]
    for piece in pieces:
        line.data_received(piece)
    if then_lost:
        line.connection_lost(None)
    async with asyncio.timeout(1):
        return await asking


async def test_a_question_is_announced() -> None:
    line, transport = a_line()
    line.announce()
    assert transport.written == [], "who knows nothing of it might take it for a part of the question"
    line.takes_notice = True
    line.announce()
    assert transport.written == [b"\r\n"]
    asking = subtask(line.ask(QUESTION), "ask")
    await asyncio.sleep(0)
    line.data_received(OK)
    assert await asking == Answer(200, b"ok")
    assert transport.written == [b"\r\n", QUESTION]


def test_over_a_line_that_is_lost_nothing_is_announced() -> None:
    line, transport = a_line()
    line.takes_notice = True
    line.connection_lost(None)
    line.announce()
    assert transport.written == []


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
async def test_an_answer_in_pieces(size: int) -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert await answer_to(*pieces) == Answer(200, b"ok")


async def test_an_answer_without_a_length_has_no_body_for_us() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert await answer_to(head) == Answer(404, b"")


async def test_what_follows_the_answer_is_nobody_s() -> None:
    assert await answer_to(OK + b"HTTP/1.1 500", b"more") == Answer(200, b"ok")


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200",), (OK[:-1],)])
async def test_one_that_closes_before_it_has_answered(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(NoAnswerError, match="closed without an answer"):
        await answer_to(*pieces, then_lost=True)


async def test_one_that_was_lost_before_it_was_asked() -> None:
    line, transport = a_line()
    line.connection_lost(None)
    with pytest.raises(NoAnswerError):
        await line.ask(QUESTION)
    assert transport.written == []


async def test_a_head_without_end() -> None:
    with pytest.raises(NoAnswerError, match="head is over"):
        await answer_to(b"HTTP/1.1 200 OK\r\nA: " + b"b" * HEAD_LIMIT_BYTES)


async def test_bytes_that_nobody_asked_for_are_not_the_answer() -> None:
    line, transport = a_line()
    line.data_received(OK)
    asking = subtask(line.ask(QUESTION), "ask")
    await asyncio.sleep(0)
    assert not asking.done()
    asking.cancel()
    line.data_received(OK)  # too late
    line.close()
    assert transport.is_cut


async def test_over_a_socket_opened_ahead(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(Unreachable):
        await Line.open(Address(path=str(path)))
    async with answering(path):
        with closing(await Line.open(Address(path=str(path)))) as line:
            assert await line.ask(QUESTION) == Answer(200, b"ok")


@asynccontextmanager
async def answering(path: Path) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", (200, 5)),
        (b"HTTP/1.0 404 Not Found\r\ncontent-length:0\r\n\r\n", (404, 0)),
        (b"HTTP/1.1 200\r\n\r\n", (200, None)),
        (b"HTTP/1.1 503 \r\nA: b\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", (503, 5)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", (200, None)),
        (b"HTTP/1.1 200 OK\r\nX-Content-Length: 5\r\n\r\n", (200, None)),
    ],
)
def test_heads(head: bytes, expected: tuple[int, int | None]) -> None:
    assert parse_head(head) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    ],
)
def test_heads_to_refuse(head: bytes) -> None:
    with pytest.raises(NoAnswerError):
        parse_head(head)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(head: bytes) -> None:
    try:
        status, length = parse_head(head + b"\r\n\r\n")
    except NoAnswerError:
        return
    assert 100 <= status <= 599
    assert length is None or length >= 0
