"""Instances that crash, hang, lie, or are not there: what the client is told, and whose the slot is."""

import asyncio

import msgspec
import pytest

from plat.feed import Demand, Faulted, StartFailed, ToRouter
from plat.model import Problem
from plat.tasks import spawn
from tests.integration.router.conftest import RouterProcess, RunInstance, get, post
from tests.integration.router.instances import Gate, Instance, say_ok, says
from tests.integration.router.pool_server import PoolServer, route
from tests.integration.router.wire import Message, Wire, until


def problem(answer: Message) -> Problem:
    assert answer.get("Content-Type") == "application/problem+json"
    parsed = msgspec.json.decode(answer.body, type=Problem)
    assert parsed.status == answer.status
    assert parsed.call_id == answer.get("X-Call-Id")
    return parsed


async def crash(wire: Wire, request: Message) -> None:
    wire.abort()


# --- it ends


async def test_a_crash_before_the_answer_tells_the_pools_reason(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    async def killed(wire: Wire, request: Message) -> None:
        wire.abort()
        await pool.gone("a", "out_of_memory", "It used 200 MB, over its limit of 128 MB.")

    await run_instance(killed)
    answer = problem(await router.get())
    assert (answer.status, answer.code, answer.reason) == (502, "instance_crashed", "out_of_memory")
    assert "128 MB" in answer.detail


async def test_the_reason_may_come_before_the_end_of_the_connection(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    gate = Gate()

    async def killed(wire: Wire, request: Message) -> None:
        await gate.pass_through()
        wire.abort()

    await run_instance(killed)
    call = spawn(router.get(), "call")
    await until(lambda: gate.waiting == 1)
    await pool.gone("a", "exited", "The process exited with status 3.")
    gate.open()
    answer = problem(await call)
    assert (answer.status, answer.reason) == (502, "exited")


async def test_a_connection_closed_without_an_answer(
    router: RouterProcess, run_instance: RunInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance lives: the pool says nothing, and the slot is used again."""
    monkeypatch.setattr("router.calls.OBITUARY_WAIT_S", 0.05)
    instance = await run_instance(crash)
    answer = problem(await router.get())
    assert (answer.status, answer.code, answer.reason) == (502, "instance_crashed", "closed")
    instance.behave = say_ok
    assert (await router.get()).status == 200


async def test_a_client_that_leaves_while_the_reason_is_awaited_takes_no_slot_along(
    router: RouterProcess, run_instance: RunInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.calls.OBITUARY_WAIT_S", 30)
    instance = await run_instance(crash)
    wire = await router.connect()
    await wire.send(get())
    await until(lambda: len(instance.requests) == 1 and instance.open == 0)
    wire.abort()
    instance.behave = say_ok
    assert (await router.get()).status == 200


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
)
async def test_an_answer_cut_in_its_middle_is_seen_as_cut(
    router: RouterProcess, run_instance: RunInstance, begin: bytes
) -> None:
    async def cut(wire: Wire, request: Message) -> None:
        await wire.send(begin)
        wire.writer.close()

    instance = await run_instance(cut)
    wire = await router.connect()
    await wire.send(get())
    head = await wire.head()
    left = await wire.ended()
    assert b"0\r\n\r\n" not in left
    if head.get("Content-Length"):
        assert len(left) < 10
    instance.behave = say_ok
    assert (await router.get()).status == 200


async def test_an_answer_without_a_length_that_is_reset_is_not_complete(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    """Its end is the end of the connection: only a clean end counts."""

    async def reset(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await read.wait()
        wire.abort()  # unread bytes of the request make the kernel say so

    read = asyncio.Event()
    await run_instance(reset, read_body=False)
    wire = await router.connect()
    wire.writer.write(post(b"x" * 8_000_000))
    await wire.head()
    assert await wire.chunk() == b"abc"
    read.set()
    assert await wire.ended() == b""


# --- it says something else


GARBAGE = {
    "not HTTP": b"hello\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "head too long": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    "an upgrade that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "no line break, ever": b"\x16\x03\x01" + b"a" * 70_000,
    "only bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "the beginning of something else": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_bad_response(
    router: RouterProcess, run_instance: RunInstance, data: bytes
) -> None:
    """The connection is closed; the slot is free once the instance has closed it too."""
    instance = await run_instance(says(data))
    answer = problem(await router.get())
    assert (answer.status, answer.code) == (502, "bad_response")
    instance.behave = say_ok
    assert (await router.get()).status == 200
    assert instance.connections == 2
    assert instance.most_in_call == 1


async def test_bytes_after_the_answer_are_nobodys(router: RouterProcess, run_instance: RunInstance) -> None:
    """The connection that carried them is not used again."""
    instance = await run_instance(
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
    )
    for _ in range(3):
        assert (await router.get()).body == b"a"
    assert instance.connections == 3


async def test_a_garbled_chunk_after_the_head_cuts_the_answer(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    gate = Gate()

    async def garble(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await gate.pass_through()
        await wire.send(b"zz\r\n")

    await run_instance(garble)
    wire = await router.connect()
    await wire.send(get())
    await wire.head()
    assert await wire.chunk() == b"abc"
    gate.open()
    assert await wire.ended() == b""


# --- it takes too long


async def test_no_answer_in_time(router: RouterProcess, pool: PoolServer, run_instance: RunInstance) -> None:
    await pool.put(route(timeout_s=0.1))
    gate = Gate()
    await run_instance(gate.then_ok)
    answer = problem(await router.get())
    assert (answer.status, answer.code) == (504, "timeout")
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    gate.open()


async def test_an_answer_that_stops_coming_is_cut(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.put(route(timeout_s=0.1))
    gate = Gate()

    async def stall(wire: Wire, request: Message) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await gate.pass_through()

    await run_instance(stall)
    wire = await router.connect()
    await wire.send(get())
    await wire.head()
    assert await wire.ended() == b"abc"
    await pool.until(lambda: pool.heard(Faulted) == [Faulted("a", "timeout")])
    gate.open()


async def test_the_time_begins_when_the_request_is_complete(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    """A slow upload is not the function's fault."""
    await pool.put(route(timeout_s=0.2))
    await run_instance()
    wire = await router.connect()
    await wire.send(b"POST /function/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4):
        await wire.send(b"1\r\na\r\n")
        await asyncio.sleep(0.1)  # longer, together, than the function's time
    await wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 200
    await wire.close()


# --- it is not there


async def test_an_instance_out_of_reach_costs_another_attempt(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    await pool.add("dead", "unix:/nonexistent/socket", 1)
    instance = await run_instance()
    answers = await asyncio.gather(*(router.get() for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    assert pool.heard(Faulted) == [Faulted("dead", "unreachable")]
    assert len(instance.requests) == 4


async def test_an_instance_that_dies_between_calls(
    router: RouterProcess, pool: PoolServer, run_instance: RunInstance
) -> None:
    first = await run_instance(name="a")
    assert (await router.get()).status == 200
    await first.stop()
    await run_instance(name="b")
    assert (await router.get()).status == 200
    assert pool.heard(Faulted) == [Faulted("a", "unreachable")]


async def test_no_instance_can_be_started(router: RouterProcess, pool: PoolServer) -> None:
    def cannot(demand: Demand) -> list[ToRouter]:
        failed = StartFailed(demand.version, "instance_unavailable", "No module named x", "exited")
        return [failed] if demand.queued else []

    pool.on_demand = cannot
    answer = await router.get()
    said = problem(answer)
    assert (said.status, said.code, said.reason) == (503, "instance_unavailable", "exited")
    assert said.detail == "No module named x"
    assert answer.get("Retry-After") == "1"


async def test_a_connection_that_the_instance_closed_while_idle_is_not_used(
    router: RouterProcess, run_instance: RunInstance
) -> None:
    wires: list[Wire] = []

    async def remember(wire: Wire, request: Message) -> None:
        wires.append(wire)
        await say_ok(wire, request)

    instance: Instance = await run_instance(remember)
    for _ in range(3):
        assert (await router.get()).status == 200
        wires[-1].writer.close()
        await until(lambda: instance.open == 0)
        await asyncio.sleep(0.01)  # the router's loop reads the end
    assert instance.connections == 3
