"""Two parsers must never disagree: what the router reads, h11 and aiohttp (C and Python) read the same.

Messages are made from a grammar of what is right and what is nearly right, then damaged byte by byte.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.agreement import check_answer, check_request
from tests.fuzz.readers import AiohttpReader

bounded = settings(
    derandomize=True,
    max_examples=800,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def aiohttp() -> Iterator[AiohttpReader]:
    reader = AiohttpReader()
    yield reader
    reader.close()


def one_of(*values: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(values)


# --- the grammar of requests

METHODS = one_of(b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"get", b"")
PATH_BYTES = st.text("abAZ09-._~!$&'()*+,;=:@/", max_size=12).map(str.encode)
QUERY_BYTES = st.text("ab09-._~!$&'()*+,;=:@/?%", max_size=12).map(str.encode)
TARGETS = st.builds(
    lambda name, path, query: b"/function/" + name + path + query,
    one_of(b"f", b"f:3", b"f:live", b"a-b", b"0", b"F", b"f%2f", b"..", b"f:", b"a" * 63, b"a" * 64),
    st.just(b"")
    | PATH_BYTES.map(lambda path: b"/" + path)
    | one_of(b"//a", b"/a/../b", b"/%2e%2e", b"/\xff"),
    st.just(b"") | QUERY_BYTES.map(lambda query: b"?" + query) | one_of(b"#a", b"?#", b"?\xff", b'?"'),
) | one_of(b"*", b"http://x/function/f", b"//x/function/f", b"/v1/functions", b"/function/")
VERSIONS = st.just(b"HTTP/1.1") | one_of(
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11"
)
LENGTHS = one_of(
    b"0", b"3", b"003", b"+3", b"-1", b"0x3", b"3,3", b"3 3", b"", b"3\t", b"12", b"\xb2", b"3\x0b"
)
VALUE_TEXT = st.text('ab09 \t!"(),/:;<=>?@[\\]{}~\x80\xe9\xff', max_size=12).map(
    lambda text: text.encode("latin-1")
)
NAMES = one_of(
    b"X",
    b"x-call-id",
    b"Authorization",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Prefix",
    b"X-Deadline-Ms",
    b"Content-Type",
    b"Content-type",
    b"User-Agent",
    b"Etag",
    b"Server",
    b"Cookie",
    b"Sec-WebSocket-Key1",
    b"Content-Encoding",
    b"!#$%&'*+-.^_`|~09azAZ",
    b"X Y",
    b"X ",
    b" X",
    b"",
    b"X\xe9",
    b"Host",
)
SPACE = one_of(b"", b" ", b"\t", b" \t ")


def field(name: bytes, values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda before, value, after: name + b":" + before + value + after, SPACE, values, SPACE)


REQUEST_FIELDS = (
    st.builds(lambda name, value: name + b": " + value, NAMES, VALUE_TEXT)
    | field(b"Content-Length", LENGTHS)
    | field(b"content-length", LENGTHS)
    | field(
        b"Connection", one_of(b"close", b"keep-alive", b"Close", b"upgrade", b"keep-alive, close", b"te", b"")
    )
    | field(b"Transfer-Encoding", one_of(b"chunked", b"identity", b"x", b""))
    | field(b"Content-Encoding", one_of(b"gzip", b"deflate", b"br", b"zstd"))
    | field(b"X-Call-Id", one_of(b"abc", b"a:b", b"a b", b""))
    | field(b"Host", one_of(b"b", b"", b"a b", b"[::1]:80", b"a/b", b"a@b"))
    | one_of(
        b"Expect: 100-continue", b"TE: trailers", b"Upgrade: websocket", b"X: a\r\n b", b"X: a\nY: b", b"X"
    )
)
REQUESTS = st.builds(
    lambda method, target, version, host, fields, body: b"\r\n".join(
        [method + b" " + target + b" " + version, *host, *fields, b"", body]
    ),
    METHODS,
    TARGETS,
    VERSIONS,
    st.just([b"Host: example.org"]) | st.just([]),
    st.lists(REQUEST_FIELDS, max_size=5),
    st.binary(max_size=12),
)
TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=6).map(str.encode)
RIGHT_FIELD = st.builds(lambda name, value: name + b":" + value, TOKENS, VALUE_TEXT)
ONE_EACH = st.tuples(
    st.just(b"") | field(b"cOntent-length", one_of(b"0", b"3", b"0012")),
    st.just(b"") | field(b"connection", one_of(b"close", b"keep-alive", b"CLOSE")),
    st.just(b"") | field(b"authorization", VALUE_TEXT),
    st.just(b"") | field(b"X-forwarded-for", VALUE_TEXT),
    st.just(b"") | field(b"Content-Encoding", one_of(b"gzip", b"br", b"x")),
    RIGHT_FIELD,
).map(lambda fields: [each for each in fields if each])
RIGHT_REQUESTS = st.builds(
    lambda method, path, query, fields, body: b"\r\n".join(
        [method + b" /function/f" + path + query + b" HTTP/1.1", b"Host: b", *fields, b"", body]
    ),
    one_of(b"GET", b"POST", b"HEAD", b"OPTIONS"),
    st.just(b"") | PATH_BYTES.map(lambda path: b"/" + path),
    st.just(b"") | QUERY_BYTES.map(lambda query: b"?" + query),
    ONE_EACH,
    st.binary(max_size=12),
)

# --- damage

BYTES = st.sampled_from([bytes([each]) for each in range(256)])
TELLING = one_of(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\x0b", b"\x7f", b"\xff", b"%", b",", b"#")
LETTERS = st.text("aAbzZ09-._", min_size=1, max_size=2).map(str.encode)
WOUNDS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 3), LETTERS | BYTES | TELLING), min_size=1, max_size=2
)


def damaged(data: bytes, wounds: list[tuple[float, int, bytes]]) -> bytes:
    """Each wound replaces so many bytes at a place by others."""
    for where, gone, instead in wounds:
        place = int(where * len(data))
        data = data[:place] + instead + data[place + gone :]
    return data


@bounded
@given(REQUESTS | RIGHT_REQUESTS)
def test_a_request_from_the_grammar(aiohttp: AiohttpReader, data: bytes) -> None:
    check_request(data, aiohttp)


@bounded
@given(RIGHT_REQUESTS, WOUNDS)
def test_a_damaged_request(
    aiohttp: AiohttpReader, data: bytes, wounds: list[tuple[float, int, bytes]]
) -> None:
    check_request(damaged(data, wounds), aiohttp)


def test_every_byte_at_every_place_of_a_request(aiohttp: AiohttpReader) -> None:
    data = b"POST /function/f/a?b HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nX-A: b c\r\n\r\nabc"
    taken = 0
    for place in range(len(data) - 3):
        for byte in range(256):
            taken += check_request(data[:place] + bytes([byte]) + data[place + 1 :], aiohttp)
    assert taken > 1000, "the fast path takes most of what is only another name, path or value"


def test_every_byte_between_any_two_of_a_request(aiohttp: AiohttpReader) -> None:
    data = b"GET /function/f HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nX: b\r\n\r\nabc"
    for place in range(len(data) - 3):
        for byte in range(256):
            check_request(data[:place] + bytes([byte]) + data[place:], aiohttp)


# --- the grammar of answers

STATUS_LINES = st.builds(
    lambda version, status, reason: version + b" " + status + reason,
    st.just(b"HTTP/1.1") | one_of(b"HTTP/1.0", b"HTTP/1.2", b"http/1.1"),
    one_of(b"200", b"204", b"304", b"404", b"500", b"299", b"100", b"103", b"20", b"999"),
    one_of(b" OK", b" ", b"", b" f\xfcr Sie", b"  two", b" a\tb "),
)
ANSWER_FIELDS = (
    st.builds(lambda name, value: name + b":" + value, NAMES, VALUE_TEXT)
    | field(b"Content-Length", LENGTHS)
    | field(b"content-length", one_of(b"3", b"5", b"12"))
    | field(
        b"Transfer-Encoding",
        one_of(b"chunked", b"Chunked", b"identity", b"gzip, chunked", b"chunked;a=b", b""),
    )
    | field(b"Connection", one_of(b"close", b"keep-alive", b"content-length", b"X", b"upgrade", b"x, close"))
    | field(b"Content-Encoding", one_of(b"gzip", b"br"))
    | one_of(
        b"Set-Cookie: a=b", b"Keep-Alive: timeout=5", b"Upgrade: websocket", b"X: a\r\n b", b"X: a\nY: b"
    )
)
CHUNK = st.builds(
    lambda size, extension, data: (size or b"%x" % len(data)) + extension + b"\r\n" + data + b"\r\n",
    one_of(b"", b"", b"", b"", b"0x3", b"+3", b"03", b"3", b"fffffffffffffffff"),
    one_of(b"", b"", b"", b";a=b", b";a", b" ;a", b" ", b"\t", b';a="b"', b";"),
    st.binary(min_size=1, max_size=20),
)
CHUNKS = st.builds(
    lambda chunks, last, trailers: b"".join(chunks) + last + b"".join(trailers) + b"\r\n",
    st.lists(CHUNK, max_size=3),
    one_of(b"0\r\n", b"0\r\n", b"000\r\n", b"0;a=b\r\n", b"0 \r\n"),
    st.lists(
        one_of(b"X: a\r\n", b"X: a\n", b"X\r\n", b"Content-Length: 3\r\n", b" a\r\n", b": a\r\n"), max_size=2
    ),
)
INTERIM = one_of(
    b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\nLink: a\r\nContent-Length: 3\r\n\r\n"
)
ANSWERS = st.builds(
    lambda interim, start, fields, body: interim + b"\r\n".join([start, *fields, b"", body]),
    INTERIM,
    STATUS_LINES,
    st.lists(ANSWER_FIELDS, max_size=4),
    st.binary(max_size=12) | CHUNKS,
)
LENGTH_ANSWERS = st.builds(
    lambda interim, start, fields, body: (
        interim + b"\r\n".join([start, *fields, b"Content-Length: %d" % len(body), b"", body])
    ),
    INTERIM,
    STATUS_LINES,
    st.lists(ANSWER_FIELDS, max_size=2),
    st.binary(max_size=12),
)
CHUNKED_ANSWERS = st.builds(
    lambda interim, fields, body: (
        interim + b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Transfer-Encoding: chunked", b"", body])
    ),
    INTERIM,
    st.lists(ANSWER_FIELDS, max_size=2),
    CHUNKS,
)
ANY_ANSWER = ANSWERS | LENGTH_ANSWERS | CHUNKED_ANSWERS
RIGHT_CHUNKS = st.builds(
    lambda chunks, extension, last: (
        b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks) + last
    ),
    st.lists(st.binary(min_size=1, max_size=20), max_size=3),
    one_of(b"", b"", b";a=b", b';a="b"'),
    one_of(b"0\r\n\r\n", b"0\r\nX: a\r\n\r\n"),
)
RIGHT_ANSWERS = st.builds(
    lambda interim, line, name_and_value, framed: (
        interim + b"\r\n".join([b"HTTP/1.1 " + line, name_and_value, *framed])
    ),
    INTERIM,
    one_of(b"200 OK", b"404 ", b"500", b"299 f\xfcr Sie"),
    RIGHT_FIELD,
    st.binary(max_size=12).map(lambda body: [b"Content-Length: %d" % len(body), b"", body])
    | RIGHT_CHUNKS.map(lambda body: [b"Transfer-Encoding: chunked", b"", body]),
)
CUTS = st.lists(st.integers(0, 200), max_size=8)
ASKED_BY = st.sampled_from(["GET", "HEAD"])


@bounded
@given(ANY_ANSWER | RIGHT_ANSWERS, CUTS, ASKED_BY, st.booleans())
def test_an_answer_from_the_grammar(
    aiohttp: AiohttpReader, data: bytes, cuts: list[int], method: str, ended: bool
) -> None:
    check_answer(data, cuts, aiohttp, method=method, ended=ended)


@bounded
@given(RIGHT_ANSWERS, CUTS, WOUNDS, st.booleans())
def test_a_damaged_answer(
    aiohttp: AiohttpReader,
    data: bytes,
    cuts: list[int],
    wounds: list[tuple[float, int, bytes]],
    ended: bool,
) -> None:
    check_answer(damaged(data, wounds), cuts, aiohttp, ended=ended)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: a\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
def test_every_byte_at_every_place_of_an_answer(aiohttp: AiohttpReader, data: bytes) -> None:
    taken = 0
    for place in range(len(data)):
        for byte in range(256):
            damaged_answer = data[:place] + bytes([byte]) + data[place + 1 :]
            taken += check_answer(damaged_answer, [place], aiohttp) is not None
    assert taken > 500
