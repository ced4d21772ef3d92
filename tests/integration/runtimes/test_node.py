"""What only the Node runtime has: Fetch-style handlers, callbacks, ES modules."""

import json
import socket
from collections.abc import Callable

import pytest

from tests.integration.runtimes.instance import Instance
from tests.integration.runtimes.sources import NODE_MARKS

pytestmark = pytest.mark.node

Start = Callable[..., Instance]

BODY = b"x" * (1024 * 1024)
BIG_MB = 100
GROWTH_LIMIT_MB = 96
"""V8 collects garbage late: far less than the body is what counts."""

FETCH = (
    'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);\n'
    + NODE_MARKS
    + """
const pages = {
  async home(request) {
    const url = new URL(request.url);
    const a = request.headers.get("x-a");
    const seen = { url: url.href, method: request.method, a, body: await request.text() };
    const headers = new Headers({ "x-b": "1" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    return new Response(JSON.stringify(seen), { status: 201, headers });
  },
  echo: (request) => new Response(request.body),
  async size(request) {
    let count = 0;
    for await (const piece of request.body ?? []) count += piece.length;
    return new Response(String(count));
  },
  big() {
    let left = 1600;
    const pull = (controller) => (left-- ? controller.enqueue(new Uint8Array(65536)) : controller.close());
    return new Response(new ReadableStream({ pull }));
  },
  stream() {
    const text = new TextEncoder();
    return new Response(new ReadableStream({
      async start(controller) {
        controller.enqueue(text.encode("one"));
        await wait("go");
        controller.enqueue(text.encode("two"));
        controller.close();
      },
    }));
  },
  endless(request) {
    request.signal.addEventListener("abort", () => mark("aborted"));
    mark("started");
    return new Response(new ReadableStream({ cancel: () => mark("cancelled") }));
  },
  broken: () => new Response(new ReadableStream({
    pull(controller) { controller.enqueue(new Uint8Array(3)); controller.error(new Error("in the middle")); },
  })),
  nothing: () => new Response(null, { status: 204 }),
  fail() { throw new RangeError("lost"); },
  wrong: () => "text",
};
export default (request) => pages[new URL(request.url).pathname.slice(1) || "home"](request);
"""
)


@pytest.fixture
def fetch(start: Start) -> Instance:
    return start("node", {"main.mjs": FETCH}, "main.default", PLAT_CONCURRENCY="0")


def test_request_and_response(fetch: Instance) -> None:
    headers = {"X-A": "1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "example.org"}
    connection = fetch.connect()
    connection.send("POST", "/?q=1", b"body", headers)
    response = connection.response()
    assert (response.status, response.getheader("x-b")) == (201, "1")
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert json.loads(response.read()) == {
        "url": "https://example.org/?q=1", "method": "POST", "a": "1", "body": "body",
    }  # fmt: skip


def test_big_bodies_stream_in_with_bounded_memory(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.send("POST", "/size", BODY)
    assert connection.read().body == str(len(BODY)).encode()
    before = fetch.peak_mb()
    head = f"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: {BIG_MB * len(BODY)}\r\n\r\n"
    connection.sock.sendall(head.encode())
    for _ in range(BIG_MB):
        connection.sock.sendall(BODY)
    assert connection.read().body == str(BIG_MB * len(BODY)).encode()
    assert fetch.peak_mb() - before < GROWTH_LIMIT_MB


def test_big_bodies_stream_out_with_bounded_memory(fetch: Instance) -> None:
    fetch.health()
    before = fetch.peak_mb()
    connection = fetch.connect()
    connection.send("GET", "/big")
    response, count = connection.response(), 0
    while piece := response.read(65_536):
        count += len(piece)
    assert count == 1600 * 65_536
    assert fetch.peak_mb() - before < GROWTH_LIMIT_MB


def test_a_body_goes_through_as_it_comes(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.sock.sendall(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    )
    response = connection.response()
    assert response.read1() == b"one"
    connection.sock.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
    assert response.read() == b"two"


def test_pieces_are_sent_as_they_come(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.send("GET", "/stream")
    response = connection.response()
    assert response.read1() == b"one"
    fetch.mark("go")
    assert response.read() == b"two"


def test_the_signal_is_aborted_and_the_body_cancelled_when_the_caller_leaves(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.send("GET", "/endless")
    fetch.wait_for_mark("started")
    connection.response()
    connection.sock.shutdown(socket.SHUT_WR)
    fetch.wait_for_mark("aborted")
    fetch.wait_for_mark("cancelled")
    assert connection.is_closed()


def test_a_body_that_fails_is_cut(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.send("GET", "/broken")
    received = b""
    while piece := connection.sock.recv(4096):
        received += piece
    assert not received.endswith(b"0\r\n\r\n")
    assert fetch.call("GET", "/nothing").status == 204


@pytest.mark.parametrize(
    ("path", "detail"), [("fail", "RangeError: lost"), ("wrong", "TypeError: a Fetch-style handler returned")]
)
def test_errors(fetch: Instance, path: str, detail: str) -> None:
    answer = fetch.call("GET", f"/{path}")
    assert (answer.status, answer.headers["x-plat-error"]) == (500, "function")
    assert answer.json["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("name", "source", "handler"),
    [
        ("main.mjs", 'export const handler = () => "here";', "main.handler"),
        ("main.mjs", 'export default { fetch: () => new Response("here") };', "main.default"),
        ("main.mjs", 'export default () => new Response("here");', "main.handler"),
        (
            "main.cjs",
            'exports.handler = (event, context, callback) => callback(null, "here");',
            "main.handler",
        ),
        ("main.js", 'module.exports = { handler: async () => new Response("here") };', "main.handler"),
        ("main.js", 'const all = {}; all["handler"] = () => "here"; module.exports = all;', "main.handler"),
        ("src/app.js", 'exports.run = () => "here";', "src/app.run"),
    ],
)
def test_where_a_handler_can_be(start: Start, name: str, source: str, handler: str) -> None:
    assert start("node", {name: source}, handler).call().body == b"here"


def test_an_es_modules_syntax_error_shows_line_and_caret(start: Start) -> None:
    source = "export const handler = () => {};\nconst oops = = 2;\n"
    health = start("node", {"main.mjs": source}).health()
    assert health.json["code"] == "handler_syntax_error"
    assert health.json["detail"].startswith("main.mjs, line 2: ")
    assert "oops = = 2" in health.json["traceback"]


def test_a_rejection_that_nobody_handles_ends_the_process(start: Start) -> None:
    source = (
        'exports.handler = async () => { Promise.reject(new Error("alone")); await new Promise(() => {}); };'
    )
    instance = start("node", {"main.js": source})
    connection = instance.connect()
    connection.send("GET", "/")
    assert connection.is_closed()
    assert instance.wait() == 1
    assert "alone" in instance.output()
