"""What only the Python runtime has: threads, WSGI, ASGI and its websockets."""

import json
import signal
import socket
from collections.abc import Callable

import aiohttp
import pytest

from tests.integration.runtimes.apps import ASGI, THREADS, WSGI
from tests.integration.runtimes.instance import Instance, wait_until
from tests.integration.runtimes.sources import BROKEN

Start = Callable[..., Instance]

BODY = b"x" * (1024 * 1024)
BIG_MB = 100
GROWTH_LIMIT_MB = 32


@pytest.fixture
def python(start: Start) -> Start:
    """`python("name")`: a function of THREADS."""
    return lambda name, **environ: start("python", {"main.py": THREADS}, f"main.{name}", **environ)


@pytest.fixture(params=["wsgi", "asgi"])
def app(request: pytest.FixtureRequest, start: Start) -> Instance:
    """An app that does the same in both protocols."""
    source = WSGI if request.param == "wsgi" else ASGI
    return start("python", {"main.py": source}, "main.app", PLAT_CONCURRENCY="4")


@pytest.fixture
def wsgi(start: Start) -> Instance:
    return start("python", {"main.py": WSGI}, "main.app")


@pytest.fixture
def asgi(start: Start) -> Instance:
    return start("python", {"main.py": ASGI}, "main.app", PLAT_CONCURRENCY="0")


# --- functions


@pytest.mark.parametrize("concurrency", ["3", "0"])
def test_calls_overlap_in_threads(python: Start, concurrency: str) -> None:
    instance = python("meet", PLAT_CONCURRENCY=concurrency)
    connections = [instance.connect() for _ in range(3)]
    for number, connection in enumerate(connections):
        connection.send("POST", "/", str(number).encode())
    for number in range(3):
        instance.wait_for_mark(f"in-{number}")
    assert instance.health().json["in_flight"] == 3
    instance.mark("go")
    assert [connection.read().json for connection in connections] == [[0, False], [1, False], [2, False]]
    for connection in connections:
        connection.send("POST", "/", b"9")
        assert connection.read().json == [9, False]


def test_with_a_concurrency_of_one_calls_never_overlap_and_run_in_the_main_thread(python: Start) -> None:
    instance = python("meet")
    first, second = instance.connect(), instance.connect()
    first.send("POST", "/", b"1")
    instance.wait_for_mark("in-1")
    second.send("POST", "/", b"2")
    assert instance.health().json["in_flight"] == 1
    assert not (instance.marks / "in-2").exists()
    instance.mark("go")
    assert [first.read().json, second.read().json] == [[1, True], [2, True]]


def test_health_is_answered_while_a_synchronous_handler_runs(python: Start) -> None:
    instance = python("sync")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    assert instance.health().json["in_flight"] == 1
    instance.mark("go")
    assert connection.read().body == b"done"


@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_a_synchronous_handler_whose_caller_left_runs_to_its_end(python: Start, concurrency: str) -> None:
    instance = python("sync", PLAT_CONCURRENCY=concurrency)
    connection = instance.connect()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    connection.sock.shutdown(socket.SHUT_WR)
    assert not connection.has_bytes()
    instance.mark("go")
    while not connection.is_closed():
        pass
    assert (instance.marks / "ended").exists()


def test_a_stream_to_a_caller_that_does_not_read_ends_when_it_leaves(python: Start) -> None:
    instance = python("drip")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    connection.sock.shutdown(socket.SHUT_WR)
    instance.wait_for_mark("ended")


@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_sigterm_while_a_synchronous_handler_runs(python: Start, concurrency: str) -> None:
    instance = python("sync", PLAT_CONCURRENCY=concurrency)
    connection = instance.connect()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    instance.terminate()
    instance.mark("go")
    assert connection.read().body == b"done"
    assert instance.wait() == 0


@pytest.mark.parametrize(("name", "concurrency"), [("leave", "1"), ("leave", "4"), ("async_leave", "1")])
def test_sys_exit_in_a_handler_ends_the_process(python: Start, name: str, concurrency: str) -> None:
    instance = python(name, PLAT_CONCURRENCY=concurrency)
    connection = instance.connect()
    connection.send("POST", "/", b"5")
    assert connection.is_closed()
    assert instance.wait() == 5
    assert "sys.exit(5)" in instance.output()


@pytest.mark.parametrize("name", ["cancelled", "async_cancelled"])
@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_a_cancellation_that_is_the_handlers_own_is_its_error(
    python: Start, name: str, concurrency: str
) -> None:
    instance = python(name, PLAT_CONCURRENCY=concurrency)
    answer = instance.call("POST", "/", b"")
    assert (answer.status, answer.json["detail"]) == (500, "CancelledError: by itself")
    assert instance.health().status == 200


def test_a_segmentation_fault_tells_where_it_was(python: Start) -> None:
    instance = python("segfault")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    assert connection.is_closed()
    assert instance.wait() == -signal.SIGSEGV
    assert "in segfault" in instance.output()


def test_what_is_printed_is_there_at_once(python: Start) -> None:
    instance = python("printing")
    instance.call("POST", "/", b"")
    assert instance.output() == "one line\n"


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("one", 5), ("none", "none"), ("more", [5, "hello", 5]), ("anything", 2), ("method", "hello"),
        ("adapter", "an adapter"), ("returns_generator", "ab"),
    ],
)  # fmt: skip
def test_a_handler_gets_the_arguments_that_it_takes(python: Start, name: str, result: object) -> None:
    answer = python(name).call("POST", "/", b"5")
    assert (answer.body.decode() if isinstance(result, str) else answer.json) == result


@pytest.mark.parametrize(("name", "words"), [("wide", "(a, b, c)"), ("keyword", "(event, needed)")])
def test_a_handler_that_takes_something_else_is_refused(python: Start, name: str, words: str) -> None:
    health = python(name).health()
    assert (health.status, health.json["code"]) == (503, "handler_not_found")
    assert words in health.json["detail"]


@pytest.mark.parametrize(
    ("handler", "words"), [("leaves.handler", "sys.exit(4)"), ("queue.handler", "Rename queue.py")]
)
def test_imports_that_fail_in_pythons_own_ways(start: Start, handler: str, words: str) -> None:
    health = start("python", BROKEN["python"], handler).health()
    assert health.json["code"] == "handler_import_failed"
    assert words in health.json["detail"]


def test_packages_are_found_in_vendor_and_beside_the_handler(start: Start) -> None:
    files = {
        "vendor/dependency.py": "name = 'vendored'\n",
        "own/__init__.py": "",
        "own/part.py": "import dependency\ndef handler(): return dependency.name\n",
    }
    assert start("python", files, "own/part.handler").call().body == b"vendored"
    assert start("python", files, "own.part.handler").call().body == b"vendored"


# --- apps


def test_big_bodies_stream_in_with_bounded_memory(app: Instance) -> None:
    connection = app.connect()
    connection.send("POST", "/size", b"")
    assert connection.read().body == b"0"
    before = app.peak_mb()
    head = f"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: {BIG_MB * len(BODY)}\r\n\r\n"
    connection.sock.sendall(head.encode())
    for _ in range(BIG_MB):
        connection.sock.sendall(BODY)
    assert connection.read().body == str(BIG_MB * len(BODY)).encode()
    assert app.peak_mb() - before < GROWTH_LIMIT_MB


def test_big_bodies_stream_out_with_bounded_memory(app: Instance) -> None:
    app.health()
    before = app.peak_mb()
    connection = app.connect()
    connection.send("GET", "/big")
    response, count = connection.response(), 0
    while piece := response.read(65_536):
        count += len(piece)
    assert count == 1600 * 65_536
    assert app.peak_mb() - before < GROWTH_LIMIT_MB


def test_a_body_that_the_app_leaves_is_read_before_the_next_call(app: Instance) -> None:
    connection = app.connect()
    for _ in range(2):
        connection.send("POST", "/unread", BODY)
        answer = connection.read()
        assert (answer.status, answer.body) == (413, b"big")
    connection.send("POST", "/size", BODY)
    assert connection.read().body == str(len(BODY)).encode()


def test_a_caller_whose_continue_was_not_given_is_closed(app: Instance) -> None:
    connection = app.connect()
    connection.sock.sendall(
        b"POST /unread HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    assert connection.read().status == 413
    assert connection.is_closed()


def test_pieces_are_sent_as_they_come(app: Instance) -> None:
    connection = app.connect()
    connection.send("GET", "/stream")
    response = connection.response()
    assert response.read1() == b"one"
    app.mark("go")
    assert response.read() == b"two"


def test_an_app_that_raises(app: Instance) -> None:
    answer = app.call("GET", "/fail")
    assert (answer.status, answer.json["detail"]) == (500, "KeyError: 'lost'")
    assert "plat_runtime" not in app.output()


def test_an_app_that_sends_less_than_it_says_is_refused_or_cut(app: Instance) -> None:
    connection = app.connect()
    connection.send("GET", "/lies")
    received = b""
    while not received.endswith((b"short", b"}")) and (piece := connection.sock.recv(4096)):
        received += piece
    assert b" 500 " in received or received.endswith(b"short")
    wait_until(lambda: "shorter than its Content-Length" in app.output(), "it is logged")


def test_no_content_and_head(app: Instance) -> None:
    connection = app.connect()
    connection.send("GET", "/nothing")
    answer = connection.read()
    assert (answer.status, "content-length" in answer.headers) == (204, False)
    connection.send("HEAD", "/stream")
    app.mark("go")
    assert connection.read("HEAD").body == b""
    connection.send("GET", "/size")
    assert connection.read().body == b"0"


def test_wsgi_environ(wsgi: Instance) -> None:
    headers = {
        "X-A": "1", "X_A": "2", "X-Forwarded-Prefix": "/function/hello", "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "9.9.9.9", "Content-Type": "text/x",
    }  # fmt: skip
    assert wsgi.call("PUT", "/?q=%20", b"", headers).json == {
        "REQUEST_METHOD": "PUT", "SCRIPT_NAME": "/function/hello", "PATH_INFO": "/", "QUERY_STRING": "q=%20",
        "HTTP_X_A": "1", "CONTENT_TYPE": "text/x", "REMOTE_ADDR": "9.9.9.9", "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080", "wsgi.url_scheme": "https", "wsgi.multithread": False,
    }  # fmt: skip


def test_wsgi_input_is_a_file(wsgi: Instance) -> None:
    connection = wsgi.connect()
    connection.send("POST", "/lines", b"first\nsecond\nthird")
    response = connection.response()
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert response.read() == b"first\nsecond\nthird"


@pytest.mark.parametrize(("path", "body"), [("written", b"onetwo"), ("replaced", b"replaced")])
def test_wsgi_corners(wsgi: Instance, path: str, body: bytes) -> None:
    assert wsgi.call("GET", f"/{path}").body == body


def test_a_wsgi_app_that_forgets_start_response(wsgi: Instance) -> None:
    assert "start_response" in wsgi.call("GET", "/forgets").json["detail"]


def test_a_wsgi_iterable_is_closed(wsgi: Instance) -> None:
    wsgi.mark("go")
    wsgi.call("GET", "/stream")
    assert (wsgi.marks / "closed").exists()


@pytest.mark.parametrize("source", [WSGI, ASGI])
def test_an_app_can_be_a_plain_function(start: Start, source: str) -> None:
    assert start("python", {"main.py": source}, "main.function").call().body == b"a function"


def test_asgi_scope(asgi: Instance) -> None:
    headers = {"X-A": "1", "X-Forwarded-Prefix": "/function/hello", "X-Forwarded-For": "9.9.9.9"}
    answer = asgi.call("GET", "/?q=%20", None, headers)
    assert (answer.status, answer.headers["x-b"]) == (201, "1")
    assert answer.json == {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/function/hello/",
        "root_path": "/function/hello", "raw_path": "/function/hello/", "query": "q=%20", "header": "1",
        "client": ["9.9.9.9", 0], "server": ["localhost", 8080], "state": {"started": "yes"},
    }  # fmt: skip


def test_asgi_bodies_in_chunks(asgi: Instance) -> None:
    connection = asgi.connect()
    connection.sock.sendall(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    connection.sock.sendall(b"2\r\nde\r\n0\r\n\r\n")
    assert connection.read().body == b"abcde"


def test_an_asgi_app_that_says_nothing(asgi: Instance) -> None:
    assert "without a complete answer" in asgi.call("GET", "/silent").json["detail"]


def test_what_runs_after_the_answer_does_not_hold_the_connection(asgi: Instance) -> None:
    connection = asgi.connect()
    connection.send("GET", "/background")
    assert connection.read().body == b"answered"
    connection.send("GET", "/size")
    assert connection.read().body == b"0"
    connection.close()
    asgi.terminate()
    asgi.mark("go")
    assert asgi.wait() == 0
    assert (asgi.marks / "after").exists()


def test_an_asgi_app_is_cancelled_when_its_caller_leaves(asgi: Instance) -> None:
    connection = asgi.connect()
    connection.send("GET", "/waits")
    asgi.wait_for_mark("started")
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.is_closed()
    assert (asgi.marks / "cancelled").exists()


def test_lifespan(asgi: Instance) -> None:
    asgi.health()
    asgi.terminate()
    assert asgi.wait() == 0
    assert (asgi.marks / "shutdown").exists()


def test_a_lifespan_that_cannot_start_fails_the_load(start: Start) -> None:
    health = start("python", {"main.py": ASGI}, "main.cannot").health()
    assert (health.status, health.json["code"]) == (503, "handler_import_failed")
    assert "no database" in health.json["detail"]
    assert "in cannot" in health.json["traceback"]


# --- websockets


async def test_websocket_echo(asgi: Instance) -> None:
    connector = aiohttp.UnixConnector(asgi.path)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect("http://x/echo", protocols=["chat"]) as ws,
    ):
        assert ws.protocol == "chat"
        for text in ("one", "é" * 40_000, "x" * 200_000):
            await ws.send_str(text)
            assert await ws.receive_str() == text
        await ws.send_bytes(bytes(range(256)))
        assert await ws.receive_bytes() == bytes(range(256))
        await ws.ping(b"there?")
        await ws.send_str("bye")
        message = await ws.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "bye")


@pytest.mark.parametrize(("path", "status"), [("refuse", 403), ("fail", 500)])
async def test_websockets_that_are_not_accepted(asgi: Instance, path: str, status: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(asgi.path)) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"http://x/{path}")
        assert refused.value.status == status


async def test_a_websocket_whose_app_raises_is_closed_with_1011(asgi: Instance) -> None:
    connector = aiohttp.UnixConnector(asgi.path)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect("http://x/echo") as ws,
    ):
        await ws.send_str("raise")
        message = await ws.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
    wait_until(lambda: "ValueError: ws" in asgi.output(), "the traceback is logged")


async def test_the_app_learns_that_its_websocket_was_closed(asgi: Instance) -> None:
    connector = aiohttp.UnixConnector(asgi.path)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect("http://x/echo") as ws,
    ):
        await ws.close(code=1001)
    asgi.wait_for_mark("left-1001")


def test_the_app_learns_that_its_websocket_is_cut(asgi: Instance) -> None:
    connection = asgi.connect()
    connection.send("GET", "/echo", None, HANDSHAKE)
    assert b"101 Switching" in connection.sock.recv(4096)
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.is_closed()
    asgi.wait_for_mark("left-1006")


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("change", [{"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Key": "short"}])
def test_a_wrong_handshake_is_refused(asgi: Instance, change: dict[str, str]) -> None:
    assert asgi.call("GET", "/echo", None, HANDSHAKE | change).status >= 400


def test_a_frame_that_breaks_the_protocol_closes_the_websocket(asgi: Instance) -> None:
    connection = asgi.connect()
    connection.send("GET", "/echo", None, HANDSHAKE)
    connection.sock.recv(4096)
    connection.sock.sendall(b"\x81\x01x")  # not masked
    received = connection.sock.recv(4096)
    assert received[0] == 0x88
    assert int.from_bytes(received[2:4], "big") == 1002
    assert connection.is_closed()
    assert json.loads(asgi.health().body)["in_flight"] == 0
