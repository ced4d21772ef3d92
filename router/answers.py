"""An instance's answer on its way to a client of the fast path: bytes in, bytes out. Decides only.

Heads are parsed by `http1.parse_head`, bodies by its readers: the streaming path uses the same.
"""

from typing import NamedTuple

from plat.errors import PlatError
from plat.web import problem_body, problem_headers
from router.http1 import (
    INTERIM_LIMIT,
    LAST_CHUNK,
    BadResponseError,
    Body,
    ResponseHead,
    body_of,
    check_beginning,
    end_to_end,
    parse_head,
    write_chunk,
    write_response_head,
)

REMEMBERED_HEADS = 4096
REMEMBERED_HEAD_BYTES = 1024


class Rewritten(NamedTuple):
    """A head, and what the client gets of it: `start`, the call id, `ending` (or `closing`)."""

    head: ResponseHead
    start: bytes
    ending: bytes
    closing: bytes
    """The ending of an answer after which the client's connection is closed."""


class AnswerHeads:
    """Instances send the same heads again and again: what was made of each is kept by its bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, Rewritten] = {}

    def rewritten(self, head: bytes) -> Rewritten:
        """Of a request that was not HEAD. Raises BadResponseError."""
        known = self._known.get(head)
        if known is None:
            known = rewrite(head, "GET")
            if len(head) <= REMEMBERED_HEAD_BYTES and not known.head.interim:
                if len(self._known) >= REMEMBERED_HEADS:
                    self._known.clear()
                self._known[head] = known
        return known

    def whole(
        self, data: bytes, call_id: bytes, lines: bytes, *, close: bool
    ) -> tuple[ResponseHead, bytes] | None:
        """Of an answer that came in one piece, with a head seen before: the head, and what the client gets.

        `lines` go into its head, each begun by CRLF. None: it may be anything else, and takes an `Answer`.
        Not for the answer to HEAD.
        """
        end = data.find(b"\r\n\r\n") + 4
        known = self._known.get(data[:end])
        if known is None or known.head.length != len(data) - end:
            return None
        ending = known.closing if close else known.ending
        return known.head, b"".join((known.start, call_id, lines, ending, data[end:]))


def rewrite(head: bytes, request_method: str) -> Rewritten:
    """Raises BadResponseError."""
    parsed = parse_head(head, request_method)
    headers = [pair for pair in end_to_end(parsed.headers) if pair[0].lower() != b"x-call-id"]
    start = write_response_head(parsed.status, parsed.reason, headers)[:-2]
    if parsed.interim:
        return Rewritten(parsed, start + b"\r\n", b"", b"")
    framing = b"\r\nTransfer-Encoding: chunked" if parsed.length is None else b""
    return Rewritten(
        parsed,
        start + b"X-Call-Id: ",
        framing + b"\r\n\r\n",
        framing + b"\r\nConnection: close\r\n\r\n",
    )


def refusal(error: PlatError, call_id: str, *, is_head: bool, close: bool) -> bytes:
    """The whole answer to a call that no instance answers."""
    body = problem_body(error, call_id)
    headers = [(name.encode(), value.encode()) for name, value in problem_headers(error, call_id).items()]
    headers.append((b"Content-Length", b"%d" % len(body)))
    if close:
        headers.append((b"Connection", b"close"))
    head = write_response_head(error.status, error.kind.title.encode(), headers)
    return head if is_head else head + body


class Refusals:
    """Refusals repeat themselves too, and are cheapest when there are most: only the call id differs."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], list[bytes]] = {}

    def of(self, error: PlatError, call_id: bytes, *, is_head: bool, close: bool) -> bytes:
        key = (
            error.code,
            error.detail,
            error.reason,
            error.headers,
            error.retry_after,
            len(call_id),
            is_head,
            close,
        )
        parts = self._known.get(key)
        if parts is None:
            mark = "@" * len(call_id)  # no call id has this character
            parts = refusal(error, mark, is_head=is_head, close=close).split(mark.encode())
            if len(self._known) >= REMEMBERED_HEADS:
                self._known.clear()
            self._known[key] = parts
        return call_id.join(parts)


class Answer:
    """One call's answer. `feed` what the instance sends; write what it returns."""

    __slots__ = (
        "_body",
        "_call_id",
        "_chunked",
        "_close",
        "_heads",
        "_incoming",
        "_interims",
        "_is_head",
        "begun",
        "complete",
        "head",
    )

    def __init__(self, heads: AnswerHeads, call_id: bytes, *, is_head: bool, close: bool) -> None:
        self._heads = heads
        self._call_id = call_id
        self._is_head = is_head
        self._close = close
        self._incoming = bytearray()
        self._interims = 0
        self._body: Body | None = None
        self._chunked = False
        self.head: ResponseHead | None = None
        self.begun = False
        """Whether any byte of the final answer has gone out."""
        self.complete = False

    @property
    def reusable(self) -> bool:
        """Complete, not a byte more, and the instance keeps the connection."""
        return self.complete and self.head is not None and self.head.keep_alive and not self._incoming

    @property
    def status(self) -> int:
        return self.head.status if self.head is not None else 0

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client; `complete` tells whether they are the last. Raises BadResponseError."""
        if self._body is not None:
            self._incoming += data
            return self._feed_body(self._body)
        if self._incoming:
            seen = len(self._incoming)
            self._incoming += data
            if self._incoming.find(b"\r\n\r\n", max(0, seen - 3)) < 0:
                check_beginning(self._incoming, seen)
                return b""
            data = bytes(self._incoming)
            self._incoming.clear()
        return self._feed_heads(data)

    def end(self, *, broken: bool) -> bytes:
        """The instance has closed the connection. Raises BadResponseError if that cuts the answer.

        `broken`: by a reset, which is never the end that an answer without a length has.
        """
        if self._body is None or broken:
            raise BadResponseError("the connection ended before the answer")
        self._body.end()
        self.complete = True
        if self.head is not None:
            self.head = self.head._replace(keep_alive=False)
        return LAST_CHUNK if self._chunked else b""

    def _feed_heads(self, data: bytes) -> bytes:
        start, interim = 0, b""
        while (end := data.find(b"\r\n\r\n", start) + 4) > 3:
            raw = data[start:end]
            made = rewrite(raw, "HEAD") if self._is_head else self._heads.rewritten(raw)
            if not made.head.interim:
                return interim + self._feed_final(made, data, end)
            interim += self._interim(made)
            start = end
        self._incoming += data[start:]
        check_beginning(self._incoming)
        return interim

    def _feed_final(self, made: Rewritten, data: bytes, end: int) -> bytes:
        self.head = made.head
        out = made.start + self._call_id + (made.closing if self._close else made.ending)
        if len(data) - end == made.head.length:
            self.begun = self.complete = True
            return out + data[end:]
        self._body = body_of(made.head)
        self._chunked = made.head.length is None
        self._incoming += data[end:]
        out += self._feed_body(self._body)
        self.begun = True  # not before: a body that is wrong at once takes its head along
        return out

    def _interim(self, made: Rewritten) -> bytes:
        if made.head.status == 101:
            raise BadResponseError("101 to a request that asked for no upgrade")
        self._interims += 1
        if self._interims > INTERIM_LIMIT:
            raise BadResponseError(f"more than {INTERIM_LIMIT} interim answers")
        return b"" if made.head.status == 100 else made.start

    def _feed_body(self, body: Body) -> bytes:
        piece = body.feed(self._incoming)
        self.complete = body.complete
        if not self._chunked:
            return piece
        out = write_chunk(piece) if piece else b""
        return out + LAST_CHUNK if self.complete else out
