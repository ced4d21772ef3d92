"""An instance's answer in pieces: what the client gets of it, and what becomes of the connection."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.errors import PlatError
from router.answers import REMEMBERED_HEADS, Answer, AnswerHeads, refusal, rewrite
from router.http1 import HEAD_LIMIT_BYTES, INTERIM_LIMIT, BadResponseError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def new(*, is_head: bool = False, close: bool = False) -> Answer:
    return Answer(AnswerHeads(), b"id-1", is_head=is_head, close=close)


def answer(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK", body: bytes = b"") -> bytes:
    return b"\r\n".join([start, *lines, b"", b""]) + body


def fed(data: bytes, *, is_head: bool = False, close: bool = False) -> tuple[bytes, Answer]:
    each = new(is_head=is_head, close=close)
    return each.feed(data), each


# --- what the client gets

REWRITTEN = {
    "a length": (
        answer(b"Content-Length: 2", body=b"ok"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Call-Id: id-1\r\n\r\nok",
    ),
    "no body": (
        answer(b"Content-Length: 0"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "case and order are kept, white space around values is not": (
        answer(b"x-B:  1 2\t", b"CONTENT-length:0", b"X-a: 3"),
        b"HTTP/1.1 200 OK\r\nx-B: 1 2\r\nCONTENT-length: 0\r\nX-a: 3\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "another reason": (
        answer(b"Content-Length: 0", start=b"HTTP/1.1 404 f\xfcr Sie"),
        b"HTTP/1.1 404 f\xfcr Sie\r\nContent-Length: 0\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "no reason": (
        answer(b"Content-Length: 0", start=b"HTTP/1.1 200"),
        b"HTTP/1.1 200 \r\nContent-Length: 0\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "the instance's call id is replaced": (
        answer(b"x-call-ID: forged", b"Content-Length: 0"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "hop-by-hop headers end here": (
        answer(b"Connection: close, X-Hop", b"Keep-Alive: timeout=5", b"X-Hop: a", b"Content-Length: 0"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "chunks are made anew": (
        answer(b"Transfer-Encoding: chunked", body=b"1;a=b\r\no\r\n1\r\nk\r\n0\r\nX: a\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\nX-Call-Id: id-1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    "an interim answer is forwarded": (
        EARLY + OK,
        EARLY + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Call-Id: id-1\r\n\r\nok",
    ),
    "100 is for the router": (
        CONTINUE + OK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Call-Id: id-1\r\n\r\nok",
    ),
    "204": (
        answer(start=b"HTTP/1.1 204 No Content"),
        b"HTTP/1.1 204 No Content\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "204 has no length": (
        answer(b"Content-Length: 5", start=b"HTTP/1.1 204 No Content"),
        b"HTTP/1.1 204 No Content\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "304 has the length of what it stands for": (
        answer(b"Content-Length: 5", start=b"HTTP/1.1 304 x"),
        b"HTTP/1.1 304 x\r\nContent-Length: 5\r\nX-Call-Id: id-1\r\n\r\n",
    ),
    "Connection cannot take the length away": (
        answer(b"Content-Length: 2", b"Connection: content-LENGTH", body=b"ok"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Call-Id: id-1\r\n\r\nok",
    ),
}


@pytest.mark.parametrize(("data", "expected"), REWRITTEN.values(), ids=REWRITTEN.keys())
def test_what_the_client_gets(data: bytes, expected: bytes) -> None:
    out, each = fed(data)
    assert out == expected
    assert each.complete


@pytest.mark.parametrize(("data", "expected"), REWRITTEN.values(), ids=REWRITTEN.keys())
def test_a_client_that_closes_is_told_so_and_gets_the_same(data: bytes, expected: bytes) -> None:
    out, _ = fed(data, close=True)
    head, _, body = expected.rpartition(b"X-Call-Id: id-1")
    ending, _, rest = body.partition(b"\r\n\r\n")
    assert out == head + b"X-Call-Id: id-1" + ending + b"\r\nConnection: close\r\n\r\n" + rest


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def unchunked(out: bytes) -> bytes:
    """Chunks come as the pieces came: only what is in them counts."""
    head, _, body = out.partition(b"chunked\r\n\r\n")
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        data, body = data + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return head + data


@pytest.mark.parametrize(("data", "expected"), REWRITTEN.values(), ids=REWRITTEN.keys())
def test_in_two_pieces_it_is_the_same(data: bytes, expected: bytes) -> None:
    for cut in range(len(data) + 1):
        each = new()
        out = each.feed(data[:cut])
        out += each.feed(data[cut:]) if cut < len(data) else b""
        assert unchunked(out) == unchunked(expected), cut
        assert each.complete


@given(st.sampled_from(list(REWRITTEN.values())), st.lists(st.integers(0, 200), max_size=20))
def test_in_any_pieces_it_is_the_same(case: tuple[bytes, bytes], cuts: list[int]) -> None:
    data, expected = case
    each = new()
    out = b"".join(each.feed(piece) for piece in pieces(data, [min(cut, len(data)) for cut in cuts]) if piece)
    assert unchunked(out) == unchunked(expected)
    assert each.complete


def test_to_the_end_of_the_connection() -> None:
    out, each = fed(answer(body=b"ab"))
    assert out == b"HTTP/1.1 200 OK\r\nX-Call-Id: id-1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
    assert not each.complete
    assert each.feed(b"c") == b"1\r\nc\r\n"
    assert each.end(broken=False) == b"0\r\n\r\n"
    assert each.complete
    assert not each.reusable


# --- the end of the connection


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        EARLY,
        answer(b"Content-Length: 3", body=b"ab"),
        answer(b"Transfer-Encoding: chunked", body=b"2\r\nab\r\n"),
        answer(b"Transfer-Encoding: chunked", body=b"2\r\nab\r\n0\r\n"),
    ],
)
def test_an_end_within_the_answer_is_an_error(begun: bytes) -> None:
    each = new()
    if begun:
        each.feed(begun)
    with pytest.raises(BadResponseError):
        each.end(broken=False)
    assert not each.complete


def test_a_reset_is_never_the_end_of_an_answer() -> None:
    _, each = fed(answer(body=b"ab"))
    with pytest.raises(BadResponseError):
        each.end(broken=True)


# --- whether the connection is kept

KEPT = {
    "a length": (OK, True),
    "chunks": (answer(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), True),
    "HTTP/1.0 that keeps": (
        answer(b"Content-Length: 0", b"Connection: keep-alive", start=b"HTTP/1.0 200 OK"),
        True,
    ),
    "HTTP/1.0": (answer(b"Content-Length: 0", start=b"HTTP/1.0 200 OK"), False),
    "close": (answer(b"Content-Length: 0", b"Connection: close"), False),
    "close among others": (answer(b"Content-Length: 0", b"Connection: x, Close"), False),
    "close in a second header": (
        answer(b"Content-Length: 0", b"Connection: keep-alive", b"Connection: close"),
        False,
    ),
    "a byte after the length": (OK + b"k", False),
    "a line break after the length": (OK + b"\r\n", False),
    "a second answer": (OK + OK, False),
    "bytes after the last chunk": (answer(b"Transfer-Encoding: chunked", body=b"0\r\n\r\nx"), False),
    "a body after 204": (answer(start=b"HTTP/1.1 204 x", body=b"ok"), False),
    "a body after 304": (answer(b"Content-Length: 2", start=b"HTTP/1.1 304 x", body=b"ok"), False),
}


@pytest.mark.parametrize(("data", "kept"), KEPT.values(), ids=KEPT.keys())
def test_a_connection_is_kept_only_after_exactly_one_answer(data: bytes, kept: bool) -> None:
    out, each = fed(data)
    assert each.complete
    assert each.reusable is kept
    assert out.count(b"HTTP/1.1") == 1
    assert out.endswith((b"\r\n\r\n", b"\r\n\r\nok"))


@pytest.mark.parametrize("body", [b"", b"ok", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_an_answer_to_head_has_no_body(body: bytes) -> None:
    out, each = fed(answer(b"Content-Length: 2", body=body), is_head=True)
    assert out == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Call-Id: id-1\r\n\r\n"
    assert each.complete
    assert each.reusable is (body == b"")


def test_an_answer_to_head_may_name_chunks_that_do_not_come() -> None:
    out, each = fed(answer(b"Transfer-Encoding: chunked"), is_head=True)
    assert out == b"HTTP/1.1 200 OK\r\nX-Call-Id: id-1\r\n\r\n"
    assert each.reusable


def test_what_is_remembered_of_get_is_not_used_for_head() -> None:
    heads = AnswerHeads()
    first = Answer(heads, b"1", is_head=False, close=False)
    first.feed(OK)
    second = Answer(heads, b"2", is_head=True, close=False)
    second.feed(OK[:-2])
    third = Answer(heads, b"3", is_head=False, close=False)
    third.feed(OK[:-2])
    assert (first.complete, second.complete, third.complete) == (True, True, False)


def test_remembered_heads_are_bounded() -> None:
    heads = AnswerHeads()
    for number in range(REMEMBERED_HEADS * 2):
        heads.rewritten(answer(b"X: %d" % number))
    assert len(heads._known) <= REMEMBERED_HEADS


# --- what is refused

REFUSED = {
    "not HTTP": b"SSH-2.0-OpenSSH\r\n",
    "an empty line first": b"\r\n" + OK,
    "101 that nobody asked for": answer(b"Upgrade: websocket", start=b"HTTP/1.1 101 x"),
    "101 after an interim answer": EARLY + answer(start=b"HTTP/1.1 101 x"),
    "a head that is too long": b"HTTP/1.1 200 OK\r\nX: " + b"a" * HEAD_LIMIT_BYTES,
    "a whole head that is too long": answer(b"X: " + b"a" * HEAD_LIMIT_BYTES),
    "too many interim answers": CONTINUE * (INTERIM_LIMIT + 1) + OK,
    "a flood of interim answers": b"HTTP/1.1 100\r\n\r\n" * 10_000,
    "an interim answer that is none": b"HTTP/1.1 1000 x\r\n\r\n" + OK,
    "an interim answer with a length": answer(b"Content-Length: 2", start=b"HTTP/1.1 103 x") + OK,
    "an interim answer with length 0": answer(b"Content-Length: 0", start=b"HTTP/1.1 100 x") + OK,
    "an interim answer in chunks": answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 103 x") + OK,
    "an interim answer in HTTP/1.0": answer(start=b"HTTP/1.0 103 x") + OK,
    "an interim answer that ends the connection": answer(b"Connection: close", start=b"HTTP/1.1 103 x") + OK,
    "chunked with a tab behind": answer(b"X: a", b"transfer-ENCODING: chunked\t", body=b"0\r\n\r\n"),
    "chunked with a tab before": answer(b"Transfer-Encoding:\tchunked", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": answer(
        b"Transfer-Encoding: chunked", b"Connection: keep-alive", start=b"HTTP/1.0 200 OK", body=b"0\r\n\r\n"
    ),
    "bare LF in an unfinished head": b"HTTP/1.1 200 OK\nX: a\n\n",
    "a length that overflows": answer(b"Content-Length: 18446744073709551616"),
    "a chunk size that overflows": answer(b"Transfer-Encoding: chunked", body=b"10000000000000002\r\nab\r\n"),
    "a chunk size with a sign": answer(b"Transfer-Encoding: chunked", body=b"+2\r\nab\r\n"),
    "a chunk longer than its size": answer(b"Transfer-Encoding: chunked", body=b"2\r\nabc\r\n"),
    "a chunk extension without end": answer(b"Transfer-Encoding: chunked", body=b"2;" + b"a" * 10_000),
    "a trailer without end": answer(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"a" * 10_000),
    "trailers without end": answer(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: a\r\n" * 10_000),
    "a trailer that ends in a bare LF": answer(b"Transfer-Encoding: chunked", body=b"0\r\nX: a\n\r\n\r\n"),
    "a trailer with a bare CR": answer(b"Transfer-Encoding: chunked", body=b"0\r\nX: a\rb\r\n\r\n"),
    "a trailer without a colon": answer(b"Transfer-Encoding: chunked", body=b"0\r\nHTTP/1.1 200 OK\r\n\r\n"),
    "a length as a trailer": answer(b"Transfer-Encoding: chunked", body=b"0\r\nContent-Length: 0\r\n\r\n"),
    "an encoding as a trailer": answer(
        b"Transfer-Encoding: chunked", body=b"0\r\ntransfer-encoding: chunked\r\n\r\n"
    ),
    "a folded trailer": answer(b"Transfer-Encoding: chunked", body=b"0\r\nX: a\r\n b\r\n\r\n"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_an_answer_to_refuse(data: bytes) -> None:
    """Nothing of it has gone out, so that the client can be told."""
    each = new()
    with pytest.raises(BadResponseError):
        each.feed(data)
    assert not each.begun


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_an_answer_to_refuse_in_pieces_of_one_kilobyte(data: bytes) -> None:
    each = new()
    with pytest.raises(BadResponseError):
        for start in range(0, len(data), 1024):
            each.feed(data[start : start + 1024])


def test_as_many_interim_answers_as_allowed() -> None:
    _, each = fed(CONTINUE * INTERIM_LIMIT + OK)
    assert each.complete


class Counting(bytearray):
    """Counts the bytes that a search has to look at."""

    looked_at = 0

    def find(self, *args: object) -> int:
        start = args[1] if len(args) > 1 and isinstance(args[1], int) else 0
        self.looked_at += len(self) - start
        return super().find(*args)  # type: ignore[arg-type]


def test_a_head_byte_by_byte_is_looked_at_once() -> None:
    """Not again from its beginning with each byte: that would take quadratic time."""
    each = new()
    each._incoming = counting = Counting()
    data = b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000
    for position in range(len(data)):
        each.feed(data[position : position + 1])
    assert len(counting) == len(data)
    assert counting.looked_at < 10 * len(data)


# --- answers of the router's own


def test_a_refusal_is_a_whole_answer() -> None:
    error = PlatError("not_found", "Nothing is here.")
    out = refusal(error, "id-1", is_head=False, close=False)
    head, _, body = out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nX-Call-Id: id-1\r\n" in head
    assert b"\r\nContent-Length: %d" % len(body) in head
    assert b"Connection" not in head
    assert b'"code":"not_found"' in body
    assert refusal(error, "id-1", is_head=True, close=False) == head + b"\r\n\r\n"
    assert b"\r\nConnection: close" in refusal(error, "id-1", is_head=False, close=True)


def test_a_rewritten_interim_answer_has_no_call_id() -> None:
    made = rewrite(EARLY, "GET")
    assert (made.start, made.ending, made.closing) == (EARLY, b"", b"")


# --- in one piece, with a head seen before: no Answer is made


WHOLE = [
    *(data for data, _ in REWRITTEN.values()),
    OK,
    OK + b"x",
    OK[:-1],
    EARLY,
    EARLY + OK,
    CONTINUE,
    CONTINUE + OK,
    answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    answer(body=b"to the end"),
    answer(start=b"HTTP/1.1 204 No Content"),
    answer(start=b"HTTP/1.1 204 No Content", body=b"x"),
    answer(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified"),
    answer(b"Connection: close", b"Content-Length: 2", body=b"ok"),
    b"nonsense",
    b"",
]


def first_fed(heads: AnswerHeads, data: bytes) -> None:
    """As the first call whose answer has these heads."""
    try:
        Answer(heads, b"id-0", is_head=False, close=False).feed(data)
    except BadResponseError:
        return


@given(
    st.lists(st.sampled_from(WHOLE), max_size=5), st.sampled_from(WHOLE), st.binary(max_size=3), st.booleans()
)
def test_the_short_way_gives_what_an_answer_gives(
    before: list[bytes], data: bytes, more: bytes, close: bool
) -> None:
    heads = AnswerHeads()
    for each in before:
        first_fed(heads, each)
    whole = heads.whole(data + more, b"id-1", b"", close=close)
    if whole is None:
        return
    slow = Answer(AnswerHeads(), b"id-1", is_head=False, close=close)
    assert whole[1] == slow.feed(data + more)
    assert slow.complete
    assert (whole[0].status, whole[0].keep_alive) == (slow.status, slow.reusable)


def test_the_short_way_is_taken() -> None:
    heads = AnswerHeads()
    assert heads.whole(OK, b"id-1", b"", close=False) is None
    first_fed(heads, OK)
    assert heads.whole(OK, b"id-1", b"", close=False) is not None
