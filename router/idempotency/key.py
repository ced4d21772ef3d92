"""What a request says of idempotency: its key, whose it is, for what, and how long it waits. Decides only.

The header is that of draft-ietf-httpapi-idempotency-key-header-07, the rest is RFC 7240 (Prefer).
"""

import re
from hashlib import sha256

from aiohttp import web
from msgspec import Struct

from plat.errors import PlatError

HEADER = "Idempotency-Key"
LONGEST_KEY = 255

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""They change nothing (RFC 9110, 9.2.1): the header means nothing there."""

CREDENTIALS = ("Authorization", "Cookie", "X-Api-Key")
"""By which public functions tell their callers apart: another caller's key is another call's."""

_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
"""A string of structured fields (RFC 8941, 3.3.3): what the draft asks for."""

_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x7e]+")
"""What most clients send: visible ASCII without quotes and commas."""

_ESCAPED = re.compile(r"\\(.)")
_WAIT = re.compile(r"(?:^|,)[ \t]*wait[ \t]*=[ \t]*\"?([0-9]{1,9})\"?[ \t]*(?:;[^,]*)?(?=,|$)", re.IGNORECASE)


class Keyed(Struct, frozen=True):
    """A call that has a key."""

    key: str
    """64 hexadecimal digits: of function, caller and key together. Tells nothing of them."""
    fingerprint: str
    """64 hexadecimal digits: of what else must be the same."""
    wait_s: float | None
    """How long the client waits for another's answer; None: as long as it takes."""


def is_keyed(request: web.BaseRequest) -> bool:
    return HEADER in request.headers and request.method not in SAFE_METHODS


def read_key(values: list[str]) -> str:
    """The key itself; `"abc"` and `abc` are the same. Raises PlatError."""
    if len(values) != 1:
        raise PlatError("idempotency_key_invalid", f"The header {HEADER} is there {len(values)} times.")
    value = values[0].strip(" \t")
    quoted = _QUOTED.fullmatch(value)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted is not None else value
    if (quoted is None and not _BARE.fullmatch(key)) or not 1 <= len(key) <= LONGEST_KEY:
        raise PlatError(
            "idempotency_key_invalid",
            f"The header {HEADER} is {value[:80]!a}: expected 1 to {LONGEST_KEY} characters of visible ASCII "
            'without commas, or a string in double quotes, such as "8e03978e-40d5-43dd-bc93-6894a57f9324".',
        )
    return key


def scope(function: str, caller: str | None, key: str) -> str:
    """A key is the caller's own, for one function. `caller` is None where anybody may call."""
    whose = "" if caller is None else f"{len(caller)}:{caller}"
    return _digest([function, whose, key])


def fingerprint(method: str, target: str, credentials: list[str], body: bytes) -> str:
    """`target` is path and query as the client sent them; `credentials` are empty unless anybody may call."""
    return _digest([method, target, *credentials], body)


def wait_s(prefer: list[str]) -> float | None:
    """`Prefer: wait=N`; the first counts (RFC 7240, 2). What cannot be read is as if it were not there."""
    match = _WAIT.search(",".join(prefer))
    return None if match is None else float(match[1])


def _digest(texts: list[str], body: bytes = b"") -> str:
    """Each with its length before it: no two lists give the same bytes."""
    parts = [text.encode("utf-8", "surrogateescape") for text in texts]
    framed = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return sha256(b"%d;%b%b" % (len(parts), framed, body)).hexdigest()
