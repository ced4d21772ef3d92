"""What the fast path takes, byte for byte what it becomes; and the long table of what it must not take."""

import gc
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.recognise import HEAD_LIMIT_BYTES, HEADER_LIMIT, Recognised, may_become, recognise
from router.target import Target
from tests.unit.router.heads import HOST, NO_FUNCTION, REFUSED, STREAMED, head

HANDED_OVER = REFUSED | NO_FUNCTION | {name: data for name, (data, _) in STREAMED.items()}


def test_the_table_is_long_enough() -> None:
    assert len(HANDED_OVER) == len(REFUSED) + len(NO_FUNCTION) + len(STREAMED)
    assert len(HANDED_OVER) >= 150


@pytest.mark.parametrize("data", HANDED_OVER.values(), ids=HANDED_OVER.keys())
def test_handed_over(data: bytes) -> None:
    assert recognise(data) is None
    assert recognise(data[: data.find(b"\r\n\r\n") + 4]) is None


# --- what is taken

PLAIN = head(start=b"GET /function/f HTTP/1.1")
FORWARDED = (
    b"X-Forwarded-Host: example.org\r\nX-Forwarded-Proto: http\r\n"
    b"X-Forwarded-Prefix: /function/f\r\nX-Forwarded-For: "
)


class Taken(NamedTuple):
    """What must come of a head; `forward` without the lines that X-Forwarded-* make up."""

    start: bytes
    kept: bytes
    target: Target = Target("f", "live", "/function/f", "/")
    length: int = 0
    authorization: str | None = None
    call_id: bytes | None = None
    close: bool = False
    host: bytes = b"example.org"
    forwarded_for: bytes = b""


def get(*lines: bytes) -> bytes:
    return head(*lines, start=b"GET /function/f HTTP/1.1")


def to(target: bytes, method: bytes = b"GET") -> bytes:
    return head(start=method + b" " + target + b" HTTP/1.1")


GET = b"GET / HTTP/1.1\r\n"
KEPT = HOST + b"\r\n"

ACCEPTED: dict[str, tuple[bytes, Taken]] = {
    "nothing but a host": (PLAIN, Taken(GET, KEPT)),
    **{
        f"method {method.decode()}": (to(b"/function/f", method), Taken(method + b" / HTTP/1.1\r\n", KEPT))
        for method in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS")
    },
    "a path": (
        to(b"/function/f/a/b"),
        Taken(b"GET /a/b HTTP/1.1\r\n", KEPT, Target("f", "live", "/function/f", "/a/b")),
    ),
    "a slash": (to(b"/function/f/"), Taken(GET, KEPT)),
    "two slashes are the function's": (
        to(b"/function/f//a"),
        Taken(b"GET //a HTTP/1.1\r\n", KEPT, Target("f", "live", "/function/f", "//a")),
    ),
    "one dot is the function's": (
        to(b"/function/f/./a"),
        Taken(b"GET /./a HTTP/1.1\r\n", KEPT, Target("f", "live", "/function/f", "/./a")),
    ),
    "a query": (
        to(b"/function/f?a=%20%zz&b=/?c"),
        Taken(
            b"GET /?a=%20%zz&b=/?c HTTP/1.1\r\n", KEPT, Target("f", "live", "/function/f", "/?a=%20%zz&b=/?c")
        ),
    ),
    "an empty query": (
        to(b"/function/f?"),
        Taken(b"GET /? HTTP/1.1\r\n", KEPT, Target("f", "live", "/function/f", "/?")),
    ),
    "dots in the query": (
        to(b"/function/f?../.."),
        Taken(b"GET /?../.. HTTP/1.1\r\n", KEPT, Target("f", "live", "/function/f", "/?../..")),
    ),
    "all bytes of a path": (
        to(b"/function/f/-._~!$&'()*+,;=:@"),
        Taken(
            b"GET /-._~!$&'()*+,;=:@ HTTP/1.1\r\n",
            KEPT,
            Target("f", "live", "/function/f", "/-._~!$&'()*+,;=:@"),
        ),
    ),
    "length 0": (get(b"Content-Length: 0"), Taken(GET, KEPT + b"Content-Length: 0\r\n")),
    "a length": (get(b"Content-Length: 5"), Taken(GET, KEPT + b"Content-Length: 5\r\n", length=5)),
    "a length with zeros before": (
        get(b"Content-Length: 005"),
        Taken(GET, KEPT + b"Content-Length: 005\r\n", length=5),
    ),
    "white space around a length goes on as it came": (
        get(b"CONTENT-length:\t 5 \t"),
        Taken(GET, KEPT + b"CONTENT-length:\t 5 \t\r\n", length=5),
    ),
    "a length of ten digits": (
        get(b"Content-Length: 9999999999"),
        Taken(GET, KEPT + b"Content-Length: 9999999999\r\n", length=9_999_999_999),
    ),
    "authorization": (
        get(b"Authorization:  Bearer a b\xc3\xa9\xe9 "),
        Taken(GET, KEPT, authorization="Bearer a bé\udce9"),
    ),
    "an origin": (
        get(b"ORIGIN: https://a.example"),
        Taken(
            GET,
            KEPT + b"ORIGIN: https://a.example\r\n",
            Target("f", "live", "/function/f", "/", has_origin=True),
        ),
    ),
    "an empty origin": (
        get(b"Origin:"),
        Taken(GET, KEPT + b"Origin:\r\n", Target("f", "live", "/function/f", "/", has_origin=True)),
    ),
    "what only sounds like one": (get(b"X-Origin: a"), Taken(GET, KEPT + b"X-Origin: a\r\n")),
    "call id": (get(b"x-call-id: a.B:c_d-1"), Taken(GET, KEPT, call_id=b"a.B:c_d-1")),
    "close": (get(b"Connection: close"), Taken(GET, KEPT, close=True)),
    "Close": (get(b"connection:\tCLOSE "), Taken(GET, KEPT, close=True)),
    "keep-alive": (get(b"Connection: Keep-Alive"), Taken(GET, KEPT)),
    "a proxy before": (
        get(b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Host: evil", b"X-Forwarded-Proto: https"),
        Taken(GET, KEPT, forwarded_for=b"192.0.2.7, "),
    ),
    "an empty proxy before": (get(b"X-Forwarded-For:"), Taken(GET, KEPT)),
    "an address as host": (
        head(start=b"GET /function/f HTTP/1.1", host=b"HOST:[::1]:8080"),
        Taken(GET, b"HOST:[::1]:8080\r\n", host=b"[::1]:8080"),
    ),
    "headers are kept as they came, in their order": (
        get(b"x-B:  1 2\t", b"Accept: */*", b"X-a:", b"x-B: 3", b"Content-Type: text/plain"),
        Taken(GET, KEPT + b"x-B:  1 2\t\r\nAccept: */*\r\nX-a:\r\nx-B: 3\r\nContent-Type: text/plain\r\n"),
    ),
    "all bytes of a name": (
        get(b"!#$%&'*+-.^_`|~09azAZ: a"),
        Taken(GET, KEPT + b"!#$%&'*+-.^_`|~09azAZ: a\r\n"),
    ),
    "all bytes of a value": (
        get(b"X: " + bytes([9, *range(32, 127), *range(128, 256)])),
        Taken(GET, KEPT + b"X: " + bytes([9, *range(32, 127), *range(128, 256)]) + b"\r\n"),
    ),
    "names that only contain ours": (
        get(
            b"X-Host: a", b"Host-X: b", b"X-Content-Length: 9", b"Content-Length-X: 9", b"Connection-X: close"
        ),
        Taken(
            GET,
            KEPT
            + b"X-Host: a\r\nHost-X: b\r\nX-Content-Length: 9\r\nContent-Length-X: 9\r\n"
            + b"Connection-X: close\r\n",
        ),
    ),
    "ours as a value": (
        get(b"X: Content-Length: 9", b"Y: Transfer-Encoding: chunked"),
        Taken(GET, KEPT + b"X: Content-Length: 9\r\nY: Transfer-Encoding: chunked\r\n"),
    ),
}


@pytest.mark.parametrize(("data", "taken"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_taken_and_what_it_becomes(data: bytes, taken: Taken) -> None:
    forwarded = FORWARDED.replace(b"example.org", taken.host) + taken.forwarded_for
    allowed = b""
    if taken.authorization is not None:
        allowed = b"Authorization: " + taken.authorization.encode("utf-8", "surrogateescape") + b"\r\n"
    method = data.split()[0]
    assert recognise(data) == Recognised(
        target=taken.target,
        method=method.decode(),
        is_head=method == b"HEAD",
        length=taken.length,
        authorization=taken.authorization,
        call_id=taken.call_id,
        close=taken.close,
        forward=taken.start + taken.kept + forwarded,
        forward_authorized=taken.start + taken.kept + allowed + forwarded,
    )


NAMES = {
    b"f": ("f", "live"),
    b"0": ("0", "live"),
    b"a-b": ("a-b", "live"),
    b"a--b": ("a--b", "live"),
    b"a" * 63: ("a" * 63, "live"),
    b"f:3": ("f", "3"),
    b"f:live": ("f", "live"),
    b"f:Blue-2": ("f", "Blue-2"),
    b"f:" + b"1" * 63: ("f", "1" * 63),
}


@pytest.mark.parametrize("segment", NAMES, ids=bytes.decode)
def test_names_and_versions(segment: bytes) -> None:
    name, qualifier = NAMES[segment]
    prefix = b"/function/" + segment
    taken = recognise(to(prefix + b"/a"))
    assert taken is not None
    assert taken.target == Target(name, qualifier, prefix.decode(), "/a")
    assert b"\r\nX-Forwarded-Prefix: " + prefix + b"\r\n" in taken.forward


def test_the_limits() -> None:
    fill = HEAD_LIMIT_BYTES - len(get(b"X: "))
    assert recognise(get(b"X: " + b"a" * fill)) is not None
    assert recognise(get(b"X: " + b"a" * (fill + 1))) is None
    assert recognise(get(*[b"X: a"] * (HEADER_LIMIT - 1))) is not None
    assert recognise(get(*[b"X: a"] * HEADER_LIMIT)) is None


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\0", b" ", b"a", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_head_is_exactly_a_head(end: bytes) -> None:
    assert recognise(PLAIN) is not None
    assert recognise(PLAIN + end) is None


@given(st.binary(max_size=200))
def test_garbage_is_handed_over(data: bytes) -> None:
    assert recognise(data) is None
    assert recognise(data + b"\r\n\r\n") is None


# --- beginnings of heads


@pytest.mark.parametrize("data", [data for data, _ in ACCEPTED.values()], ids=ACCEPTED.keys())
def test_what_becomes_a_head_is_waited_for(data: bytes) -> None:
    assert all(may_become(data[:length]) for length in range(len(data)))


NEVER = {
    "bare LF": b"GET /function/f HTTP/1.1\nHost: a\n\n",
    "a bare LF, first": b"\nGET",
    "the beginning of TLS": b"\x16\x03\x01\x02\0\x01",
    "NUL": b"\0",
    "a space": b" GET",
    "lower case": b"get",
    "too long": b"GET /function/f HTTP/1.1\r\nX: " + b"a" * HEAD_LIMIT_BYTES,
}


@pytest.mark.parametrize("data", NEVER.values(), ids=NEVER.keys())
def test_what_becomes_none_is_not_waited_for(data: bytes) -> None:
    assert not may_become(data)


def test_the_garbage_collector_does_not_know_of_what_is_recognised() -> None:
    recognised = recognise(head(b"X-Call-Id: a"))
    assert recognised is not None
    assert not gc.is_tracked(recognised)
    assert not gc.is_tracked(recognised.target)
