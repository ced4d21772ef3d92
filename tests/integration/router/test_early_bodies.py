"""The beginning of a body comes before a slot is asked for: a client that sends only a head holds nothing."""

import random
from collections.abc import Iterator

import pytest

from plat.tasks import spawn
from tests.integration.router.conftest import EARLY, RouterProcess, RunInstance, RunRouter, post
from tests.integration.router.instances import Gate
from tests.integration.router.pool_server import PoolServer
from tests.integration.router.test_disconnect import queued
from tests.integration.router.test_faults import problem
from tests.integration.router.test_large_bodies import until_it_stands_still
from tests.integration.router.wire import until

CHUNKED = b"POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = b"POST /function/f HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        LARGE,
        CHUNKED,
        LARGE + b"x" * 65_535,
        CHUNKED + b"ffff\r\n" + b"x" * 65_535 + b"\r\n",
        CHUNKED + b"5\r\nx",
    ],
    ids=["length", "chunked", "a byte too few", "a byte too few, chunked", "within a chunk"],
)
async def test_who_sends_too_little_holds_nothing(
    run_router: RunRouter, run_instance: RunInstance, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Other calls go on, and it is told when its minute is over."""
    monkeypatch.setattr("router.request_body.EARLY_S", 1)
    router = await run_router()
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(sent)
    for _ in range(10):
        assert (await router.get()).status == 200
    answer = await wire.answer()
    assert (answer.status, problem(answer).code) == (408, "request_timeout")
    assert answer.get("Connection") == "close"
    assert b"of the body's first 65536 bytes came within 1 s." in answer.body
    assert (len(instance.requests), instance.connections) == (10, 1)


@pytest.mark.parametrize("sent", [LARGE + EARLY, CHUNKED + b"10000\r\n" + EARLY], ids=["length", "chunked"])
async def test_the_last_byte_of_the_beginning_asks_for_a_slot(
    router: RouterProcess, run_instance: RunInstance, sent: bytes
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(sent[:-1])
    assert (await router.get()).status == 200
    assert instance.in_call == 0
    await wire.send(sent[-1:])
    await until(lambda: instance.in_call == 1)


async def test_a_client_that_leaves_before(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(LARGE + b"x" * 1000)
    assert (await router.get()).status == 200
    wire.abort()
    await router.until_metrics('plat_invocations_total{function="f",code="499"} 1')
    assert len(instance.requests) == 1
    await pool.all_home(1)


# --- nothing is lost, doubled or framed anew


def pieces(data: bytes, *, seed: int) -> Iterator[bytes]:
    """Of every size, small ones more often than large ones."""
    dice = random.Random(seed)
    while data:
        size = int(2 ** dice.uniform(0, 17))
        yield data[:size]
        data = data[size:]


@pytest.mark.parametrize("length", [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_bodies_of_every_size_arrive_as_they_were_framed(
    router: RouterProcess, run_instance: RunInstance, length: int, chunked: bool
) -> None:
    """However they are cut into chunks and segments. Another request follows on either connection."""
    instance = await run_instance()
    body = random.Random(length).randbytes(length)
    wire = await router.connect()
    for seed in range(3):
        framed = post(body)
        if chunked:
            framed = CHUNKED + b"".join(
                b"%x\r\n%b\r\n" % (len(each), each) for each in pieces(body, seed=seed)
            )
            framed += b"0\r\n\r\n"
        for each in pieces(framed, seed=seed):
            await wire.send(each)
        assert (await wire.answer()).body == b"ok"
    assert [each.body for each in instance.requests] == [body] * 3
    assert {each.get("Transfer-Encoding") for each in instance.requests} == {"chunked" if chunked else None}
    assert {each.get("Content-Length") for each in instance.requests} == {None if chunked else str(length)}
    assert instance.connections == 1


async def test_a_chunked_body_that_is_small_waits_for_its_end(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    instance = await run_instance()
    wire = await router.connect()
    await wire.send(CHUNKED + b"3\r\nabc\r\n")
    assert (await router.get()).status == 200
    await wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).body == b"ok"
    assert [each.body for each in instance.requests] == [b"", b"abc"]


# --- Expect: 100-continue


async def test_a_client_is_asked_for_its_body_once_and_before_there_is_a_slot(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    wire = await router.connect()
    await wire.send(LARGE[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert (await wire.head()).status == 100
    await wire.send(EARLY)
    await queued(router, 1)
    instance = await run_instance()
    await wire.send(b"x" * (200_000 - len(EARLY)))
    answer = await wire.answer()
    assert (answer.status, answer.interim) == (200, [])
    assert instance.requests[0].body == b"x" * 200_000


async def test_a_client_of_http_1_0_is_not_asked(router: RouterProcess, run_instance: RunInstance) -> None:
    """RFC 9110, 10.1.1."""
    await run_instance()
    request = post(b"abc", "/function/f", "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = await router.call(request)
    assert (answer.status, answer.interim) == (200, [])


# --- back-pressure


async def test_a_client_that_waits_for_a_slot_is_not_read_any_further(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """What the system's buffers do not take stays with it, until the slot is there."""
    body = b"x" * 50_000_000
    gate = Gate()
    instance = await run_instance(gate.then_ok)
    first = spawn(router.get(), "call")
    await until(lambda: instance.in_call == 1)
    wire = await router.connect()
    wire.writer.write(post(body))
    await queued(router, 1)
    await until_it_stands_still(wire.writer.transport.get_write_buffer_size)
    assert wire.writer.transport.get_write_buffer_size() > 20_000_000
    gate.open()
    assert (await first).status == 200
    assert (await wire.answer()).status == 200
    assert instance.requests[1].body == body
