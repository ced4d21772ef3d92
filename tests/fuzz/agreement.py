"""What must hold for any bytes: whatever the router reads as a message, every other parser reads the same.

AssertionError: two parsers disagree. Where another may refuse what we take, the tables here say why.
"""

import re
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import msgspec

from router.answers import Answer, AnswerHeads
from router.http1 import BadResponseError, body_of, parse_head
from router.recognise import Recognised, recognise
from router.target import origin_form, parse_target
from tests.fuzz.readers import (
    REQUEST_PARSERS,
    RESPONSE_PARSERS,
    AiohttpReader,
    Headers,
    Refused,
    Request,
    Response,
    h11_request,
    h11_response,
    normal,
)

REPLACED = (
    b"authorization",
    b"connection",
    b"x-call-id",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
)
"""Headers of a client that the router does not forward as they came."""

_HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}

_OLD_WEBSOCKET = "Invalid HTTP header: 'Sec-WebSocket-Key1'"
"""A header of a draft of 2010 with a body that no length announced; to us it is a header like any other."""

ANSWERS_OTHERS_REFUSE = {
    # RFC 9112, 7.1.1, allows white space before an extension ("bad whitespace"); h11 does not.
    "h11": ["illegal chunk header"],
    # llhttp reads the grammar of extensions, which http1 takes as text. They are dropped, and end at the
    # line's end for both.
    "aiohttp C": ["Invalid character in chunk extensions", _OLD_WEBSOCKET],
    "aiohttp Python": [_OLD_WEBSOCKET],
}
"""What another parser may refuse of what http1 takes: reasons, as patterns. None may read it differently."""


# --- requests


def check_request(data: bytes, aiohttp: AiohttpReader) -> bool:
    """Whether the fast path takes the beginning of `data`; if so, all others read it in the same way."""
    end = data.find(b"\r\n\r\n") + 4
    recognised = recognise(data[:end]) if end > 3 else None
    if recognised is None:
        return False
    length = min(recognised.length, 100_000)
    if length != recognised.length:
        return True  # handed over for its size
    body = data[end:][:length].ljust(length, b"a")
    message = data[:end] + body
    readings = {"h11": h11_request(message)}
    readings |= {name: aiohttp.request(parser, message) for name, parser in REQUEST_PARSERS.items()}
    for name, reading in readings.items():
        _check_reading(recognised, reading, body, f"{name}: {message!r}")
    return True


def _check_reading(ours: Recognised, other: Request, body: bytes, message: str) -> None:
    assert other.body == body, message
    assert ours.length == len(body), message
    assert (ours.method.encode(), ours.is_head) == (other.method, other.method == b"HEAD"), message
    named = dict(other.headers)
    target = parse_target(origin_form(other.target.decode("ascii")))
    assert ours.target == msgspec.structs.replace(target, has_origin=b"origin" in named), message
    assert ours.authorization == _text(named.get(b"authorization")), message
    assert ours.call_id == named.get(b"x-call-id"), message
    assert ours.close == (named.get(b"connection", b"").lower() == b"close"), message
    forwarded = _instance_reads(ours.forward, body)
    authorized = _instance_reads(ours.forward_authorized, body)
    assert forwarded == _expected(ours, other, body, authorized=False), message
    assert authorized == _expected(ours, other, body, authorized=True), message


def _instance_reads(head: bytes, body: bytes) -> Request:
    return h11_request(head + b"192.0.2.1\r\n\r\n" + body)


def _expected(ours: Recognised, other: Request, body: bytes, *, authorized: bool) -> Request:
    """What the instance must get, from another parser's reading of the client's request."""
    named = dict(other.headers)
    headers = [pair for pair in other.headers if pair[0] not in REPLACED]
    if authorized and b"authorization" in named:
        headers.append((b"authorization", named[b"authorization"]))
    earlier = named.get(b"x-forwarded-for")
    headers += [
        (b"x-forwarded-host", named[b"host"]),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-prefix", ours.target.prefix.encode()),
        (b"x-forwarded-for", earlier + b", 192.0.2.1" if earlier else b"192.0.2.1"),
    ]
    return Request(other.method, ours.target.path.encode(), headers, body)


def _text(value: bytes | None) -> str | None:
    """As aiohttp has it."""
    return None if value is None else value.decode("utf-8", "surrogateescape")


# --- answers


class Outcome(NamedTuple):
    """What the router makes of an instance's bytes."""

    refused: bool
    complete: bool
    kept: bool
    """Whether the connection is used again."""
    out: bytes
    """What the client gets; of a refused answer what it had got."""


def check_answer(
    data: bytes, cuts: list[int], aiohttp: AiohttpReader, *, method: str = "GET", ended: bool = False
) -> Response | None:
    """What http1 reads, or None: it comes to the same in any pieces, and others read the same or refuse."""
    whole = fed([data], method=method, ended=ended)
    _check_pieces(whole, fed(cut(data, cuts), method=method, ended=ended), f"{cuts} {data!r}")
    _check_short_way(data, whole, method)
    ours = read(data, method=method, ended=ended)
    assert (ours is not None) == (whole.complete and (whole.kept or _left_nothing(data, method, ended))), data
    if ours is not None:
        _check_others(ours, data, method, aiohttp, ended=ended)
        _check_client(ours, whole.out, method)
    return ours


def _check_short_way(data: bytes, whole: Outcome, method: str) -> None:
    """What the router does with an answer in one piece whose head it has seen before."""
    heads = AnswerHeads()
    with suppress(BadResponseError):  # a head may be good, and what follows it not
        Answer(heads, b"id", is_head=False, close=False).feed(data)
    short = heads.whole(data, b"id", b"", close=False)
    if short is not None and method != "HEAD":
        assert whole.complete, data
        assert (short[1], short[0].keep_alive) == (whole.out, whole.kept), data


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place for place in cuts if 0 < place < len(data))})
    return [data[start:end] for start, end in pairwise(places)] or [b""]


def fed(pieces: list[bytes], *, method: str, ended: bool) -> Outcome:
    answer = Answer(AnswerHeads(), b"id", is_head=method == "HEAD", close=False)
    out = b""
    left = list(pieces)
    try:
        while left and not answer.complete:
            out += answer.feed(left.pop(0))
        if ended and not answer.complete:
            out += answer.end(broken=False)
    except BadResponseError:
        return Outcome(refused=True, complete=False, kept=False, out=out)
    return Outcome(False, answer.complete, answer.reusable and not left, out)


def _check_pieces(whole: Outcome, pieces: Outcome, message: str) -> None:
    assert whole.refused == pieces.refused, message
    assert whole.complete == pieces.complete, message
    assert whole.kept == pieces.kept, message
    if not whole.refused:
        assert plain(whole.out) == plain(pieces.out), message


_LINES = rb"(?:(?!\r\n\r\n).)*"
_CHUNKED_HEAD = re.compile(
    rb"(?s)((?:HTTP/1\.1 1%b\r\n\r\n)*HTTP/1\.1 [2-5]%b\r\nTransfer-Encoding: chunked\r\n\r\n)(.*)"
    % (_LINES, _LINES)
)
"""At the begin only: a body may look like one."""


def plain(out: bytes) -> tuple[bytes, bytes, bool]:
    """Head, body and whether its end is there: chunks may be cut differently."""
    match = _CHUNKED_HEAD.match(out)
    if match is None:
        return out, b"", True
    head, body = out[: match.end(1)], match[2]
    data = b""
    while body and not body.startswith(b"0\r\n"):
        size, _, body = body.partition(b"\r\n")
        data, body = data + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return head, data, body == b"0\r\n\r\n"


def read(data: bytes, *, method: str, ended: bool) -> Response | None:
    """With `router.http1` alone, as the streaming path does. None: refused, cut short, or more than one."""
    try:
        return _read(bytearray(data), method, ended=ended)
    except BadResponseError:
        return None


def _read(buffer: bytearray, method: str, *, ended: bool) -> Response | None:
    for _ in range(101):
        end = buffer.find(b"\r\n\r\n") + 4
        if end == 3:
            return None
        head = parse_head(bytes(buffer[:end]), method)
        del buffer[:end]
        if head.status == 101:
            return None
        if not head.interim:
            break
    else:
        return None
    body = body_of(head)
    data = body.feed(buffer)
    if ended and not body.complete:
        body.end()
    if not body.complete or buffer:
        return None
    return Response(head.status, head.reason, normal(head.headers), data)


def _left_nothing(data: bytes, method: str, ended: bool) -> bool:
    """A connection that is not kept may have had nothing left over all the same."""
    return read(data, method=method, ended=ended) is not None


def _check_others(ours: Response, data: bytes, method: str, aiohttp: AiohttpReader, *, ended: bool) -> None:
    readings: dict[str, Response] = {}
    refusals: dict[str, Refused] = {}
    try:
        readings["h11"] = h11_response(data, method.encode(), ended=ended)
    except Refused as error:
        refusals["h11"] = error
    for name, parser in RESPONSE_PARSERS.items():
        try:
            readings[name] = aiohttp.response(parser, data, method, ended=ended)
        except Refused as error:
            refusals[name] = error
    for name, reading in readings.items():
        assert _comparable(reading) == _comparable(ours), f"{name}: {data!r}"
    for name, refusal in refusals.items():
        allowed = ANSWERS_OTHERS_REFUSE[name]
        assert any(re.search(each, str(refusal)) for each in allowed), f"{name} refuses {data!r}: {refusal}"


def _comparable(response: Response) -> tuple[int, bytes, Headers, bytes]:
    """204 with a length: http1 leaves the length out, the others the body."""
    headers = response.headers
    if response.status == 204:
        headers = [pair for pair in headers if pair[0] != b"content-length"]
    return response.status, response.reason.strip(b" \t"), headers, response.body


def _check_client(ours: Response, out: bytes, method: str) -> None:
    """What the client reads is what the instance said, without the headers of the connection."""
    got = h11_response(out, method.encode(), ended=False)
    named = {
        option.strip()
        for name, value in ours.headers
        if name == b"connection"
        for option in value.lower().split(b",")
    }
    gone = _HOP_BY_HOP | (named - {b"content-length"}) | {b"x-call-id"}
    kept = [pair for pair in ours.headers if pair[0] not in gone and not pair[0].startswith(b"proxy-")]
    headers = [
        pair
        for pair in got.headers
        if pair not in [(b"x-call-id", b"id"), (b"transfer-encoding", b"chunked")]
        and not pair[0].startswith(b"proxy-")
    ]
    assert (got.status, got.body) == (ours.status, ours.body), out
    assert headers == kept, out
