"""Pages of other origins (Fetch Standard, 3.3): may they call, and may they read the answer? Decides only.

For functions with `[access] cors`. There the platform's word counts: what such a function answers about it
itself is left out where a page asks. Cookies are never allowed along, for then nothing else of a browser's
user is in a call but what the page put into it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from multidict import MutableMultiMapping

from plat.errors import PlatError
from plat.feed import Route
from plat.origins import ANY, allows
from plat.web import CALL_ID_HEADER, SERVER
from router.http1 import Headers

MAX_AGE_S = 7200
"""How long a browser need not ask again: what Chromium keeps it for at most (Firefox: a day)."""

REQUESTED_HEADERS_BYTES = 4096

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}")
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+([ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_ABOUT_PAGES = b"access-control-"
_EXPOSED = (("Access-Control-Expose-Headers", "*"),)
"""Every header may be read: * means all where no cookies are allowed."""


class RequestHeaders(Protocol):
    """Those of a client."""

    def getall(self, name: str, default: Sequence[str]) -> Sequence[str]: ...


class Page:
    """Whoever calls says it is a page of some origin."""

    def __init__(self, patterns: Sequence[str], origins: Sequence[str]) -> None:
        origin = origins[0] if len(origins) == 1 else ""
        is_allowed = bool(origin) and allows(patterns, origin)
        self.origin = origin
        self.allowed: str | None = (ANY if ANY in patterns else origin) if is_allowed else None
        """What Access-Control-Allow-Origin says; None: it is not sent."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of an answer, whatever it is."""
        varies = (("Vary", "Origin"),)
        if self.allowed is None:
            return varies
        return (("Access-Control-Allow-Origin", self.allowed), *_EXPOSED, *varies)

    def rewritten(self, headers: Headers) -> Headers:
        """A function's, with what we say instead of what it says."""
        kept = [pair for pair in headers if not pair[0].lower().startswith(_ABOUT_PAGES)]
        return [*kept, *((name.encode(), value.encode()) for name, value in self.headers())]

    def rewrite(self, headers: MutableMultiMapping[str]) -> None:
        """The same of an answer that is not a function's."""
        for name in [each for each in headers if each.lower().startswith(_ABOUT_PAGES.decode())]:
            headers.popall(name, None)
        headers.extend(self.headers())


def page_of(route: Route | None, headers: RequestHeaders) -> Page | None:
    """None: no page calls, or the function says itself who may."""
    if route is None or not route.cors:
        return None
    origins = headers.getall("Origin", ())
    return Page(route.cors, origins) if origins else None


def is_preflight(method: str, headers: RequestHeaders) -> bool:
    return method == "OPTIONS" and bool(headers.getall("Access-Control-Request-Method", ()))


def preflight_headers(page: Page, headers: RequestHeaders, call_id: str) -> Mapping[str, str] | PlatError:
    """The whole answer but its status, 204; or why the page may not call.

    Any method and any header may be sent: what a call may do is not for its origin to say.
    """
    if page.allowed is None:
        return PlatError(
            "origin_not_allowed",
            f"access.cors of the function has no pattern of the origin {page.origin[:200]!a}.",
            headers=(("Vary", _PREFLIGHTS_VARY),),
        )
    method = ",".join(headers.getall("Access-Control-Request-Method", ()))
    if _METHOD.fullmatch(method) is None:
        return PlatError("bad_request", "Access-Control-Request-Method names no method.")
    names = ",".join(headers.getall("Access-Control-Request-Headers", ()))
    answer = {
        "Access-Control-Allow-Origin": page.allowed,
        "Access-Control-Allow-Methods": method,
        "Access-Control-Max-Age": str(MAX_AGE_S),
        "Vary": _PREFLIGHTS_VARY,
        CALL_ID_HEADER: call_id,
        "Server": SERVER,
    }
    if names:
        if len(names) > REQUESTED_HEADERS_BYTES or _NAMES.fullmatch(names) is None:
            return PlatError("bad_request", "Access-Control-Request-Headers is no list of names.")
        answer["Access-Control-Allow-Headers"] = names
    return answer


_PREFLIGHTS_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
