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
  unread: () => new Response("big", { status: 413 }),
  async late(request) {
    mark("started");
    await wait("go");
    try { await request.text(); } catch { mark("cut"); }
    mark("ended");
    return new Response("late");
  },
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


def test_a_body_that_the_handler_leaves_is_read_before_the_next_call(fetch: Instance) -> None:
    connection = fetch.connect()
    for _ in range(2):
        connection.send("POST", "/unread", BODY)
        answer = connection.read()
        assert (answer.status, answer.body) == (413, b"big")
    connection.send("POST", "/size", BODY)
    assert connection.read().body == str(len(BODY)).encode()


def test_a_caller_whose_continue_was_not_given_is_closed(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.sock.sendall(
        b"POST /unread HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    answer = connection.read()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert connection.is_closed()


@pytest.mark.parametrize("rest", [b"xy\r\n", b"3\r\nabcd\r\n", b"0\r\nno colon\r\n\r\n", b"1;\n\r\n"])
def test_a_body_that_is_none_is_refused_and_cut_when_the_handler_has_ended(
    fetch: Instance, rest: bytes
) -> None:
    connection = fetch.connect()
    head = b"POST /late HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sock.sendall(head)
    fetch.wait_for_mark("started")
    connection.sock.sendall(rest)
    assert connection.read().status == 400
    assert not connection.has_bytes()
    fetch.mark("go")
    assert connection.is_closed()
    assert {each.name for each in fetch.marks.iterdir()} >= {"cut", "ended"}
    connection = fetch.connect()
    connection.sock.sendall(head.replace(b"/late", b"/size") + rest)
    assert connection.read().status == 400
    assert connection.is_closed()


def test_a_handler_that_reads_late_is_told_that_the_caller_left(fetch: Instance) -> None:
    connection = fetch.connect()
    connection.sock.sendall(b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
    fetch.wait_for_mark("started")
    connection.sock.shutdown(socket.SHUT_WR)
    fetch.mark("go")
    assert connection.is_closed()
    assert {each.name for each in fetch.marks.iterdir()} >= {"cut", "ended"}


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


ECHO = "exports.handler = async (event, context) => `${context.awsRequestId}:${event}`;"


@pytest.mark.parametrize("step", [1, 7, 60, 1000])
def test_requests_that_come_together_are_answered_in_their_order(start: Start, step: int) -> None:
    connection = start("node", {"main.js": ECHO}).connect()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Call-Id: %d\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n"
    requests = b"".join(
        (head + b"Content-Length: 1\r\n\r\nx" + head + chunks) % (number, number) for number in range(5)
    )
    for at in range(0, len(requests), step):
        connection.sock.sendall(requests[at : at + step])
    connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nBad : 1\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while piece := connection.sock.recv(65_536):
        received += piece
    answers = [answer.partition(b"\r\n\r\n") for answer in received.split(b"HTTP/1.1 ")[1:]]
    assert [body for _, _, body in answers[:-1]] == [
        b"%d:%s" % (number, text) for number in range(5) for text in (b"x", b"y")
    ]
    assert answers[-1][0].startswith(b"400 ")


REFUSED = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1g\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("request_", REFUSED, ids=range(len(REFUSED)))
def test_what_can_be_read_in_two_ways_is_refused(start: Start, request_: bytes) -> None:
    instance = start("node", {"main.js": ECHO})
    connection = instance.connect()
    connection.sock.sendall(request_)
    assert connection.read().status in (400, 431, 501)
    assert connection.is_closed()
    assert instance.call("POST", "/", b"1", {"X-Call-Id": "c"}).body == b"c:1"


def test_a_stream_to_http_1_0_ends_with_the_connection(start: Start) -> None:
    source = 'exports.handler = function* () { yield "one"; yield "two"; };'
    connection = start("node", {"main.js": source}).connect()
    connection.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert connection.read().body == b"onetwo"
    assert connection.is_closed()


def test_a_generator_that_never_waits_hears_that_the_caller_left(start: Start) -> None:
    source = (
        NODE_MARKS
        + """
exports.handler = function* () {
  try { for (;;) yield "x"; } finally { mark("ended"); }
};
"""
    )
    instance = start("node", {"main.js": source})
    connection = instance.connect()
    connection.send("GET", "/")
    assert connection.response().read1(1) == b"x"
    connection.sock.shutdown(socket.SHUT_WR)
    while not connection.is_closed():
        pass
    instance.wait_for_mark("ended")


def test_a_stream_to_a_caller_that_does_not_read_ends_when_it_leaves(start: Start) -> None:
    source = (
        NODE_MARKS
        + """
exports.handler = async function* () {
  mark("started");
  try { for (;;) yield Buffer.alloc(65536); } finally { mark("ended"); }
};
"""
    )
    instance = start("node", {"main.js": source})
    connection = instance.connect()
    connection.send("GET", "/")
    instance.wait_for_mark("started")
    connection.sock.shutdown(socket.SHUT_WR)
    instance.wait_for_mark("ended")
    assert instance.health().json["in_flight"] == 0


def test_a_handlers_end_is_waited_for_after_sigterm(start: Start) -> None:
    source = (
        NODE_MARKS
        + """
exports.handler = async function* () {
  try { yield "all"; } finally { await wait("go"); mark("ended"); }
};
"""
    )
    instance = start("node", {"main.js": source})
    connection = instance.connect()
    connection.send("HEAD", "/")
    assert connection.read("HEAD").status == 200
    instance.terminate()
    assert connection.is_closed()
    instance.mark("go")
    assert instance.wait() == 0
    assert (instance.marks / "ended").exists()


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
