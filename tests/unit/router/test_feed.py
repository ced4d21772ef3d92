"""The link to the pool, message by message, over a connection in memory that a test can hold or break."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import pairwise

import msgspec
import pytest

from plat.address import Address
from plat.errors import PlatError
from plat.feed import (
    Demand,
    Faulted,
    FromRouter,
    Gone,
    Grant,
    Held,
    Hello,
    Loaded,
    MemoryPressure,
    Reclaim,
    Returned,
    Route,
    RouteDropped,
    RoutePut,
    Routes,
    RoutesPart,
    RouteVersion,
    StartFailed,
    TokenDropped,
    TokenEntry,
    TokenPut,
    TokensPart,
    TokensUsed,
    ToRouter,
    decode_from_router,
    encode,
    whole_table,
)
from plat.link import Link
from plat.parts import SLICE
from plat.tasks import subtask
from router import feed
from router.feed import PoolLink
from router.slots import InstanceSlots
from tests.unit.plat.link_rig import Wire

V = "v1"
TOKEN = TokenEntry("t1", sha256(b"secret").hexdigest(), ("invoke:f",))
ROUTE = Route("f", 1, False, "public", 60.0, None, None, (RouteVersion(V, 1, 1, 30.0),))


class Socket(Wire):
    """The connection to a pool: what the router sends is kept."""

    def __init__(self) -> None:
        super().__init__()
        self._sent: list[FromRouter] = []

    @property
    def sent(self) -> list[FromRouter]:
        self._sent += [decode_from_router(data) for data in self.take()]
        return self._sent

    def tell(self, message: ToRouter) -> None:
        self.say(encode(message))


async def settle() -> None:
    """Until every task has done what it can do now."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def link() -> PoolLink:
    return PoolLink("r1", Address(path="/unused"), clock=lambda: 100.0, queue_limit=10)


@asynccontextmanager
async def connected(link: PoolLink, socket: Socket) -> AsyncIterator[None]:
    """As `run` does it, until the end of the connection."""
    socket.open(Link(link._hear))
    assert socket.link is not None
    link._connected(socket.link)
    await settle()
    yield
    socket.end()
    link._disconnected()
    await settle()


def granted(link: PoolLink, slots: int = 1, instance: str = "a") -> None:
    link.slots.grant(Grant(instance, V, "unix:/a", slots), 100.0)


def taken(link: PoolLink) -> InstanceSlots:
    instance = link.slots.take(V, 100.0)
    assert instance is not None
    return instance


def wait(link: PoolLink, version: str = V) -> "asyncio.Future[InstanceSlots]":
    future: asyncio.Future[InstanceSlots] = asyncio.get_running_loop().create_future()
    link.slots.wait(version, 0, lambda: future)
    return future


async def until_loaded(link: PoolLink) -> None:
    while not link.routes.loaded:  # noqa: ASYNC110 - looked at from outside
        await asyncio.sleep(0)
    await settle()


async def flushed(link: PoolLink) -> None:
    """Demand goes out by a timer: as if it were due."""
    await settle()
    if link._rest is not None:
        link._rest.cancel()
        link._told = dict.fromkeys(link._told, 0.0)
        link._rested()
    await settle()


# --- the beginning


async def test_the_first_word_is_who_it_is_and_what_it_holds(link: PoolLink) -> None:
    granted(link, 3)
    socket = Socket()
    async with connected(link, socket):
        assert socket.sent == [Hello("r1", [Held("a", 3)])]
        assert link.connected
    assert not link.connected


async def test_what_happens_then_follows_it(link: PoolLink) -> None:
    """Else the pool counts a slot as held that nobody has."""
    granted(link, 2)
    instance = taken(link)
    socket = Socket()
    async with connected(link, socket):
        link.slots.release(instance, 100.0)
        link.slots.return_idle(100.0, lambda _: 0.0)
        future = wait(link)
        await flushed(link)
        assert socket.sent == [Hello("r1", [Held("a", 2)]), Returned("a", 2, 0.0), Demand(V, 1, 0, 0)]
    future.cancel()


async def test_debts_to_a_pool_that_is_gone_are_forgotten(link: PoolLink) -> None:
    granted(link)
    instance = taken(link)
    link.slots.reclaim(Reclaim("a", 1), 100.0)
    socket = Socket()
    async with connected(link, socket):
        link.slots.release(instance, 100.0)
        await settle()
        assert socket.sent == [Hello("r1", [Held("a", 1)])]


async def test_calls_that_wait_are_said_again_on_every_connection(link: PoolLink) -> None:
    future = wait(link)
    for _ in range(2):
        socket = Socket()
        async with connected(link, socket):
            await flushed(link)
            assert socket.sent == [Hello("r1", []), Demand(V, 1, 0, 0)]
    future.cancel()


async def test_promises_of_a_pool_that_is_gone_are_forgotten(link: PoolLink) -> None:
    first, second = wait(link), wait(link)
    link.slots.grant(Grant("a", V, "unix:/a", 1, loading=True), 100.0)
    link.slots.grant(Grant("b", V, "unix:/b", 1, loading=True), 100.0)
    link.slots.loaded("a", 100.0)
    assert first.done()
    socket = Socket()
    async with connected(link, socket):
        await flushed(link)
        assert socket.sent == [Hello("r1", [Held("a", 1)]), Demand(V, 1, 1, 0)]
    second.cancel()


# --- the end


async def test_only_faults_outlive_a_connection(link: PoolLink) -> None:
    granted(link, 2, "a")
    granted(link, 1, "b")
    first = Socket()
    async with connected(link, first):
        first.closing = True
        stuck, idle = taken(link), taken(link)
        assert (stuck.id, idle.id) == ("b", "a")
        link.slots.fault(stuck, "timeout")
        link.slots.release(idle, 100.0)
        link.slots.return_idle(100.0, lambda _: 0.0)
        assert first.sent == [Hello("r1", [Held("a", 2), Held("b", 1)])]
    second = Socket()
    async with connected(link, second):
        assert second.sent == [Hello("r1", []), Faulted("b", "timeout")]
    third = Socket()
    async with connected(link, third):
        assert third.sent == [Hello("r1", [])]


async def test_a_fault_while_the_pool_is_away(link: PoolLink) -> None:
    granted(link)
    link.slots.fault(taken(link), "unreachable")
    socket = Socket()
    async with connected(link, socket):
        assert socket.sent == [Hello("r1", []), Faulted("a", "unreachable")]


async def test_nothing_idle_is_given_away_while_nobody_takes_it(link: PoolLink) -> None:
    granted(link)
    link.return_idle(lambda _: 0.0)
    assert link.slots.held() == [Held("a", 1)]
    socket = Socket()
    async with connected(link, socket):
        link.return_idle(lambda _: 0.0)
        await settle()
        assert socket.sent[1:] == [Returned("a", 1, 0.0)]


# --- what the pool says


async def test_slots_go_home_sooner_where_memory_is_short(link: PoolLink) -> None:
    """What was in use a moment ago may be needed in the next."""
    link.slots.grant(Grant("old", V, "unix:/old", 1), 99.0)
    granted(link, instance="new")
    socket = Socket()
    async with connected(link, socket):
        socket.tell(MemoryPressure())
        await settle()
        assert socket.sent[1:] == [Returned("old", 1, 1.0)]


async def test_grants_are_counted_in_the_demand(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        futures = [wait(link) for _ in range(3)]
        socket.tell(Grant("a", V, "unix:/a", 2))
        await settle()
        await flushed(link)
        assert [future.done() for future in futures] == [True, True, False]
        assert socket.sent[-1] == Demand(V, 1, 2, 1)
    futures[2].cancel()


async def test_demand_waits_for_what_the_same_version_said_just_now_and_for_nobody_else(
    link: PoolLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "DEMAND_INTERVAL_S", 60.0)
    socket = Socket()
    async with connected(link, socket):
        futures = []
        for version in (V, "another", V, V, "a third"):
            futures.append(wait(link, version))
            await settle()
        assert socket.sent[1:] == [Demand(each, 1, 0, 0) for each in (V, "another", "a third")]
        await flushed(link)
        assert socket.sent[4:] == [Demand(V, 3, 0, 0)]
        for future in futures:
            future.cancel()
    again = Socket()
    async with connected(link, again):
        await settle()
        demands = {each.version: each.queued for each in again.sent if isinstance(each, Demand)}
        assert demands == {V: 3, "another": 1, "a third": 1}


async def test_who_was_promised_a_slot_is_in_no_demand_until_it_comes_to_nothing(link: PoolLink) -> None:
    future = wait(link)
    socket = Socket()
    async with connected(link, socket):
        await flushed(link)
        socket.tell(Grant("a", V, "unix:/a", 1, loading=True))
        await settle()
        other = wait(link)
        await flushed(link)
        socket.tell(Gone("a", "not_loaded", "."))
        await settle()
        await flushed(link)
        demands = [each for each in socket.sent if isinstance(each, Demand)]
        assert demands == [Demand(V, 1, 0, 0), Demand(V, 1, 0, 1), Demand(V, 2, 0, 1)]
        socket.tell(Grant("b", V, "unix:/b", 1, loading=True))
        socket.tell(Loaded("b"))
        await settle()
        assert future.result().id == "b"
    other.cancel()


async def test_what_an_instance_said_is_told_after_the_call_that_waited_for_it(
    link: PoolLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.feed.LOADED_TOLD_S", 0.2)
    future = wait(link)
    socket = Socket()
    async with connected(link, socket):
        socket.tell(Grant("a", V, "unix:/a", 1, loading=True))
        await settle()
        link.loaded("a")
        assert future.result().id == "a"
        await settle()
        assert not [each for each in socket.sent if isinstance(each, Loaded)]
        deadline = time.monotonic() + 10
        while not any(isinstance(each, Loaded) for each in socket.sent):
            assert time.monotonic() < deadline, "the pool is not told"
            await asyncio.sleep(0.01)
        assert [each.instance for each in socket.sent if isinstance(each, Loaded)] == ["a"]


async def test_routes(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        assert not link.routes.loaded
        for message in whole_table([], [ROUTE]):
            socket.tell(message)
        await settle()
        assert (link.routes.get("f"), link.routes.loaded) == (ROUTE, True)
        socket.tell(RouteDropped("f"))
        await settle()
        assert "f" not in link.routes
        socket.tell(RoutePut(ROUTE))
        await settle()
        assert "f" in link.routes
    assert "f" in link.routes


async def test_a_call_between_two_parts_sees_every_function(link: PoolLink) -> None:
    other = msgspec.structs.replace(ROUTE, name="g", versions=())
    first, second = Socket(), Socket()
    async with connected(link, first):
        for message in whole_table([TOKEN], [ROUTE, other]):
            first.tell(message)
        await settle()
    async with connected(link, second):
        second.tell(Routes())
        second.tell(RoutesPart([ROUTE]))
        await settle()
        assert "g" in link.routes
    assert (len(link.routes), link.routes.loaded) == (2, True)
    third = Socket()
    async with connected(link, third):
        for message in whole_table([], [ROUTE]):
            third.tell(message)
        await settle()
        assert ("f" in link.routes, "g" in link.routes) == (True, False)


def knows(link: PoolLink, token: str = "secret") -> bool:
    return link.identities.of(f"Bearer {token}", 100.0) is not None


async def test_tokens_are_told_in_parts_and_one_by_one(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        for message in whole_table([TOKEN], []):
            socket.tell(message)
        await settle()
        assert knows(link)
        socket.tell(TokenDropped("t1"))
        await settle()
        assert not knows(link)
        socket.tell(TokenPut(TOKEN))
        await settle()
        assert knows(link)
    assert knows(link)


async def test_a_token_that_is_told_no_more_is_nobodys_before_the_routes_are_there(link: PoolLink) -> None:
    other = msgspec.structs.replace(TOKEN, id="t2", digest=sha256(b"other").hexdigest())
    first, second = Socket(), Socket()
    async with connected(link, first):
        for message in whole_table([TOKEN, other], []):
            first.tell(message)
        await settle()
    async with connected(link, second):
        second.tell(Routes())
        second.tell(TokensPart([other]))
        await settle()
        assert knows(link)
        second.tell(TokensPart([], last=True))
        await settle()
        assert (knows(link), knows(link, "other")) == (False, True)


async def test_which_tokens_were_used_is_told_once(link: PoolLink) -> None:
    socket = Socket()
    link.identities.epoch_s = 1000.0
    link.identities.put(TOKEN)
    assert knows(link)
    link.report_used()  # to nobody
    async with connected(link, socket):
        link.report_used()
        link.report_used()
        await settle()
    assert [each for each in socket.sent if isinstance(each, TokensUsed)] == [TokensUsed({"t1": 1100.0})]


async def test_calls_have_their_turn_after_every_part(link: PoolLink) -> None:
    """Also when all parts are here already, as they are when the socket has read far ahead."""
    routes = [msgspec.structs.replace(ROUTE, name=f"f{number}", versions=()) for number in range(1000)]
    messages = list(whole_table([], routes))
    part = max(len(each.routes) for each in messages if isinstance(each, RoutesPart))
    sizes: list[int] = []

    async def look() -> None:
        while not link.routes.loaded:
            sizes.append(len(link.routes))
            await asyncio.sleep(0)

    socket = Socket()
    async with connected(link, socket):
        looking = subtask(look(), "looking")
        for message in messages:
            socket.tell(message)
        await looking
    steps = [after - before for before, after in pairwise(sizes)]
    assert 0 < max(steps) <= part < len(routes)


async def test_what_follows_a_table_is_heard_after_it(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        others = [
            msgspec.structs.replace(ROUTE, name=f"g{number}", versions=()) for number in range(3 * SLICE)
        ]
        for message in [
            *whole_table([TOKEN], others),
            RoutePut(ROUTE),
            RouteDropped("g0"),
            TokenDropped("t1"),
        ]:
            socket.tell(message)
        await until_loaded(link)
        assert ("f" in link.routes, "g0" in link.routes, knows(link)) == (True, False, False)
        assert len(link.routes) == 3 * SLICE


async def test_a_table_whose_end_was_cut_short_drops_nothing(link: PoolLink) -> None:
    first, second = Socket(), Socket()
    async with connected(link, first):
        for message in whole_table([], [ROUTE]):
            first.tell(message)
        await settle()
    async with connected(link, second):
        for message in whole_table([], []):
            second.tell(message)
        second.closing = True
    assert "f" in link.routes


async def test_a_start_that_failed_fails_all_who_wait(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        futures = [wait(link) for _ in range(2)]
        socket.tell(StartFailed(V, "instance_unavailable", "no module", "exited"))
        await settle()
    for future in futures:
        error = future.exception()
        assert isinstance(error, PlatError)
        assert (error.code, error.detail, error.reason) == ("instance_unavailable", "no module", "exited")


async def test_an_obituary_before_during_and_never(link: PoolLink) -> None:
    socket = Socket()
    gone = Gone("a", "exited", "It exited.")
    async with connected(link, socket):
        granted(link)
        asking = subtask(link.obituary("a", 20.0), "asking")
        await settle()
        socket.tell(gone)
        assert await asking == gone
        assert await link.obituary("a", 0.0) == gone
        assert await link.obituary("b", 0.001) is None
        assert link.slots.held() == []
    assert not link._mourners


async def test_an_obituary_nobody_waits_for_any_more(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        asking = subtask(link.obituary("a", 20.0), "asking")
        await settle()
        asking.cancel()
        socket.tell(Gone("a", "exited", "It exited."))
        await settle()
        assert asking.cancelled()
    assert not link._mourners


async def test_deaths_are_remembered_in_bounds(link: PoolLink) -> None:
    socket = Socket()
    async with connected(link, socket):
        for number in range(3000):
            link._apply(Gone(f"i{number}", "exited", ""))
        assert await link.obituary("i2999", 0.001) is not None
        assert await link.obituary("i0", 0.001) is None
    assert len(link._deaths) == 1000


async def test_a_table_that_cannot_be_used_ends_the_link(link: PoolLink) -> None:
    """Else it would pause for ever."""
    socket = Socket()
    async with connected(link, socket):
        socket.tell(RoutesPart([], last=True))
        await settle()
        assert socket.closing
