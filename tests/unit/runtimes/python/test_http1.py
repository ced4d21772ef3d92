import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.python.plat_runtime import http1
from runtimes.python.plat_runtime.http1 import BadRequestError, Request, Response, ResponseStream

GET = b"GET /a%20b?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"


def parse(*lines: str) -> Request:
    return http1.parse_head("\r\n".join([*lines, "", ""]).encode("latin-1"))


def test_a_head() -> None:
    request = parse("POST /a%20b/?x=1?y HTTP/1.1", "Host: example", "X-A:  1 \t", "x-a: 2", "Empty:")
    assert (request.method, request.path, request.query) == ("POST", "/a%20b/", "x=1?y")
    assert request.fields == {"host": "example", "x-a": "1, 2", "empty": ""}
    assert (request.length, request.keep_alive, request.is_http11) == (0, True, True)


def test_cookies_are_joined_as_one_cookie_header() -> None:
    assert parse("GET / HTTP/1.1", "Cookie: a=1", "Cookie: b=2").fields["cookie"] == "a=1; b=2"


@pytest.mark.parametrize(
    ("line", "field", "keep_alive"),
    [
        ("GET / HTTP/1.1", "A: b", True),
        ("GET / HTTP/1.1", "Connection: Close", False),
        ("GET / HTTP/1.1", "Connection: x, close", False),
        ("GET / HTTP/1.1", "Connection: keep-alive", True),
        ("GET / HTTP/1.0", "A: b", False),
    ],
)
def test_keep_alive(line: str, field: str, keep_alive: bool) -> None:
    assert parse(line, field).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ([], 0),
        (["Content-Length: 0"], 0),
        (["Content-Length: 12"], 12),
        (["Transfer-Encoding: Chunked"], http1.CHUNKED),
    ],
)
def test_length(fields: list[str], length: int) -> None:
    assert parse("POST / HTTP/1.1", *fields).length == length


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\n\r\n",
        "GET a HTTP/1.1\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET /\x00 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: \r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_heads_to_refuse(head: str) -> None:
    with pytest.raises(BadRequestError):
        http1.parse_head(head.encode("latin-1"))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    for head in (data + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"):
        try:
            request = http1.parse_head(head)
        except BadRequestError:
            continue
        assert all("\n" not in value and "\r" not in value for value in request.fields.values())


def test_the_end_of_a_head() -> None:
    assert http1.head_end(GET + b"body") == len(GET)
    assert http1.head_end(GET[:-1]) == -1
    with pytest.raises(BadRequestError) as refused:
        http1.head_end(b"x" * http1.HEAD_LIMIT_BYTES)
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("fields", "is_websocket"),
    [
        (["Upgrade: WebSocket", "Connection: keep-alive, Upgrade"], True),
        (["Upgrade: websocket"], False),
        (["Connection: upgrade"], False),
        (["Upgrade: h2c", "Connection: Upgrade"], False),
    ],
)
def test_is_websocket(fields: list[str], is_websocket: bool) -> None:
    assert parse("GET / HTTP/1.1", *fields).is_websocket is is_websocket


def test_a_body_of_known_length() -> None:
    body = http1.LengthBody(5)
    assert body.feed(b"abc") == (b"abc", b"")
    assert not body.done
    assert body.feed(b"deGET") == (b"de", b"GET")
    assert body.done
    assert http1.LengthBody(0).done


CHUNKS = b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET"


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_chunked_body(step: int) -> None:
    body, whole, rest = http1.ChunkedBody(), b"", b""
    for start in range(0, len(CHUNKS), step):
        piece = CHUNKS[start : start + step]
        if body.done:
            rest += piece
            continue
        taken, rest = body.feed(piece)
        whole += taken
    assert (body.done, whole, rest) == (True, b"abc0123456789", b"GET")


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 20))
def test_chunks_come_out_as_they_went_in(pieces: list[bytes], step: int) -> None:
    stream = ResponseStream(parse("GET / HTTP/1.1"), 200, [], length=None, close=False)
    data = b"".join(map(stream.data, pieces)) + stream.end()
    body, whole = http1.ChunkedBody(), b""
    for start in range(0, len(data), step):
        whole += body.feed(data[start : start + step])[0]
    assert (body.done, whole) == (True, b"".join(pieces))


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n",
        b"1_0\r\n",
        b" 3\r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3;a\x00\r\nabc\r\n",
        b"1000000000000000\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"1" * (http1.HEAD_LIMIT_BYTES + 1),
        b"0\r\n" + b"A: b\r\n" * http1.HEAD_LIMIT_BYTES,
    ],
)
def test_chunked_bodies_to_refuse(data: bytes) -> None:
    with pytest.raises(BadRequestError):
        http1.ChunkedBody().feed(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_chunks_or_refused(data: bytes) -> None:
    body = http1.ChunkedBody()
    try:
        whole, rest = body.feed(data)
    except BadRequestError:
        return
    assert len(whole) + len(rest) <= len(data)


def test_an_answer() -> None:
    response = Response(200, [("content-type", "application/json")], b"{}")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
    assert http1.encode(response, is_head=False, close=False) == head + b"\r\n{}"
    assert http1.encode(response, is_head=False, close=True) == head + b"connection: close\r\n\r\n{}"
    assert http1.encode(response, is_head=True, close=False) == head + b"\r\n"


def test_the_fast_way_and_the_long_way_say_the_same() -> None:
    fast = Response(200, [("content-type", "application/json")], b"5")
    long = Response(200, [("content-type", "application/json"), ("x-a", "1")], b"5")
    for close in (True, False):
        encoded = http1.encode(long, is_head=False, close=close)
        assert encoded.replace(b"x-a: 1\r\n", b"") == http1.encode(fast, is_head=False, close=close)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(status: int) -> None:
    encoded = http1.encode(Response(status, [("x-a", "1")], b"body"), is_head=False, close=False)
    assert encoded.endswith(b"x-a: 1\r\n\r\n")
    assert b"content-length" not in encoded
    stream = ResponseStream(parse("GET / HTTP/1.1"), status, [], length=None, close=False)
    assert (stream.data(b"x"), stream.end(), b"transfer-encoding" in stream.head) == (b"", b"", False)


def test_headers_about_the_connection_are_the_runtimes() -> None:
    headers = [
        ("Connection", "close"),
        ("Content-Length", "99"),
        ("Transfer-Encoding", "chunked"),
        ("X", "é"),
    ]
    encoded = http1.encode(Response(299, headers, b"abc"), is_head=False, close=False)
    assert encoded == "HTTP/1.1 299 \r\nX: é\r\ncontent-length: 3\r\n\r\nabc".encode("latin-1")


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        (200, "a b", "c"),
        (200, "", "c"),
        (200, "a:", "c"),
        (200, "a", "b\r\nc: d"),
        (200, "a\n", "b"),
        (200, "a", "b\n"),
        (200, "a", "\x00"),
        (99, "a", "b"),
        (1000, "a", "b"),
    ],
)
def test_answers_that_http_cannot_carry(status: int, name: str, value: str) -> None:
    with pytest.raises(ValueError, match="HTTP"):
        http1.encode(Response(status, [(name, value)], b""), is_head=False, close=False)
    with pytest.raises(ValueError, match="HTTP"):
        ResponseStream(parse("GET / HTTP/1.1"), status, [(name, value)], length=None, close=False)
    if status == 200:
        with pytest.raises(ValueError, match="HTTP"):
            http1.upgrade_head([(name, value)])


def test_streams() -> None:
    chunked = ResponseStream(parse("GET / HTTP/1.1"), 200, [], length=None, close=False)
    assert chunked.head == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (chunked.data(b"x" * 16), chunked.data(b""), chunked.end()) == (
        b"10\r\n" + b"x" * 16 + b"\r\n",
        b"",
        b"0\r\n\r\n",
    )
    until_close = ResponseStream(parse("GET / HTTP/1.0"), 200, [], length=None, close=False)
    assert (until_close.keep_alive, until_close.data(b"x"), until_close.end()) == (False, b"x", b"")
    silent = ResponseStream(parse("HEAD / HTTP/1.1"), 200, [], length=3, close=False)
    assert (b"content-length: 3" in silent.head, silent.data(b"abc"), silent.end()) == (True, b"", b"")


def test_a_stream_is_as_long_as_it_says() -> None:
    stream = ResponseStream(parse("GET / HTTP/1.1"), 200, [], length=3, close=False)
    assert stream.data(b"ab") == b"ab"
    with pytest.raises(ValueError, match="1 bytes shorter"):
        stream.end()
    with pytest.raises(ValueError, match="longer"):
        stream.data(b"cd")
