"""A call's slot and connection: let go of once, each in the way its end asks for."""

import asyncio

import pytest

from plat.feed import Gone, Grant, Route, RouteVersion
from plat.tasks import subtask
from router.calls import Held, Turn, give_back, idle_connection
from router.limits.buckets import LeasedBucket
from router.slots import InstanceSlots
from router.target import parse_target
from router.upstream import UpstreamConnection
from tests.unit.router.memory import MemoryTransport
from tests.unit.router.tables import calls_of, pool_link

V = "version-1"


class Rig:
    """One instance with one slot, taken, and a connection to it."""

    def __init__(self) -> None:
        self.link = pool_link()
        self.slots = self.link.slots
        self.slots.grant(Grant("a", V, "unix:/nowhere", 1), 0)
        instance = self.slots.take(V, 0)
        assert instance is not None
        self.instance: InstanceSlots = instance
        self.transport = MemoryTransport()
        self.upstream = UpstreamConnection()
        self.upstream.connection_made(self.transport)
        self.held = Held(self.slots, self.instance, self.upstream)
        self.calls = calls_of(self.link)

    @property
    def is_free(self) -> bool:
        return self.instance.in_use == 0


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_a_complete_call_gives_slot_and_connection_back(rig: Rig) -> None:
    give_back(rig.slots, rig.instance, rig.upstream, reusable=True, now=0)
    assert rig.is_free
    assert idle_connection(rig.instance) is rig.upstream


async def test_a_connection_that_is_not_reusable_is_closed(rig: Rig) -> None:
    give_back(rig.slots, rig.instance, rig.upstream, reusable=False, now=0)
    assert rig.is_free
    assert idle_connection(rig.instance) is None
    assert rig.transport.ended == "abort"


async def test_what_is_let_go_of_twice_is_let_go_of_once(rig: Rig) -> None:
    rig.held.lost()
    rig.held.lost()
    rig.held.fault("timeout")
    assert rig.instance.in_use == 0
    assert rig.instance.granted == 1


async def test_a_fault_takes_the_instance_out(rig: Rig) -> None:
    rig.held.fault("timeout")
    assert rig.instance.gone
    assert rig.slots.take(V, 0) is None


async def test_an_abandoned_call_keeps_its_slot_until_the_instance_has_ended_it(rig: Rig) -> None:
    await rig.upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    rig.held.abandon(30)
    await _settle()
    assert rig.transport.ended == "eof"
    assert not rig.is_free
    rig.upstream.eof_received()
    await _settle()
    assert rig.is_free


async def test_an_abandoned_call_that_does_not_end_is_a_fault(rig: Rig) -> None:
    await rig.upstream.send(b"GET / HTTP/1.1\r\n\r\n")
    rig.held.abandon(-1)
    await _settle()
    assert rig.instance.gone


async def test_closed_connections_are_not_taken(rig: Rig) -> None:
    give_back(rig.slots, rig.instance, rig.upstream, reusable=True, now=0)
    rig.upstream.eof_received()
    assert idle_connection(rig.instance) is None


@pytest.mark.parametrize(
    ("method", "used", "silent", "may"),
    [
        ("GET", True, True, True),
        ("DELETE", True, True, True),
        ("POST", True, True, False),
        ("PATCH", True, True, False),
        ("GET", False, True, False),
        ("GET", True, False, False),
    ],
)
async def test_what_may_be_sent_twice(rig: Rig, method: str, used: bool, silent: bool, may: bool) -> None:
    rig.upstream.used, rig.upstream.silent = used, silent
    assert rig.calls.may_retry("f", method, rig.upstream) is may


async def test_the_pools_word_is_in_the_crashs_problem(rig: Rig) -> None:
    rig.link._apply(Gone("a", "out_of_memory", "It used too much."))
    error = await rig.calls.crashed("f", rig.held)
    assert (error.code, error.reason) == ("instance_crashed", "out_of_memory")
    assert "It used too much." in error.detail


async def test_names_of_functions_that_nobody_made_are_no_labels(rig: Rig) -> None:
    assert rig.calls.function_label("invented") == ""


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def waits_for_a_token(rig: Rig) -> tuple[LeasedBucket, Turn, "asyncio.Task[object]"]:
    """The store is away, and the router's part has one in 10 ms."""
    route = Route("f", 1, False, "public", 60.0, 100.0, 100, (RouteVersion(V, 1, 1, 30.0),))
    rig.link.routes.put(route)
    limiter = rig.calls.admission._limiter
    bucket = limiter.of_function(route, 0.0)
    limiter.went_away(0.0)
    turn = Turn(rig.calls, parse_target("/function/f"), None)
    waiting: asyncio.Task[object] = subtask(turn.at(bucket), "a call")
    await asyncio.sleep(0)  # the task has a turn
    return bucket, turn, waiting


async def test_a_call_that_has_to_wait_again_is_among_the_waiters_at_once(rig: Rig) -> None:
    """What resumes it next may come before its task has a turn: it would wait for ever."""
    bucket, turn, waiting = await waits_for_a_token(rig)
    for _ in range(2):
        assert list(bucket.waiters) == [turn]
        bucket.resume_first(0.0)
    assert list(bucket.waiters) == [turn]
    bucket.resume_first(0.02)
    assert not bucket.waiters
    assert isinstance(await waiting, tuple)


async def test_a_call_that_leaves_while_it_waits_again_waits_no_more(rig: Rig) -> None:
    bucket, _, waiting = await waits_for_a_token(rig)
    bucket.resume_first(0.0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not bucket.waiters
