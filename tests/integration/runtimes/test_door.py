"""The door of the Python runtime by itself, with an engine that only remembers what it was given."""

import queue
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pool.line import EMPTY_LINE
from router.ahead import HEALTH
from runtimes.python.plat_runtime.door import AN_ORDER_COMES, ARE_YOU_READY, Door
from runtimes.python.plat_runtime.pages import Pages
from tests.integration.runtimes.instance import Connection
from tests.unit.runtimes.python.requests import make_order


class FakeEngine:
    def __init__(self) -> None:
        self.adopted: queue.SimpleQueue[tuple[socket.socket, bytes]] = queue.SimpleQueue()
        self.closed: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def adopt(self, sock: socket.socket, data: bytes) -> None:
        self.adopted.put((sock, data))

    def intake_closed(self) -> None:
        self.closed.put(True)


class Loading:
    """A door whose instance loads, and a guest that has asked for its health, and then for `more`."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.path = str(folder / "http.sock")
        self._pages = Pages("abc", lambda _: None, lambda: 0)
        self.door, self.engine = Door(self.path, self._pages), FakeEngine()
        self.guest = Connection(self.path)
        self._pages.loading(make_order())
        for path in ("/_plat/health", *more):
            self.guest.send("GET", path)
        answered = iter([False, False, True])
        self.door.serve(lambda: next(answered), lambda _: None)

    def ends(self, *, asks: bool) -> Connection:
        """It has loaded; a router has connected meanwhile, and asks or not whether it has."""
        router = Connection(self.path)
        if asks:
            router.sock.sendall(HEALTH)
        self._pages.ready()
        self.door.settled(self.engine)
        return router


def test_routers_and_the_pool_speak_as_the_door_expects() -> None:
    assert HEALTH == ARE_YOU_READY
    assert EMPTY_LINE == AN_ORDER_COMES


def test_who_is_told_that_an_order_comes_gets_ready_until_it_is_here(tmp_path: Path) -> None:
    path = str(tmp_path / "http.sock")
    pages = Pages("abc", lambda _: None, lambda: 0)
    door, guest = Door(path, pages), Connection(path)
    seen: list[bool] = []

    def refresh(is_here: Callable[[], bool]) -> None:
        seen.append(is_here())
        guest.send("GET", "/_plat/health")
        seen.append(is_here())

        raise OSError("no more files")

    guest.sock.sendall(AN_ORDER_COMES)
    door.serve(guest.has_bytes, refresh)
    assert seen == [False, True]
    assert guest.read().json["warm"] is True


@pytest.mark.parametrize("asks", [True, False])
def test_where_a_router_has_asked_others_wait_for_their_answer_and_calls_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    monkeypatch.setattr("runtimes.python.plat_runtime.door.FIRST_CALL_S", 1000)
    loading = Loading(tmp_path)
    pool, door, engine = loading.guest, loading.door, loading.engine
    router = loading.ends(asks=asks)
    assert pool.has_bytes() is not asks
    socks = [engine.adopted.get_nowait()[0]]
    call = Connection(loading.path)
    call.send("GET", "/")
    sock, data = engine.adopted.get(timeout=20)
    assert data.startswith(b"GET / HTTP/1.1\r\n")
    door.stop()
    assert engine.closed.get(timeout=20)
    assert pool.read().json["function"] == make_order().function, "at the end at the latest"
    for each in (*socks, sock):
        each.close()
    for connection in (pool, router, call):
        connection.close()


@pytest.mark.parametrize("asks", [True, False])
def test_a_call_right_behind_a_question_that_waits(tmp_path: Path, asks: bool) -> None:
    loading = Loading(tmp_path, "/")
    caller, door, engine = loading.guest, loading.door, loading.engine
    router = loading.ends(asks=asks)
    adopted = [engine.adopted.get(timeout=20) for _ in range(2)]
    assert sorted(data[:5] for _, data in adopted) == [b"", b"GET /"]
    assert caller.read().json["function"] == make_order().function
    door.stop()
    assert engine.closed.get(timeout=20)
    for sock, _ in adopted:
        sock.close()
    for connection in (caller, router):
        connection.close()


def test_a_call_that_comes_before_the_engine_waits_for_it(tmp_path: Path) -> None:
    path = str(tmp_path / "http.sock")
    pages = Pages("abc", lambda _: None, lambda: 0)
    door, engine = Door(path, pages), FakeEngine()
    call, health = Connection(path), Connection(path)
    health.send("GET", "/_plat/health")
    door.serve(health.has_bytes, lambda _: None)
    assert health.read().json["warm"] is True
    pages.loading(make_order())
    call.send("GET", "/")
    health.send("GET", "/_plat/health")
    answered = iter([False, True])
    door.serve(lambda: next(answered), lambda _: None)
    assert not health.has_bytes()
    assert engine.adopted.empty()
    router, other, silent = Connection(path), Connection(path), Connection(path)
    Connection(path).close()
    router.sock.sendall(HEALTH)
    other.send("GET", "/_plat/health")
    pages.ready()
    door.settled(engine)
    passed_on = []
    for asker in (router, other, silent):
        sock, nothing = engine.adopted.get_nowait()
        assert nothing == b"", "who came meanwhile is answered and passed on before anybody else"
        passed_on.append(sock)
        assert asker.has_bytes() == (asker is not silent)
    assert router.read().body == other.read().body
    assert health.read().json["function"] == make_order().function
    sock, data = engine.adopted.get(timeout=20)  # not the one that has left
    assert data.startswith(b"GET / HTTP/1.1\r\n")
    door.stop()
    assert engine.closed.get(timeout=20)
    assert not Path(path).exists()
    assert health.is_closed()
    for passed in (sock, *passed_on):
        passed.close()
    for connection in (call, health, router, other, silent):
        connection.close()
