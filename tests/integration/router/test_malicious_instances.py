"""Instances that attack: not a byte of theirs gets into another call, and no connection stays theirs."""

import asyncio

import pytest

from plat.feed import Faulted
from tests.integration.router.conftest import RouterProcess, RunInstance, get
from tests.integration.router.instances import OK, Behaviour, Gate, Instance, says
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.test_faults import problem
from tests.integration.router.wire import Message, Wire, until

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: 1\r\n\r\nevil"
HEAD = b"HEAD /function/f HTTP/1.1\r\nHost: example.org\r\n\r\n"


async def honest(wire: Wire, request: Message) -> None:
    """Says what it was asked."""
    await wire.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.target), request.target)
    )


async def check_next_calls(router: RouterProcess, client: Wire | None = None) -> None:
    """Calls that follow, of the same client and of others, are answered with what they asked for."""
    for number in range(3):
        answer = await router.get(f"/function/f/{number}")
        assert (answer.status, answer.body) == (200, b"/%d" % number)
        assert answer.get("X-Evil") is None
    if client is not None:
        await client.send(get("/function/f/same"))
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"/same")


# --- more than one answer

TOO_MUCH = {
    "a byte after the answer": (OK + b"x", b"ok"),
    "a line break after the answer": (OK + b"\r\n", b"ok"),
    "two answers": (OK + EVIL, b"ok"),
    "a hundred answers": (OK + EVIL * 100, b"ok"),
    "half an answer after the answer": (OK + EVIL[:20], b"ok"),
    "an interim answer after the answer": (OK + b"HTTP/1.1 103 x\r\nX-Evil: 1\r\n\r\n", b"ok"),
    "longer than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b"x" * 100_000, b"ok"),
    "after the last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
        b"ok",
    ),
    "after trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Evil: 1\r\n\r\n" + EVIL,
        b"ok",
    ),
    "a body after 204": (b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, b""),
    "a length and a body with 204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", b""),
    "a body after 304": (b"HTTP/1.1 304 Not Modified\r\n\r\n" + EVIL, b""),
    "Connection takes the length": (
        b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok" + EVIL,
        b"ok",
    ),
}


@pytest.mark.parametrize(("data", "body"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_what_follows_an_answer_is_nobodys(
    router: RouterProcess, run_instance: RunInstance, data: bytes, body: bytes
) -> None:
    instance = await run_instance(says(data))
    client = await router.connect()
    await client.send(get())
    answer = await client.answer()
    assert answer.body == body
    assert answer.get("X-Evil") is None
    assert answer.status != 204 or answer.get("Content-Length") is None
    instance.behave = honest
    await check_next_calls(router, client)
    await until(lambda: instance.open == 1)
    assert instance.connections == 2, "the connection that carried too much is not used again"


@pytest.mark.parametrize("answer", [b"Content-Length: 4\r\n\r\nevil", b"Content-Length: 4\r\n\r\n" + EVIL])
async def test_an_answer_to_head_with_a_body(
    router: RouterProcess, run_instance: RunInstance, answer: bytes
) -> None:
    instance = await run_instance(says(b"HTTP/1.1 200 OK\r\n" + answer))
    client = await router.connect()
    await client.send(HEAD)
    assert (await client.answer(to="HEAD")).get("Content-Length") == "4"
    instance.behave = honest
    await check_next_calls(router, client)
    assert instance.connections == 2


async def test_a_second_answer_sent_later(router: RouterProcess, run_instance: RunInstance) -> None:
    """Bytes without a request: the connection is closed before the next one."""
    wires: list[Wire] = []

    async def remember(wire: Wire, request: Message) -> None:
        wires.append(wire)
        await honest(wire, request)

    instance = await run_instance(remember)
    client = await router.connect()
    await client.send(get("/function/f/first"))
    assert (await client.answer()).body == b"/first"
    wires[0].writer.write(EVIL)
    await until(lambda: instance.open == 0)
    await check_next_calls(router, client)
    assert instance.connections == 2


class Eager(Instance):
    """Answers before it was asked, with each new connection."""

    async def _serve(self, wire: Wire) -> None:
        wire.writer.write(EVIL)
        await super()._serve(wire)


async def test_an_answer_before_the_request(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Until a request is written, what comes belongs to no call; it never reaches a second one."""
    honest_one = await run_instance(honest, name="b", slots=0)
    eager = Eager(honest_one._path.with_name("a.sock"), honest)
    await eager.start()
    await pool.add("a", eager.address, 1)
    client = await router.connect()
    await client.send(get("/function/f/first"))
    first = await client.answer()
    assert first.body in (b"evil", b"/first") or first.status == 502
    await pool.gone("a", "exited", "It exited.")
    await eager.stop()
    await pool.add("b", honest_one.address, 1)
    await check_next_calls(router, client)


async def test_a_connection_kept_after_close(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance(
        says(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    )
    client = await router.connect()
    await client.send(get())
    answer = await client.answer()
    assert (answer.body, answer.get("Connection")) == (b"ok", None)
    await until(lambda: instance.open == 0)
    instance.behave = honest
    await check_next_calls(router, client)


# --- answers without end or measure


def flood(piece: bytes, after: bytes = b"", *, heeds_the_end: bool = True) -> Behaviour:
    """Sends `piece` again and again, after a beginning, until the router has half-closed (or for ever)."""

    async def behave(wire: Wire, request: Message) -> None:
        wire.writer.write(after)
        while not (wire.reader.at_eof() and heeds_the_end):
            await wire.send(piece)
            await asyncio.sleep(0)
        wire.writer.close()

    return behave


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD_BEFORE_ANY_BYTE = {
    "interim answers": flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "interim answers, shortest": flood(b"HTTP/1.1 100\r\n\r\n" * 5_000),
    "a status line": flood(b"a" * 1_000, b"HTTP/1.1 200 "),
    "a header": flood(b"a" * 10_000, b"HTTP/1.1 200 OK\r\nX: "),
    "headers": flood(b"X: a\r\n" * 1_000, b"HTTP/1.1 200 OK\r\n"),
    "a head of one megabyte at once": says(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n"),
    "101 unasked": says(b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + EVIL),
    "an interim answer with a body": says(b"HTTP/1.1 103 x\r\nContent-Length: 4\r\n\r\nevil" + OK),
    "chunks in HTTP/1.0": says(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a tab behind chunked": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("behave", BAD_BEFORE_ANY_BYTE.values(), ids=BAD_BEFORE_ANY_BYTE.keys())
async def test_a_head_without_measure_is_a_bad_response(
    router: RouterProcess, run_instance: RunInstance, behave: Behaviour
) -> None:
    instance = await run_instance(behave)
    answer = problem(await router.get())
    assert (answer.status, answer.code) == (502, "bad_response")
    instance.behave = honest
    await check_next_calls(router)
    assert instance.most_in_call == 1


BAD_WITHIN = {
    "an extension without end": flood(b"a" * 1_000, CHUNKED + b"2;"),
    "a long extension": says(CHUNKED + b"2;" + b"a" * 300 + b"\r\nok\r\n0\r\n\r\n"),
    "a trailer without end": flood(b"a" * 1_000, CHUNKED + b"0\r\nX: "),
    "trailers without end": flood(b"X: a\r\n" * 200, CHUNKED + b"0\r\n"),
    "a trailer that is none": says(CHUNKED + b"0\r\nX: a\n\r\n" + EVIL),
    "a chunk size that overflows": says(CHUNKED + b"ffffffffffffffff2\r\nok\r\n0\r\n\r\n"),
    "a negative chunk size": says(CHUNKED + b"-2\r\nok\r\n0\r\n\r\n"),
    "a chunk longer than its size": says(CHUNKED + b"2\r\nokok\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("behave", BAD_WITHIN.values(), ids=BAD_WITHIN.keys())
async def test_chunks_without_measure_cut_the_answer(
    router: RouterProcess, run_instance: RunInstance, behave: Behaviour
) -> None:
    """Cut before its end, or refused before its beginning: it never looks complete."""
    instance = await run_instance(behave)
    client = await router.connect()
    await client.send(get())
    head = await client.head()
    if head.status == 200:
        assert not (await client.ended()).endswith(b"0\r\n\r\n")
    else:
        assert head.status == 502
    await client.close()
    instance.behave = honest
    await check_next_calls(router)
    assert instance.most_in_call == 1


async def test_a_flood_that_does_not_end_costs_the_instance(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Its slot is busy until it has closed; when it does not, it is reported, and never used again."""
    await pool.put(route(timeout_s=0.2))
    instance = await run_instance(flood(b"HTTP/1.1 100\r\n\r\n" * 100, heeds_the_end=False))
    assert problem(await router.get()).code == "bad_response"
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    await until(lambda: instance.open == 0)


async def test_a_head_byte_by_byte(router: RouterProcess, run_instance: RunInstance) -> None:
    async def dribble(wire: Wire, request: Message) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2_000 + b"\r\nContent-Length: 2\r\n\r\nok":
            await wire.send(bytes([byte]))

    instance = await run_instance(dribble)
    assert (await router.get()).body == b"ok"
    instance.behave = honest
    await check_next_calls(router)


async def test_interim_answers_do_not_hold_a_slot_for_ever(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(timeout_s=0.2))
    gate = Gate()

    async def hint(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 103 x\r\nLink: a\r\n\r\n")
        await gate.pass_through()

    await run_instance(hint)
    client = await router.connect()
    await client.send(get())
    assert (await client.head()).status == 103
    assert problem(await client.answer()).code == "timeout"
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    gate.open()
