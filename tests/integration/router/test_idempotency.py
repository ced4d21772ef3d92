"""Calls with an idempotency key through a real router: what instances see, what is kept, what clients get."""

import asyncio

import msgspec
import pytest

from plat.model import Problem
from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter, get, post
from tests.integration.router.instances import Gate, Instance, says
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.wire import Message, Wire, until

KEY = "Idempotency-Key: k"
MB = 1024 * 1024
STREAM = (
    b"HTTP/1.1 201 Made\r\nX-One: 1\r\nX-One: 2\r\nX-Call-Id: its own\r\nConnection: x-hop\r\nX-Hop: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
)


def code(answer: Message) -> tuple[int, str]:
    assert answer.get("Content-Type") == "application/problem+json"
    return answer.status, msgspec.json.decode(answer.body, type=Problem).code


def keyed(body: bytes = b"body", *headers: str, key: str = KEY, target: str = "/function/f") -> bytes:
    return post(body, target, key, *headers)


async def test_the_answer_of_the_first_is_everybody_s(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance(says(STREAM))
    wire = await router.connect()
    await wire.send(keyed(b"body", "X-Call-Id: one"))
    first = await wire.answer()
    await wire.send(keyed(b"body", "X-Call-Id: two"))
    second = await wire.answer()
    assert (first.status, first.body, first.get("X-Call-Id")) == (201, b"abcde", "one")
    assert first.get("Idempotent-Replayed") is None
    assert (second.start, second.body, second.get("X-Call-Id")) == (first.start, b"abcde", "two")
    assert (second.all("X-One"), second.get("X-Hop"), second.get("Transfer-Encoding")) == (
        ["1", "2"],
        None,
        None,
    )
    assert (second.get("Content-Length"), second.get("Idempotent-Replayed")) == ("5", "true")
    assert len(instance.requests) == 1
    assert instance.requests[0].get("Idempotency-Key") == "k"
    assert 'result="replayed"} 1' in await router.metrics()


async def test_what_is_left_of_the_limit_is_told_anew(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """Each takes a token, and nobody wants to know how many there were when another called."""
    await pool.put(route(rate=0.01, burst=8))
    await run_instance()
    answers = [await router.call(keyed()) for _ in range(3)]
    assert [answer.get("Idempotent-Replayed") for answer in answers] == [None, "true", "true"]
    assert [answer.all("RateLimit") for answer in answers] == [[f'"function";r={left}'] for left in (7, 6, 5)]
    assert [len(answer.all("RateLimit-Policy")) for answer in answers] == [1, 1, 1]


async def test_an_answer_without_a_body(router: RouterProcess, run_instance: RunInstance) -> None:
    await run_instance(says(b"HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n"))
    await router.call(keyed())
    answer = await router.call(keyed())
    assert (answer.status, answer.get("Content-Length"), answer.get("ETag")) == (204, None, "x")


async def test_bodies_in_chunks_and_of_any_allowed_size(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(idempotency_body_limit_bytes=200_000)
    instance = await run_instance()
    body = b"x" * 200_000
    chunked = post(b"", "/function/f", KEY).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert (await router.call(chunked)).body == b"ok"
    assert instance.requests[0].body == body
    assert (await router.call(keyed(body))).get("Idempotent-Replayed") == "true"
    assert code(await router.call(keyed(body[1:]))) == (422, "idempotency_key_reused")
    for too_large in (keyed(body + b"x", key="Idempotency-Key: l"), chunked.replace(b"y: k", b"y: l")):
        larger = too_large.replace(b"30d40\r\n", b"30d41\r\nx")
        assert code(await router.call(larger)) == (413, "body_too_large")
    assert (await router.call(keyed(key="Idempotency-Key: l"))).get("Idempotent-Replayed") is None


@pytest.mark.parametrize("headers", [["Idempotency-Key:"], [KEY, KEY], ["Idempotency-Key: a b"]])
async def test_keys_that_cannot_be_read(
    router: RouterProcess, run_instance: RunInstance, headers: list[str]
) -> None:
    instance = await run_instance()
    answer = await router.call(post(b"", "/function/f", *headers))
    assert code(answer) == (400, "idempotency_key_invalid")
    assert not instance.requests


async def test_safe_methods_have_no_key(router: RouterProcess, run_instance: RunInstance) -> None:
    instance = await run_instance()
    for _ in range(2):
        assert (await router.call(get("/function/f", KEY))).status == 200
        assert (await router.call(get("/function/f", "Idempotency-Key: a b"))).status == 200
    assert len(instance.requests) == 4


async def test_an_answer_that_is_cut_is_a_failure_for_the_others(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    async def cut(wire: Wire, request: Message) -> None:
        await wire.send(STREAM[:-12])
        wire.abort()

    instance = await run_instance(cut)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await router.call(keyed())
    assert code(await router.call(keyed())) == (502, "bad_response")
    assert len(instance.requests) == 1


async def test_a_time_out_is_one_for_all(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(timeout_s=0.3))
    gate = Gate()
    instance = await run_instance(gate.then_ok)
    first, second = await asyncio.gather(router.call(keyed()), router.call(keyed()))
    assert code(first) == code(second) == (504, "timeout")
    gate.open()
    assert len(instance.requests) == 1


async def test_an_answer_too_large_to_be_kept_is_sent_once(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(idempotency_body_limit_bytes=1000)
    instance = await run_instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001))
    assert len((await router.call(keyed())).body) == 1001
    assert code(await router.call(keyed())) == (409, "idempotency_answer_not_kept")
    assert len(instance.requests) == 1


async def test_a_client_that_leaves_in_the_middle_of_the_answer(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    gate = Gate()

    async def half(wire: Wire, request: Message) -> None:
        await wire.send(STREAM[:-12])
        await gate.pass_through()
        await wire.send(STREAM[-12:])

    instance = await run_instance(half)
    wire = await router.connect()
    await wire.send(keyed())
    await wire.head()
    wire.abort()
    await router.until_metrics('code="499"} 1')
    gate.open()
    answer = await router.call(keyed())
    assert (answer.body, answer.get("Idempotent-Replayed")) == (b"abcde", "true")
    assert len(instance.requests) == 1


async def test_an_answer_without_end_ends_when_nobody_listens_and_it_cannot_be_kept(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(idempotency_body_limit_bytes=1000)

    async def for_ever(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not wire.reader.at_eof():  # that is how it hears that nobody listens
            await wire.send(b"64\r\n" + b"x" * 100 + b"\r\n")
            await asyncio.sleep(0.005)
        wire.abort()

    instance = await run_instance(for_ever)
    wire = await router.connect()
    await wire.send(keyed())
    await wire.head()
    wire.abort()
    assert code(await router.call(keyed())) == (409, "idempotency_answer_not_kept")
    assert len(instance.requests) == 1
    await until(lambda: instance.in_call == 0)


async def test_a_client_that_takes_nothing_delays_nobody(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    """More than fits between it and the router."""
    router = await run_router(idempotency_body_limit_bytes=32 * MB)
    large = b"x" * 32 * MB
    await run_instance(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large))
    wire = await router.connect()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await wire.send(keyed())
    answer = await router.call(keyed())
    assert (answer.body, answer.get("Idempotent-Replayed")) == (large, "true")


async def test_waiting_calls_hold_no_slot(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    gate = Gate()

    async def gated(wire: Wire, request: Message) -> None:
        if request.body == b"body":
            await gate.pass_through()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    instance = await run_instance(gated, slots=2)
    calls = [spawn(router.call(keyed()), "call") for _ in range(5)]
    await until(lambda: gate.waiting == 1)
    assert (await router.call(post(b"other"))).status == 200
    gate.open()
    assert {answer.body for answer in await asyncio.gather(*calls)} == {b"ok"}
    assert len(instance.requests) == 2


async def test_without_an_instance_the_key_stays_free(
    run_router: RunRouter, pool: PoolServer, run_instance: RunInstance
) -> None:
    router = await run_router(queue_timeout_s=0.2)
    assert code(await router.call(keyed())) == (503, "no_instance")
    await run_instance()
    answer = await router.call(keyed())
    assert (answer.status, answer.get("Idempotent-Replayed")) == (200, None)


async def test_a_put_is_not_sent_twice_by_the_router(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """Without a key it would be, over another connection."""

    async def once(wire: Wire, request: Message) -> None:
        if request.body == b"first":
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            wire.abort()

    instance = await run_instance(once)
    assert (await router.call(post(b"first"))).status == 200
    put = keyed().replace(b"POST", b"PUT", 1)
    assert code(await router.call(put)) == (502, "instance_crashed")
    assert code(await router.call(put)) == (502, "instance_crashed")
    assert [request.method for request in instance.requests] == [b"POST", b"PUT"]


async def test_a_store_that_does_not_answer(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    pool.answers_keys = False
    answer = await router.call(keyed())
    assert code(answer) == (503, "idempotency_unavailable")
    assert answer.get("Retry-After") == "1"
    assert not instance.requests
    assert (await router.call(post(b"no key"))).status == 200
    assert "plat_idempotency_up 0" in await router.metrics()
    pool.answers_keys = True
    assert (await router.call(keyed(key="Idempotency-Key: l"))).status == 200
    assert "plat_idempotency_up 1" in await router.metrics()


async def test_whose_the_key_is(router: RouterProcess, pool: PoolServer, run_instance: RunInstance) -> None:
    """Of a public function: anybody's, but with other credentials it is another request."""
    instance: Instance = await run_instance()
    for credentials in ("Authorization: Basic a", "Cookie: a=b", "X-Api-Key: a"):
        key = f"Idempotency-Key: {credentials[:3]}"
        assert (await router.call(keyed(b"", credentials, key=key))).get("Idempotent-Replayed") is None
        assert (await router.call(keyed(b"", credentials, key=key))).get("Idempotent-Replayed") == "true"
        assert code(await router.call(keyed(b"", credentials + "x", key=key)))[0] == 422
        assert code(await router.call(keyed(b"", key=key)))[0] == 422
    assert len(instance.requests) == 3


async def test_a_router_that_stops_ends_what_nobody_waits_for(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    gate = Gate()
    await run_instance(gate.then_ok)
    wire = await router.connect()
    await wire.send(keyed())
    await until(lambda: gate.waiting == 1)
    wire.abort()
    await router.until_metrics('code="499"} 1')
    router.begin_stop()
    gate.open()
    await router.stop()
    assert [record.answer is not None for record in pool.keys._ended.values()] == [True]
