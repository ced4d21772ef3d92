"""The instance contract, line by line, for every runtime."""

import http.client
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtimes.instance import RUNTIMES, Instance, wait_until
from tests.integration.runtimes.sources import BROKEN, FILES, SLOW_IMPORT

Start = Callable[..., Instance]
Serve = Callable[..., Instance]

OCTETS = "application/octet-stream"


@pytest.fixture
def serve(start: Start, runtime: str) -> Serve:
    """`serve("name")`: an instance whose handler is the function of that name."""
    return lambda name, **environ: start(runtime, FILES[runtime], f"main.{name}", **environ)


# --- health and load


def test_health_names_function_and_version(serve: Serve) -> None:
    assert serve("text").health().json == {"function": "hello", "version": 3, "in_flight": 0}


def test_who_connects_to_a_warm_instance_while_it_loads_is_served_after(start: Start, runtime: str) -> None:
    """As routers do: the connection is there by the time the slot is granted."""
    instance = start(runtime, SLOW_IMPORT[runtime], None)
    load = instance.connect()
    load.send("POST", "/_plat/load", order(instance, "main.handler"))
    instance.wait_for_mark("importing")
    early, call = instance.connect(), instance.connect()
    call.send("GET", "/")
    instance.mark("go")
    assert load.read().status == 200
    assert call.read().body == b"loaded"
    early.send("GET", "/")
    assert early.read().body == b"loaded"


def test_health_is_held_back_until_loading_has_ended(start: Start, runtime: str) -> None:
    instance = start(runtime, SLOW_IMPORT[runtime])
    connection, call = instance.connect(), instance.connect()
    connection.send("GET", "/_plat/health")
    call.send("GET", "/")
    instance.wait_for_mark("importing")
    assert not connection.has_bytes()
    instance.mark("go")
    assert connection.read().json["function"] == "hello"
    assert call.read().body == b"loaded"


def order(instance: Instance, handler: str, **changes: Any) -> bytes:
    values = {
        "function": "late", "version": 7, "handler": handler, "event": "body", "concurrency": 1,
        "timeout_s": 30, "memory_mb": 64, "code": str(instance.code), "env": {"GREETING": "hi"},
    }  # fmt: skip
    return json.dumps(values | changes).encode()


@pytest.mark.parametrize(
    ("early", "with_it"),
    [(["\r\n"], ""), ([], "\r\n"), ([], "\r\n\r\n"), (["\r", "\n"], ""), (["\r\n\r\n\r"], "\n")],
)
def test_an_order_is_announced_by_an_empty_line(
    start: Start, runtime: str, early: list[str], with_it: str
) -> None:
    """Together with the order or before it, and to an instance that has a function too."""
    instance = start(runtime, FILES[runtime], None)
    connection, other = instance.connect(), instance.connect()
    body = order(instance, "main.context")
    load = f"POST /_plat/load HTTP/1.1\r\nHost: instance\r\nContent-Length: {len(body)}\r\n\r\n"
    for piece in early:
        connection.sock.sendall(piece.encode())
        assert instance.health().json["warm"] is True
        assert not connection.has_bytes()
    connection.sock.sendall(f"{with_it}{load}".encode() + body)
    loaded = connection.read()
    assert (loaded.status, loaded.json["function"]) == (200, "late")
    other.sock.sendall(b"\r\n")
    other.send("GET", "/_plat/health")
    assert other.read().json["function"] == "late"


def test_a_warm_instance_is_loaded_once(start: Start, runtime: str) -> None:
    instance = start(runtime, FILES[runtime], None)
    assert instance.health().json == {"warm": True, **({"rehearses": True} if runtime == "python" else {})}
    refused = instance.call()
    assert (refused.status, refused.json["code"]) == (503, "not_loaded")
    loaded = instance.call("POST", "/_plat/load", order(instance, "main.context"))
    assert (loaded.status, loaded.json["function"]) == (200, "late")
    assert instance.health().json == {"function": "late", "version": 7, "in_flight": 0}
    seen = instance.call("POST", "/", b"{}").json
    assert (seen["greeting"], seen["name"], seen["version"], seen["memory"]) == ("hi", "late", "7", 64)
    assert seen["function"] == "late"
    again = instance.call("POST", "/_plat/load", order(instance, "main.text"))
    assert (again.status, again.json["code"]) == (409, "already_loaded")


def test_an_instance_that_began_with_a_function_takes_no_load(serve: Serve) -> None:
    instance = serve("text")
    instance.health()
    assert instance.call("POST", "/_plat/load", order(instance, "main.data")).status == 409


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"version": "7"}, "version"),
        ({"event": "other"}, "event"),
        ({"env": []}, "env"),
        ({"code": None}, "code"),
    ],
)
def test_a_wrong_order_is_refused_and_leaves_the_instance_warm(
    start: Start, runtime: str, change: dict[str, Any], key: str
) -> None:
    instance = start(runtime, FILES[runtime], None)
    refused = instance.call("POST", "/_plat/load", order(instance, "main.text", **change))
    assert refused.status == 400
    assert key in refused.json["detail"]
    assert instance.call("POST", "/_plat/load", b"not json").status == 400
    assert instance.health().json["warm"] is True
    assert instance.call("POST", "/_plat/load", order(instance, "main.text")).status == 200


def test_a_load_that_fails_is_told_by_load_and_by_health(start: Start, runtime: str) -> None:
    instance = start(runtime, BROKEN[runtime], None)
    failed = instance.call("POST", "/_plat/load", order(instance, "raises.handler"))
    assert (failed.status, failed.json["code"]) == (422, "handler_import_failed")
    assert (instance.health().status, instance.health().json) == (503, failed.json)
    assert instance.call().status == 503
    assert instance.call("POST", "/_plat/load", order(instance, "raises.handler")).status == 409


@pytest.mark.parametrize(
    ("handler", "code", "words"),
    [
        ("absent.handler", "handler_module_not_found", ["absent", "plain"]),
        ("plian.handler", "handler_module_not_found", ['Did you mean "plain"?']),
        ("plain.handler_two", "handler_not_found", ['"handler_two"', 'Did you mean "handler_one"?']),
        ("plain.value", "handler_not_found", ["plain.value"]),
        ("missing_import.handler", "handler_import_failed", ["nowhere"]),
        ("raises.handler", "handler_import_failed", ["raises", "at import"]),
        ("syntax.handler", "handler_syntax_error", ["syntax.", "line "]),
        ("imports_syntax.handler", "handler_syntax_error", ["syntax.", "line "]),
    ],
)
def test_load_errors_are_told_apart(
    start: Start, runtime: str, handler: str, code: str, words: list[str]
) -> None:
    instance = start(runtime, BROKEN[runtime], handler)
    health = instance.health()
    assert (health.status, health.json["code"]) == (503, code)
    for word in words:
        assert word in health.json["detail"]
    trace = health.json["traceback"]
    assert bool(trace) == (code in ("handler_import_failed", "handler_syntax_error"))
    assert str(RUNTIMES[runtime].folder) not in trace
    assert "node:internal" not in trace and "importlib" not in trace
    assert trace in instance.output()
    instance.terminate()
    assert instance.wait() == 0


@pytest.mark.parametrize("handler", ["syntax.handler", "imports_syntax.handler"])
def test_a_syntax_error_shows_line_and_caret(start: Start, runtime: str, handler: str) -> None:
    trace = start(runtime, BROKEN[runtime], handler).health().json["traceback"]
    assert "oops = = 2" in trace
    assert re.search(r"^ +\^", trace, re.MULTILINE)


def test_the_traceback_of_a_failed_import_is_the_users(start: Start, runtime: str) -> None:
    trace = start(runtime, BROKEN[runtime], "raises.handler").health().json["traceback"]
    assert "boom" in trace
    assert "at import" in trace


def test_health_is_answered_while_a_handler_runs(serve: Serve) -> None:
    instance = serve("busy")
    connection = instance.connect()
    connection.send("POST", "/", b"1")
    instance.wait_for_mark("started")
    assert instance.health().json["in_flight"] == 1
    instance.mark("go")
    assert connection.read().body == b"done"
    wait_until(lambda: instance.health().json["in_flight"] == 0, "no call is in flight")


def test_pages_on_a_connection_of_calls_and_calls_on_one_of_pages(serve: Serve) -> None:
    connection = serve("text").connect()
    for _ in range(2):
        connection.send("GET", "/_plat/health")
        assert connection.read().json["function"] == "hello"
        connection.send("POST", "/", b"")
        assert connection.read().body == "héllo".encode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/_plat/other", 404), ("POST", "/_plat/health", 405), ("GET", "/_plat/load", 405)],
)
def test_pages_that_are_none(serve: Serve, method: str, path: str, status: int) -> None:
    assert serve("text").call(method, path, b"" if method == "POST" else None).status == status


# --- calls


def test_a_connection_carries_one_call_after_the_other(serve: Serve) -> None:
    connection = serve("echo").connect()
    for number in range(20):
        connection.send("POST", "/", json.dumps({"n": number}).encode())
        assert connection.read().json["value"] == {"n": number}


@pytest.mark.parametrize("event", ["body"])
@pytest.mark.parametrize(
    ("content_type", "body", "kind", "value"),
    [
        ("application/json", b'{"a": [1]}', "dict", {"a": [1]}),
        ("application/x-www-form-urlencoded", b'{"a": 1}', "dict", {"a": 1}),
        ("application/x-www-form-urlencoded", b"a=1", "str", "a=1"),
        ("application/json", b"{broken", "str", "{broken"),
        ("text/plain", b'{"a": 1}', "str", '{"a": 1}'),
        ("text/plain; charset=utf-8", "é".encode(), "str", "é"),
        (OCTETS, b'{"a": 1}', "bytes", b'{"a": 1}'.hex()),
        ("image/png", b"\x89PNG", "bytes", b"\x89PNG".hex()),
        ("application/json", b"\xff\x00", "bytes", "ff00"),
        ("application/json", b"", "NoneType", None),
        ("application/json", b"5", "int", 5),
    ],
)
def test_the_body_as_event(
    serve: Serve, event: str, content_type: str, body: bytes, kind: str, value: Any
) -> None:
    answer = serve("echo", PLAT_EVENT=event).call("POST", "/", body, {"Content-Type": content_type})
    assert answer.json == {"kind": kind, "value": value}


@pytest.mark.parametrize(
    ("name", "content_type", "body"),
    [
        ("text", "text/plain; charset=utf-8", "héllo".encode()),
        ("data", OCTETS, b"\x00\xff"),
        ("number", "application/json", b"5"),
        ("nothing", "application/json", b"null"),
    ],
)
def test_results(serve: Serve, name: str, content_type: str, body: bytes) -> None:
    answer = serve(name).call("POST", "/", b"")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, content_type, body)
    assert answer.headers["content-length"] == str(len(body))


def test_a_result_that_is_no_json_is_an_error_that_says_so(serve: Serve) -> None:
    answer = serve("wrong").call("POST", "/", b"")
    assert (answer.status, answer.json["error_type"]) == (500, "TypeError")
    assert "cannot be written as JSON" in answer.json["detail"]


def test_the_context(serve: Serve) -> None:
    instance = serve("context", PLAT_MEMORY_MB="256", GREETING="hey")
    deadline = int(time.time() * 1000) + 3_600_000
    headers = {"X-Call-Id": "call-1", "X-Deadline-Ms": str(deadline)}
    seen = instance.call("POST", "/", b"{}", headers).json
    remaining = seen.pop("remaining")
    assert 0 < remaining <= 3_600_000
    assert seen == {
        "name": "hello", "version": "3", "id": "call-1", "memory": 256, "greeting": "hey",
        "function": "hello",
        "arn": "arn:plat:lambda:local:000000000000:function:hello:3", "group": "/plat/hello",
        "stream": "3/0123456789abcdef", "cwd": str(instance.code),
    }  # fmt: skip
    past = instance.call("POST", "/", b"{}", {"X-Deadline-Ms": "1000"}).json
    assert past["remaining"] == 0


def test_chunked_requests(serve: Serve) -> None:
    connection = serve("echo").connect()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(2):
        for piece in (head, b'3;a=b\r\n{"a\r\n', b'5\r\n": 1}\r\n0\r\nX-Trailer: 1\r\n', b"\r\n"):
            connection.sock.sendall(piece)
        assert connection.read().json["value"] == {"a": 1}


def test_a_request_that_comes_byte_by_byte(serve: Serve) -> None:
    connection = serve("echo").connect()
    for byte in b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n[1,2,3]":
        connection.sock.sendall(bytes([byte]))
    assert connection.read().json["value"] == [1, 2, 3]


def test_expect_continue_is_answered(serve: Serve) -> None:
    connection = serve("echo").connect()
    connection.sock.sendall(
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += connection.sock.recv(1)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n")
    connection.sock.sendall(b"[]")
    assert connection.read().json["value"] == []


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_bodies_go_in_and_out_unchanged(serve: Serve, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = serve("whole").call("POST", "/", body, {"Content-Type": OCTETS})
    assert answer.body == (body or b"null")


def test_requests_that_are_none_are_refused_and_cut(serve: Serve) -> None:
    instance = serve("text")
    connection = instance.connect()
    connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n")
    assert connection.read().status == 400
    assert connection.is_closed()
    assert instance.call("POST", "/", b"").status == 200


@pytest.mark.parametrize("close", ["HTTP/1.0\r\nHost: x", "HTTP/1.1\r\nHost: x\r\nConnection: close"])
def test_a_connection_is_closed_when_the_caller_asks_for_it(serve: Serve, close: str) -> None:
    connection = serve("text").connect()
    connection.sock.sendall(f"GET / {close}\r\n\r\n".encode())
    assert connection.read().body == "héllo".encode()
    assert connection.is_closed()


# --- event = "http"


def test_the_event_is_a_function_url_payload(serve: Serve) -> None:
    headers = {
        "Content-Type": "text/plain", "Cookie": "a=1; b=2", "X-Forwarded-For": "8.8.8.8, 10.0.0.1",
        "User-Agent": "test", "X-Forwarded-Host": "example.org", "X-Call-Id": "c1", "X-Twice": "1",
    }  # fmt: skip
    event = (
        serve("whole", PLAT_EVENT="http").call("PUT", "/a%20b/c?x=1&x=2&y=%26", "hé".encode(), headers).json
    )
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a%20b/c")
    assert event["rawQueryString"] == "x=1&x=2&y=%26"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "&"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-twice"] == "1"
    assert (event["body"], event["isBase64Encoded"]) == ("hé", False)
    context = event["requestContext"]
    assert context["http"] == {
        "method": "PUT", "path": "/a%20b/c", "protocol": "HTTP/1.1",
        "sourceIp": "10.0.0.1", "userAgent": "test",
    }  # fmt: skip
    assert (context["requestId"], context["domainName"], context["stage"]) == (
        "c1",
        "example.org",
        "$default",
    )
    assert re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])


def test_an_event_without_body_and_query_leaves_them_out(serve: Serve) -> None:
    event = serve("whole", PLAT_EVENT="http").call("GET", "/").json
    assert not {"body", "cookies", "queryStringParameters"} & set(event)


def test_a_binary_body_is_base64(serve: Serve) -> None:
    event = serve("whole", PLAT_EVENT="http").call("POST", "/", b"\x00\xff", {"Content-Type": OCTETS}).json
    assert (event["body"], event["isBase64Encoded"]) == ("AP8=", True)


def test_lambdas_answer(serve: Serve) -> None:
    instance = serve("answer", PLAT_EVENT="http")
    connection = instance.connect()
    connection.send("GET", "/")
    response = connection.response()
    assert (response.status, response.getheader("x-one"), response.getheader("content-type")) == (
        201,
        "1",
        "text/html",
    )
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert response.read() == b"\x00\x01\xff"


def test_a_header_that_would_be_two_is_an_error(serve: Serve) -> None:
    answer = serve("evil", PLAT_EVENT="http").call()
    assert (answer.status, answer.headers["x-plat-error"]) == (500, "function")
    assert "x-b" not in answer.headers


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(serve: Serve, status: int) -> None:
    connection = serve("status", PLAT_EVENT="http").connect()
    for _ in range(2):
        connection.send("GET", f"/{status}")
        answer = connection.read()
        assert (answer.status, answer.body) == (status, b"")
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("name", ["status", "headed"])
def test_head_has_the_head_only(serve: Serve, name: str) -> None:
    connection = serve(name, PLAT_EVENT="http").connect()
    for _ in range(2):
        connection.send("HEAD", "/200")
        answer = connection.read("HEAD")
        assert (answer.status, answer.body) == (418 if name == "headed" else 200, b"")
    assert not connection.has_bytes()


# --- streams


def test_items_are_sent_as_they_come(serve: Serve) -> None:
    instance = serve("stream")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    response = connection.response()
    assert response.getheader("transfer-encoding") == "chunked"
    assert response.getheader("content-type") == "text/plain; charset=utf-8"
    assert response.read1() == b"one"
    instance.mark("go")
    assert response.read() == b"two"
    connection.send("POST", "/", b"")
    assert connection.read().body == b"onetwo"


def test_the_content_type_of_a_stream_is_what_the_caller_accepts(serve: Serve) -> None:
    instance = serve("stream")
    instance.mark("go")
    answer = instance.call("POST", "/", b"", {"Accept": "text/event-stream"})
    assert answer.headers["content-type"] == "text/event-stream"


def test_objects_are_sent_as_lines_of_json(serve: Serve) -> None:
    answer = serve("objects").call("POST", "/", b"")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.body.splitlines()] == [{"n": 1}, {"n": 2}]


def test_the_first_item_can_be_the_head(serve: Serve) -> None:
    answer = serve("headed", PLAT_EVENT="http").call()
    assert (answer.status, answer.headers["x-kind"], answer.headers["set-cookie"]) == (418, "teapot", "c=3")
    assert answer.body == b"short and stout"


def test_an_empty_stream(serve: Serve) -> None:
    answer = serve("empty").call("POST", "/", b"")
    assert (answer.status, answer.body) == (200, b"")


def test_a_stream_that_fails_before_its_first_item_is_an_error(serve: Serve) -> None:
    answer = serve("early").call("POST", "/", b"")
    assert (answer.status, answer.json["detail"]) == (500, "Trouble: before the first")


def test_a_stream_that_fails_in_the_middle_is_cut(serve: Serve) -> None:
    instance = serve("broken")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    response = connection.response()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    wait_until(lambda: "in the middle" in instance.output(), "the traceback is logged")
    assert instance.health().status == 200


# --- errors, and the end


def test_an_exception_is_a_problem(serve: Serve, runtime: str) -> None:
    instance = serve("fail")
    connection = instance.connect()
    connection.send("POST", "/", b"", {"X-Call-Id": "call-9"})
    answer = connection.read()
    assert (answer.status, answer.headers["x-plat-error"]) == (500, "function")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "urn:plat:error:function_error",
        "title": "The function raised an error",
        "status": 500,
        "detail": "Trouble: it broke",
        "code": "function_error",
        "call_id": "call-9",
        "error_type": "Trouble",
        "error_message": "it broke",
    }
    log = instance.output()
    assert "it broke" in log and "deeper" in log
    assert str(RUNTIMES[runtime].folder) not in log
    connection.send("POST", "/", b"")
    assert connection.read().status == 500


def test_a_crash_ends_the_process_and_the_connection(serve: Serve) -> None:
    instance = serve("crash")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    assert connection.is_closed()
    assert instance.wait() != 0


def test_a_handler_that_can_be_cancelled_is_and_closes_when_it_has_ended(serve: Serve) -> None:
    instance = serve("cancellable", PLAT_CONCURRENCY="8")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    connection.sock.shutdown(socket.SHUT_WR)
    instance.wait_for_mark("cancelling")
    assert instance.health().json["in_flight"] == 1
    assert not connection.has_bytes()
    instance.mark("go")
    assert connection.is_closed()
    assert (instance.marks / "ended").exists()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_stream_ends_when_the_caller_leaves(serve: Serve, is_whole: bool) -> None:
    instance = serve("endless")
    connection = instance.connect()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    if is_whole:
        connection.close()
    else:
        connection.sock.shutdown(socket.SHUT_WR)
    instance.wait_for_mark("ended")
    wait_until(lambda: instance.health().json["in_flight"] == 0, "no call is in flight")
    if not is_whole:
        while not connection.is_closed():
            pass


def test_a_caller_that_leaves_within_its_body_does_not_start_the_handler(serve: Serve) -> None:
    instance = serve("busy")
    connection = instance.connect()
    connection.sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123")
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.is_closed()
    assert not (instance.marks / "started").exists()


def test_sigterm_finishes_what_is_in_flight(serve: Serve) -> None:
    instance = serve("busy")
    connection, idle = instance.connect(), instance.connect()
    idle.send("GET", "/_plat/health")
    idle.read()
    connection.send("POST", "/", b"")
    instance.wait_for_mark("started")
    instance.terminate()
    wait_until(lambda: not _accepts(instance), "nobody is let in")
    instance.terminate()  # once more changes nothing
    instance.mark("go")
    answer = connection.read()
    assert (answer.body, answer.headers["connection"].lower()) == (b"done", "close")
    assert connection.is_closed()
    assert instance.wait() == 0
    assert not Path(instance.path).exists()


def _accepts(instance: Instance) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(instance.path) == 0


@pytest.mark.parametrize("handler", ["main.text", None])
def test_sigterm_ends_an_idle_instance(start: Start, runtime: str, handler: str | None) -> None:
    instance = start(runtime, FILES[runtime], handler)
    connection = instance.connect()
    connection.send("GET", "/_plat/health")
    connection.read()
    instance.terminate()
    assert instance.wait() == 0
    assert connection.is_closed()


@pytest.mark.parametrize("environ", [{"PLAT_VERSION": "three"}, {"PLAT_EVENT": "other"}, {"PLAT_SOCKET": ""}])
def test_a_wrong_environment_ends_the_start_with_one_line(
    start: Start, runtime: str, environ: dict[str, str]
) -> None:
    instance = start(runtime, FILES[runtime], "main.text", **environ)
    assert instance.wait() == 1
    assert len(instance.output().splitlines()) == 1
