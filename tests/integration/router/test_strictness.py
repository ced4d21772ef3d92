"""What the fast path does not take, sent to a real router: no instance ever sees two requests for one.

Nor one that differs from what a strict reading says, however the bytes are cut or glued together.
"""

import asyncio
import json

import pytest

from tests.integration.router.conftest import RouterProcess, RunInstance, get, post
from tests.integration.router.instances import Instance
from tests.integration.router.wire import Message, Wire
from tests.unit.router.heads import NO_FUNCTION, REFUSED, STREAMED, Seen

NEXT = get("/function/f/next")
SEEN_NEXT: Seen = (b"GET", b"/next", b"")
HOP_BY_HOP = (
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
)


def seen(instance: Instance) -> list[Seen]:
    return [(each.method, each.target, each.body) for each in instance.requests]


def is_problem(answer: Message) -> bool:
    if answer.get("Content-Type") != "application/problem+json" or not answer.get("X-Call-Id"):
        return False
    return bool(json.loads(answer.body)["status"] == answer.status)


async def echo(wire: Wire, request: Message) -> None:
    """Says what it was asked, so that an answer to somebody else's request shows."""
    body = b" ".join([request.method, request.target, request.body])
    body = b"" if request.method == b"HEAD" else body
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


# --- the table


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_refused_and_nothing_after_it_is_read(
    router: RouterProcess, run_instance: RunInstance, data: bytes
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(data + NEXT)
    answer = await wire.answer()
    assert 400 <= answer.status < 500
    assert is_problem(answer)
    assert await wire.ended() == b""
    await wire.close()
    assert (await router.get("/function/f/last")).status == 200
    assert seen(instance) == [(b"GET", b"/last", b"")]


@pytest.mark.parametrize("data", NO_FUNCTION.values(), ids=NO_FUNCTION.keys())
async def test_not_there_and_the_next_request_is_read(
    router: RouterProcess, run_instance: RunInstance, data: bytes
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(data + NEXT)
    answer = await wire.answer()
    assert answer.status in (400, 404)
    assert is_problem(answer)
    assert (await wire.answer()).status == 200
    await wire.close()
    assert seen(instance) == [SEEN_NEXT]


@pytest.mark.parametrize(("data", "expected"), STREAMED.values(), ids=STREAMED.keys())
async def test_read_by_the_other_path_and_seen_as_a_strict_reader_sees_it(
    router: RouterProcess, run_instance: RunInstance, data: bytes, expected: Seen
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(data if closes(data) else data + NEXT)
    answer = await wire.answer()
    assert answer.status == 200
    if closes(data):
        assert await wire.ended() == b""
    else:
        following = await wire.answer()
        assert following.status == 200
        assert following.get("X-Call-Id") != answer.get("X-Call-Id")
    await wire.close()
    assert seen(instance) == ([expected] if closes(data) else [expected, SEEN_NEXT])
    for request in instance.requests:
        check_head(request)


def closes(data: bytes) -> bool:
    """After such a request nothing more may come; for aiohttp, Proxy-Connection is another Connection."""
    return b"HTTP/1.0" in data or b"Proxy-Connection: close" in data


def check_head(request: Message) -> None:
    """Each header that frames or identifies a request is there once, and is the router's word."""
    assert [name for name in HOP_BY_HOP if request.all(name)] in ([], ["Transfer-Encoding"])
    assert len(request.all("Host")) == 1
    assert len(request.all("Content-Length") + request.all("Transfer-Encoding")) <= 1
    assert (request.get("X-Forwarded-Prefix") or "").startswith("/function/")
    assert int(request.get("X-Deadline-Ms") or 0) > 1_000_000_000_000
    assert request.get("X-Call-Id")
    assert request.get("X-Forwarded-For")


# --- cut and glued

CHUNKED = (
    b"POST /function/f HTTP/1.1\r\nHost: a\r\nX-Call-Id: cut\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: a\r\n\r\n"
)
CUT: dict[str, tuple[bytes, list[Seen]]] = {
    "no body": (get("/function/f/a?b", "X-Call-Id: cut"), [(b"GET", b"/a?b", b"")]),
    "body": (post(b"a\r\n\r\nb", "/function/f", "X-Call-Id: cut"), [(b"POST", b"/", b"a\r\n\r\nb")]),
    "chunked": (CHUNKED, [(b"POST", b"/", b"abcde")]),
}


async def turns() -> None:
    """Lets the router read what it was sent. Nothing depends on it: read at once it must be the same."""
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("data", "expected"), CUT.values(), ids=CUT.keys())
async def test_a_request_cut_at_every_byte(
    router: RouterProcess, run_instance: RunInstance, data: bytes, expected: list[Seen]
) -> None:
    instance = await run_instance(echo)
    for place in range(1, len(data)):
        wire = await router.connect()
        await wire.send(data[:place])
        await turns()
        await wire.send(data[place:])
        answer = await wire.answer()
        assert (answer.status, answer.body) == (200, b" ".join(expected[0])), place
        assert answer.get("X-Call-Id") == "cut"
        await wire.close()
        assert seen(instance) == expected, place
        instance.requests.clear()


@pytest.mark.parametrize(("data", "expected"), CUT.values(), ids=CUT.keys())
async def test_a_request_byte_by_byte(
    router: RouterProcess, run_instance: RunInstance, data: bytes, expected: list[Seen]
) -> None:
    instance = await run_instance(echo)
    wire = await router.connect()
    for place in range(len(data)):
        await wire.send(data[place : place + 1])
        await turns()
    assert (await wire.answer()).body == b" ".join(expected[0])
    await wire.close()
    assert seen(instance) == expected


HIDDEN = b"GET /function/f/no HTTP/1.1\r\nHost: a\r\n\r\n"
GLUED = [
    (get("/function/f/1", "X-Call-Id: one"), 200, b"GET /1 "),
    (post(HIDDEN, "/function/f/2", "X-Call-Id: two"), 200, b"POST /2 " + HIDDEN),
    (get("/function/nobody", "X-Call-Id: three"), 404, None),
    (post(b"", "/function/f/4", "X-Call-Id: four"), 200, b"POST /4 "),
    (get("/function/f/%2e", "X-Call-Id: five"), 200, b"GET /%2e "),
    (CHUNKED.replace(b"cut", b"six"), 200, b"POST / abcde"),
    (get("/function/f/7", "X-Call-Id: seven", "Connection: close"), 200, b"GET /7 "),
]
IDS = ["one", "two", "three", "four", "five", "six", "seven"]


async def check_glued(wire: Wire, instance: Instance) -> None:
    """Answers in the order of the requests, each with its own status, body and call id."""
    answers = [await wire.answer() for _ in GLUED]
    assert await wire.ended() == b""
    assert [each.status for each in answers] == [status for _, status, _ in GLUED]
    assert [each.get("X-Call-Id") for each in answers] == IDS
    for answer, (_, _, body) in zip(answers, GLUED, strict=True):
        assert is_problem(answer) if body is None else answer.body == body
    assert [b" ".join(each) for each in seen(instance)] == [body for _, _, body in GLUED if body is not None]


async def test_glued_requests_cut_at_every_byte(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance(echo)
    data = b"".join(request for request, _, _ in GLUED)
    for place in range(1, len(data) + 1):
        wire = await router.connect()
        await wire.send(data[:place])
        await turns()
        await wire.send(data[place:])
        await check_glued(wire, instance)
        await wire.close()
        instance.requests.clear()


async def test_glued_requests_byte_by_byte(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance(echo)
    wire = await router.connect()
    for byte in b"".join(request for request, _, _ in GLUED):
        await wire.send(bytes([byte]))
        await turns()
    await check_glued(wire, instance)
