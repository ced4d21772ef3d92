"""What a call asks for: its target, `/function/<name>[:<qualifier>][/<path>][?<query>]`. Decides only."""

import re
from urllib.parse import unquote

from msgspec import Struct

from plat.errors import PlatError
from plat.signing import Signing

FUNCTION_PREFIX = "/function/"
LIVE = "live"

_TARGET = re.compile(r"/function/([^/?#]+)(/[^?#]*)?(\?[^#]*)?")
_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]+(?=[/?]|$)", re.IGNORECASE)


class Target(Struct, frozen=True, gc=False):
    """A call's target, taken apart: `/function/<name>[:<qualifier>][/<path>][?<query>]`."""

    name: str
    qualifier: str
    """`live` unless the call names an alias or a version."""
    prefix: str
    """What the function is mounted at: `/function/<name>`."""
    path: str
    """What the instance sees: path and query, as they came; at least `/`."""
    has_origin: bool = False
    """Whether the fast path has seen the header Origin, as pages send it. The streaming path looks itself."""
    signed: Signing | None = None
    """What its signature was verified by; None: by nothing."""


def origin_form(target: str) -> str:
    """The target without scheme and authority (RFC 9112, 3.2.2 asks servers to accept them)."""
    match = _ABSOLUTE_FORM.match(target)
    return target[match.end() :] or "/" if match else target


def parse_target(target: str) -> Target:
    """Raises PlatError: `not_found` when it is no call of a function, `bad_request`."""
    match = _TARGET.fullmatch(target)
    if "#" in target:
        raise PlatError("bad_request", "A request's target has no fragment (#).")
    if match is None:
        raise PlatError("not_found", "Functions are called at /function/<name>.")
    segment, path, query = match.groups()
    name, _, qualifier = unquote(segment).partition(":")
    return Target(name, qualifier or LIVE, FUNCTION_PREFIX + segment, (path or "/") + (query or ""))
