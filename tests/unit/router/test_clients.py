"""What connections share: limits, deadlines, memory of heads, and the end. No bytes move here."""

from types import SimpleNamespace
from typing import cast

import pytest

from router.clients import REMEMBERED_HEADS, Clients
from router.downstream import ClientServer
from tests.unit.router.tables import calls_of, pool_link

HEAD = b"GET /function/f HTTP/1.1\r\nHost: example.org\r\n\r\n"


class FakeClient:
    def __init__(self, deadline: float = float("inf")) -> None:
        self.deadline = deadline
        self.seen: list[str] = []

    def late(self) -> None:
        self.seen.append("late")

    def close_if_idle(self) -> None:
        self.seen.append("close_if_idle")

    def abort(self) -> None:
        self.seen.append("abort")


@pytest.fixture
def server() -> SimpleNamespace:
    return SimpleNamespace(open=0)


@pytest.fixture
async def clients(server: SimpleNamespace) -> Clients:
    return Clients(calls_of(pool_link(), body_limit_bytes=1000), cast(ClientServer, server), 3)


async def test_connections_of_both_paths_count(clients: Clients, server: SimpleNamespace) -> None:
    clients.connections.update([FakeClient(), FakeClient()])
    assert not clients.is_full
    server.open = 1
    assert clients.is_full


async def test_only_those_whose_deadline_has_passed_are_late(clients: Clients) -> None:
    early, late = FakeClient(11), FakeClient(10)
    clients.connections.update([early, late])
    clients.tick(10)
    assert (early.seen, late.seen) == ([], ["late"])


async def test_the_end_waits_for_the_last(clients: Clients) -> None:
    client = FakeClient()
    clients.connections.add(client)
    clients.close()
    assert client.seen == ["close_if_idle"]
    assert not clients.empty.is_set()
    clients.forget(client)
    assert clients.empty.is_set()


async def test_without_connections_the_end_is_at_once(clients: Clients) -> None:
    clients.close()
    assert clients.empty.is_set()


async def test_one_that_leaves_before_the_end_ends_nothing(clients: Clients) -> None:
    client = FakeClient()
    clients.connections.add(client)
    clients.forget(client)
    assert not clients.empty.is_set()


async def test_what_is_left_is_cut(clients: Clients) -> None:
    client = FakeClient()
    clients.connections.add(client)
    clients.abort()
    assert client.seen == ["abort"]


async def test_call_ids_differ(clients: Clients) -> None:
    assert len({clients.call_id() for _ in range(1000)}) == 1000


async def test_the_same_head_is_recognised_once(clients: Clients) -> None:
    first = clients.recognised(HEAD)
    assert first is not None
    assert clients.recognised(bytes(bytearray(HEAD))) is first


async def test_what_is_not_recognised_is_not_remembered(clients: Clients) -> None:
    assert clients.recognised(HEAD.replace(b"HTTP/1.1", b"HTTP/1.2")) is None


async def test_memory_has_a_bound(clients: Clients) -> None:
    first = clients.recognised(HEAD)
    for number in range(REMEMBERED_HEADS):
        clients.recognised(HEAD.replace(b"/f HTTP", b"/f%d HTTP" % number))
    assert clients.recognised(HEAD) is not first


async def test_long_heads_are_not_remembered(clients: Clients) -> None:
    head = HEAD[:-2] + b"X-Long: " + b"x" * 2000 + b"\r\n\r\n"
    first = clients.recognised(head)
    assert first is not None
    assert clients.recognised(head) is not first


async def test_the_body_limit_is_the_smaller_one(clients: Clients) -> None:
    assert clients.body_limit_bytes == 1000
