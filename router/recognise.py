"""Which requests the fast path takes: one strict pattern over the whole head (RFC 9112, RFC 9110).

Decides only. What is not recognised is not wrong: it is handed to aiohttp with its bytes, which reads
all of HTTP/1.1. What is recognised, every other parser must read in the same way.
"""

import re
from typing import NamedTuple

from msgspec import Struct

from router.target import FUNCTION_PREFIX, LIVE, Target
from router.terms import Terms

HEAD_LIMIT_BYTES = 8 * 1024
HEADER_LIMIT = 100

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) "
    rb"(/function/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?::([0-9A-Za-z-]{1,63}))?)"
    rb"(/[0-9A-Za-z\-._~!$&'()*+,;=:@/]*)?"
    rb"(\?[0-9A-Za-z\-._~!$&'()*+,;=:@/?%]*)? HTTP/1\.1\r\n"
    rb"((?:" + _TOKEN + rb":[\t \x21-\x7e\x80-\xff]*\r\n)+)\r\n"
)
_OURS = re.compile(
    rb"^(host|content-length|authorization|connection|x-call-id|x-forwarded-[a-z]+|x-deadline-ms|expect|te|trailer"
    rb"|transfer-encoding|upgrade|keep-alive|proxy-[a-z-]+|http2-settings"
    rb"|content-(?:location|range|type)|etag|idempotency-key|max-forwards|origin|sec-websocket-key1|server"
    rb"|user-agent):([^\r\n]*)\r\n",
    re.IGNORECASE | re.MULTILINE,
)
"""Headers that mean something to the router, or that aiohttp refuses when there are two; all others are
forwarded as they came. Values are stripped outside: a pattern for that takes quadratic time."""

_HOPELESS = re.compile(rb"\A[^A-Z\r]|[^\r]\n")
_LENGTH = re.compile(rb"[0-9]{1,10}")
_CALL_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_HOST = re.compile(rb"[0-9A-Za-z.:\-_\[\]]{1,255}")


class Recognised(Struct, gc=False):
    """A request's head, taken apart and put together again for the instance.

    Clients that never send the same head twice leave thousands of them: the collector need not know.
    """

    target: Target
    method: str
    is_head: bool
    length: int
    """Bytes of the body; 0 if there is none."""
    authorization: str | None
    call_id: bytes | None
    """The client's, if it sent one."""
    close: bool
    """The client wants the connection closed after the answer."""
    forward: bytes
    """The head to send, without Authorization, up to the value of X-Forwarded-For."""
    forward_authorized: bytes
    """The same with Authorization, for functions that check it themselves. Not for tokens of ours."""
    terms: Terms | None = None
    """Those of the last call with this head."""


class _Fields(NamedTuple):
    """The values of the headers that mean something to the router."""

    host: bytes
    length: int
    authorization: bytes | None
    call_id: bytes | None
    close: bool
    forwarded_for: bytes
    has_origin: bool


def may_become(beginning: bytes) -> bool:
    """Whether it pays to wait for the rest of a head. What is wrong already is for aiohttp to refuse."""
    return len(beginning) <= HEAD_LIMIT_BYTES and _HOPELESS.search(beginning) is None


def recognise(head: bytes) -> Recognised | None:
    """None: hand the request over. `head` ends with its empty line."""
    match = _HEAD.fullmatch(head)
    if match is None or len(head) > HEAD_LIMIT_BYTES:
        return None
    method, prefix, name, qualifier, path, query, lines = match.groups()
    if path and b".." in path:
        return None
    fields = _fields(lines)
    if fields is None or lines.count(b"\n") > HEADER_LIMIT:
        return None
    instance_target = (path or b"/") + (query or b"")
    start = b"%b %b HTTP/1.1\r\n" % (method, instance_target)
    ours = (
        b"X-Forwarded-Host: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Prefix: %b\r\nX-Forwarded-For: %b"
        % (fields.host, prefix, fields.forwarded_for)
    )
    kept = _OURS.sub(_keep_line, lines)
    authorization = fields.authorization
    authorized = kept if authorization is None else kept + b"Authorization: " + authorization + b"\r\n"
    return Recognised(
        target=Target(
            name.decode(),
            qualifier.decode() if qualifier else LIVE,
            prefix.decode(),
            instance_target.decode(),
            fields.has_origin,
        ),
        method=method.decode(),
        is_head=method == b"HEAD",
        length=fields.length,
        authorization=None if authorization is None else authorization.decode("utf-8", "surrogateescape"),
        call_id=fields.call_id,
        close=fields.close,
        forward=start + kept + ours,
        forward_authorized=start + authorized + ours,
    )


def _keep_line(match: "re.Match[bytes]") -> bytes:
    """What goes on as it came; the others are replaced or left out."""
    return match.group() if match[1].lower() in _KEPT else b""


def _fields(lines: bytes) -> _Fields | None:
    """None if a header is there that only the streaming path understands, or one is there twice."""
    found: dict[bytes, bytes] = {}
    for name, value in _OURS.findall(lines):
        key = name.lower()
        if key in found or key not in _UNDERSTOOD:
            return None
        found[key] = value.strip(b" \t")
    length = found.get(b"content-length", b"0")
    call_id = found.get(b"x-call-id")
    connection = found.get(b"connection", b"keep-alive").lower()
    host = found.get(b"host", b"")
    if not (_LENGTH.fullmatch(length) and _HOST.fullmatch(host) and connection in (b"keep-alive", b"close")):
        return None
    if call_id is not None and not _CALL_ID.fullmatch(call_id):
        return None
    forwarded_for = found.get(b"x-forwarded-for")
    return _Fields(
        host=host,
        length=int(length),
        authorization=found.get(b"authorization"),
        call_id=call_id,
        close=connection == b"close",
        forwarded_for=forwarded_for + b", " if forwarded_for else b"",
        has_origin=b"origin" in found,
    )


_KEPT = frozenset(
    {
        b"host",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"etag",
        b"max-forwards",
        b"origin",
        b"server",
        b"user-agent",
    }
)
_UNDERSTOOD = _KEPT | frozenset(
    {
        b"authorization",
        b"connection",
        b"x-call-id",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    }
)

assert FUNCTION_PREFIX == "/function/", "the pattern above has it too"
