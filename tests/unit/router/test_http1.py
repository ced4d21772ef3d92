"""What an instance may answer, and the long table of what it may not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1 import (
    LAST_CHUNK,
    BadResponseError,
    ChunkedBody,
    LengthBody,
    StreamBody,
    body_of,
    end_to_end,
    parse_head,
    write_chunk,
    write_request_head,
    write_response_head,
)


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])


# --- heads


def test_a_head_is_kept_as_it_came() -> None:
    parsed = parse_head(head(b"Content-Length: 5", b"X-a:  b c\t", b"x-A: d"), "GET")
    assert parsed.status == 200
    assert parsed.reason == b"OK"
    assert parsed.headers == [(b"Content-Length", b"5"), (b"X-a", b"b c"), (b"x-A", b"d")]
    assert parsed.length == 5
    assert not parsed.chunked
    assert parsed.keep_alive
    assert not parsed.interim


ACCEPTED = [
    b"HTTP/1.1 200 \r\n\r\n",
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 299 f\xfcr sich\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX:\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: \xe2\x82\xac\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ: all of token\r\n\r\n",
    b"HTTP/1.1 599 x\r\n\r\n",
]


@pytest.mark.parametrize("data", ACCEPTED)
def test_unusual_heads_that_are_right(data: bytes) -> None:
    assert parse_head(data, "GET").length is None


REFUSED_HEADS = {
    "nothing": b"\r\n\r\n",
    "garbage": b"hello\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "space before the version": b" HTTP/1.1 200 OK\r\n\r\n",
    "lower-case version": b"http/1.1 200 OK\r\n\r\n",
    "version 2": b"HTTP/2.0 200 OK\r\n\r\n",
    "version 1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "version 0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "version with three digits": b"HTTP/1.10 200 OK\r\n\r\n",
    "two spaces before the status": b"HTTP/1.1  200 OK\r\n\r\n",
    "a tab before the status": b"HTTP/1.1\t200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\n\r\n",
    "signed status": b"HTTP/1.1 +20 OK\r\n\r\n",
    "status in other digits": "HTTP/1.1 \N{ARABIC-INDIC DIGIT TWO}00 OK\r\n\r\n".encode(),
    "reason with a NUL": b"HTTP/1.1 200 O\0K\r\n\r\n",
    "reason with a bare CR": b"HTTP/1.1 200 O\rK\r\n\r\n",
    "reason with a bare LF": b"HTTP/1.1 200 O\nK\r\n\r\n",
    "reason with an escape": b"HTTP/1.1 200 \x1b[2J\r\n\r\n",
    "reason with DEL": b"HTTP/1.1 200 \x7f\r\n\r\n",
    "bare LF after the status line": b"HTTP/1.1 200 OK\nX: a\r\n\r\n",
    "bare LF after a header": head(b"X: a\nY: b"),
    "bare CR in a value": head(b"X: a\rY: b"),
    "CR CR LF": head(b"X: a\r"),
    "NUL in a value": head(b"X: a\0b"),
    "escape in a value": head(b"X: \x1b"),
    "DEL in a value": head(b"X: \x7f"),
    "vertical tab in a value": head(b"X: a\x0bb"),
    "form feed in a value": head(b"X: a\x0cb"),
    "obs-fold with a space": head(b"X: a", b" b"),
    "obs-fold with a tab": head(b"X: a", b"\tb"),
    "fold in the first header": head(b" X: a"),
    "no colon": head(b"X"),
    "no name": head(b": a"),
    "space in a name": head(b"X Y: a"),
    "space before the colon": head(b"Content-Length : 5"),
    "tab before the colon": head(b"Content-Length\t: 5"),
    "NUL in a name": head(b"X\0Y: a"),
    "CR in a name": head(b"X\rY: a"),
    "not ASCII in a name": head("Ä: a".encode()),
    "parentheses in a name": head(b"X(Y): a"),
    "quotes in a name": head(b'"X": a'),
    "slash in a name": head(b"X/Y: a"),
    "the same length twice": head(b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths": head(b"Content-Length: 5", b"content-length: 6"),
    "a list of lengths": head(b"Content-Length: 5, 5"),
    "no length": head(b"Content-Length:"),
    "negative length": head(b"Content-Length: -1"),
    "signed length": head(b"Content-Length: +5"),
    "length in hexadecimal": head(b"Content-Length: 0x5"),
    "length with a point": head(b"Content-Length: 5.0"),
    "length with an underscore": head(b"Content-Length: 1_0"),
    "length with a space inside": head(b"Content-Length: 1 0"),
    "length in other digits": head("Content-Length: \N{ARABIC-INDIC DIGIT FIVE}".encode()),
    "length too long": head(b"Content-Length: " + b"9" * 19),
    "length and chunked": head(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked, chunked": head(b"Transfer-Encoding: chunked, chunked"),
    "gzip": head(b"Transfer-Encoding: gzip"),
    "gzip, chunked": head(b"Transfer-Encoding: gzip, chunked"),
    "identity": head(b"Transfer-Encoding: identity"),
    "empty encoding": head(b"Transfer-Encoding:"),
    "xchunked": head(b"Transfer-Encoding: xchunked"),
    "chunked with a parameter": head(b"Transfer-Encoding: chunked;a=b"),
    "vertical tab before chunked": head(b"Transfer-Encoding: \x0bchunked"),
}


@pytest.mark.parametrize("data", REFUSED_HEADS.values(), ids=REFUSED_HEADS.keys())
def test_heads_to_refuse(data: bytes) -> None:
    with pytest.raises(BadResponseError):
        parse_head(data, "GET")


@pytest.mark.parametrize("name", ["the same length twice", "length and chunked", "gzip", "negative length"])
def test_a_head_is_refused_also_where_no_body_follows(name: str) -> None:
    with pytest.raises(BadResponseError):
        parse_head(REFUSED_HEADS[name], "HEAD")


@pytest.mark.parametrize(
    ("method", "status", "lines", "length", "chunked"),
    [
        ("GET", b"200", [b"Content-Length: 7"], 7, False),
        ("GET", b"200", [b"content-length: 0"], 0, False),
        ("GET", b"200", [b"Content-Length: 007"], 7, False),
        ("GET", b"200", [b"Transfer-Encoding: Chunked"], None, True),
        ("GET", b"200", [], None, False),
        ("HEAD", b"200", [b"Content-Length: 7"], 0, False),
        ("HEAD", b"200", [b"Transfer-Encoding: chunked"], 0, False),
        ("HEAD", b"200", [], 0, False),
        ("GET", b"204", [], 0, False),
        ("GET", b"204", [b"Content-Length: 7"], 0, False),
        ("GET", b"304", [b"Content-Length: 7"], 0, False),
        ("GET", b"304", [b"Transfer-Encoding: chunked"], 0, False),
        ("GET", b"103", [b"Link: </a>"], 0, False),
        ("POST", b"100", [], 0, False),
    ],
)
def test_where_a_body_ends(
    method: str, status: bytes, lines: list[bytes], length: int | None, chunked: bool
) -> None:
    data = b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""])
    parsed = parse_head(data, method)
    assert (parsed.length, parsed.chunked) == (length, chunked)
    assert parsed.interim == status.startswith(b"1")
    assert body_of(parsed).complete == (length == 0)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"close"], False),
        (b"1.1", [b"Close"], False),
        (b"1.1", [b"x, close"], False),
        (b"1.1", [b"x", b"close"], False),
        (b"1.1", [b"keep-alive"], True),
        (b"1.1", [b"closed"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Keep-Alive"], True),
        (b"1.0", [b"keep-alive, close"], False),
    ],
)
def test_whether_the_connection_is_kept(version: bytes, connection: list[bytes], kept: bool) -> None:
    lines = [b"HTTP/" + version + b" 200 OK", b"Content-Length: 0"]
    lines += [b"Connection: " + each for each in connection]
    assert parse_head(b"\r\n".join([*lines, b"", b""]), "GET").keep_alive is kept


def test_hop_by_hop_headers_stay_here() -> None:
    headers = [
        (b"Connection", b"x-mine, Keep-Alive"),
        (b"X-Mine", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"TE", b"trailers"),
        (b"Trailer", b"X"),
        (b"Transfer-Encoding", b"chunked"),
        (b"UPGRADE", b"h2c"),
        (b"Proxy-Authorization", b"x"),
        (b"Proxy-Authenticate", b"x"),
        (b"Proxy-Connection", b"x"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"Server", b"x"),
    ]
    left = end_to_end(headers, frozenset({b"server"}))
    assert left == [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")]


NAMES = st.from_regex(rb"\A[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z").filter(
    lambda name: name.lower() not in (b"content-length", b"transfer-encoding", b"connection")
)
VALUES = st.from_regex(rb"\A(?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\Z")


@given(st.integers(200, 599), VALUES, st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_a_head_that_is_written_reads_the_same(
    status: int, reason: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    parsed = parse_head(write_response_head(status, reason, headers), "GET")
    assert (parsed.status, parsed.reason, parsed.headers) == (status, reason, headers)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n"):
        try:
            parsed = parse_head(prefix + data, "GET")
        except BadResponseError:
            continue
        assert all(b"\n" not in name + value for name, value in parsed.headers)


def test_a_request_head_keeps_odd_bytes() -> None:
    target = b"/a%20b/\xff?q=\xfc".decode("utf-8", "surrogateescape")
    assert write_request_head("GET", target, [(b"X", b"\xff")]) == (
        b"GET /a%20b/\xff?q=\xfc HTTP/1.1\r\nX: \xff\r\n\r\n"
    )


# --- bodies

Body = LengthBody | ChunkedBody | StreamBody


def fed(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The body that comes out when `pieces` arrive one by one, and what is left over."""
    buffer, out = bytearray(), b""
    for piece in pieces:
        buffer += piece
        out += body.feed(buffer)
    return out, bytes(buffer)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]


PLACES = st.lists(st.integers(0, 10_000), max_size=20)


@given(st.binary(max_size=500), st.binary(max_size=20), PLACES)
def test_a_body_of_known_length_in_any_pieces(content: bytes, after: bytes, places: list[int]) -> None:
    body = LengthBody(len(content))
    assert fed(body, cut(content + after, places)) == (content, after)
    assert body.complete
    body.end()


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.binary(max_size=20), PLACES)
def test_a_chunked_body_in_any_pieces(chunks: list[bytes], after: bytes, places: list[int]) -> None:
    body = ChunkedBody()
    data = b"".join(map(write_chunk, chunks)) + LAST_CHUNK + after
    assert fed(body, cut(data, places)) == (b"".join(chunks), after)
    assert body.complete
    body.end()


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=4), PLACES)
def test_a_chunked_body_that_is_cut_is_never_complete(chunks: list[bytes], places: list[int]) -> None:
    whole = b"".join(map(write_chunk, chunks)) + LAST_CHUNK
    for end in range(len(whole)):
        body = ChunkedBody()
        fed(body, cut(whole[:end], places))
        assert not body.complete
        with pytest.raises(BadResponseError):
            body.end()


@pytest.mark.parametrize(
    "data",
    [
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3;name=value\r\nabc\r\n0;last\r\n\r\n",
        b'3;quoted="a b"\r\nabc\r\n0\r\n\r\n',
        b"3  \r\nabc\r\n0\r\n\r\n",
        b"003\r\nabc\r\n000\r\n\r\n",
        b"1\r\na\r\n2\r\nbc\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n",
    ],
)
@given(places=PLACES)
def test_chunks_with_extensions_and_trailers(data: bytes, places: list[int]) -> None:
    assert fed(ChunkedBody(), cut(data, places)) == (b"abc", b"")


REFUSED_CHUNKS = {
    "no size": b"\r\nabc\r\n",
    "not hexadecimal": b"g\r\nabc\r\n",
    "prefixed": b"0x3\r\nabc\r\n",
    "negative": b"-3\r\nabc\r\n",
    "signed": b"+3\r\nabc\r\n",
    "space before": b" 3\r\nabc\r\n",
    "underscore": b"1_0\r\nabc\r\n",
    "size too long": b"1000000000000000\r\n",
    "size with leading zeros too long": b"0" * 16 + b"3\r\nabc\r\n",
    "bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "bare CR in the size line": b"3\r;a\r\nabc\r\n",
    "NUL in the extension": b"3;\0\r\nabc\r\n",
    "LF in the extension": b"3;a\nb\r\nabc\r\n",
    "data longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "data ends with LF LF": b"3\r\nabc\n\n0\r\n\r\n",
    "data ends with CR CR": b"3\r\nabc\r\r0\r\n\r\n",
    "data followed by the next size": b"3\r\nabc3\r\nabc\r\n",
    "line without an end": b"3;" + b"a" * 9000,
    "extension too long": b"3;" + b"a" * 300 + b"\r\nabc\r\n",
    "trailer without an end": b"0\r\n" + b"a" * 9000,
    "trailers too long": b"0\r\n" + b"X: a\r\n" * 3000,
}


@pytest.mark.parametrize("data", REFUSED_CHUNKS.values(), ids=REFUSED_CHUNKS.keys())
def test_chunks_to_refuse(data: bytes) -> None:
    with pytest.raises(BadResponseError):
        fed(ChunkedBody(), [data])
    with pytest.raises(BadResponseError):
        fed(ChunkedBody(), [data[i : i + 1] for i in range(len(data))])


def test_a_body_that_is_cut_is_refused() -> None:
    body = LengthBody(5)
    assert fed(body, [b"abc"]) == (b"abc", b"")
    with pytest.raises(BadResponseError, match="2 bytes early"):
        body.end()


def test_a_body_to_the_end_of_the_connection() -> None:
    body = StreamBody()
    assert fed(body, [b"a", b"b"]) == (b"ab", b"")
    assert not body.complete
    body.end()
    assert body.complete


def test_a_body_of_one_does_not_touch_another() -> None:
    """`complete` starts as an attribute of the class."""
    StreamBody().end()
    assert not StreamBody().complete
