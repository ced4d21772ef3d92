"""May this call go on? Token, state of the function, rate, body size: the rules, in that order.

Decides only. Both paths of the router (streaming now, the fast path of DESIGN 5) ask here.
"""

from hashlib import sha256

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from router.limits import Limiter
from router.routes import RouteTable, no_version
from router.target import Target

_REMEMBERED_TOKENS = 10_000

Admitted = tuple[Route, RouteVersion]
"""The function a call is for, and its version."""


class Tokens:
    """The tokens that are valid, known by their SHA-256 only."""

    def __init__(self) -> None:
        self._digests: frozenset[str] = frozenset()
        self._remembered: dict[str, bool] = {}

    def replace(self, digests: list[str]) -> None:
        self._digests = frozenset(digests)
        self._remembered = {}

    def valid(self, authorization: str | None) -> bool:
        """Whether the `Authorization` header carries a valid token.

        Digests are compared, not tokens, so the time it takes tells nothing about a valid one.
        """
        if not authorization:
            return False
        known = self._remembered.get(authorization)
        if known is None:
            scheme, _, token = authorization.partition(" ")
            digest = sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
            known = scheme.lower() == "bearer" and digest in self._digests
            if len(self._remembered) >= _REMEMBERED_TOKENS:
                self._remembered.clear()
            self._remembered[authorization] = known
        return known


class Admission:
    """Asks the tables in order, until one refuses."""

    def __init__(self, routes: RouteTable, tokens: Tokens, limiter: Limiter, body_limit_bytes: int) -> None:
        self.routes = routes
        self._tokens = tokens
        self._limiter = limiter
        self.body_limit_bytes = body_limit_bytes

    def admit(self, target: Target, authorization: str | None, now: float) -> Admitted | PlatError:
        """The version the call goes to, or the reason why it may not go on.

        Not raised: in a flood most calls are refused, and an exception costs more than the rest of it.
        """
        route = self.routes.get(target.name)
        if route is None:
            return self.routes.missing(target.name)
        if route.auth != "public" and not self._tokens.valid(authorization):
            return PlatError(
                "unauthorized", f'Calls of "{route.name}" need the header Authorization: Bearer <token>.'
            )
        version = self.routes.version(route, target.qualifier)
        if version is None:
            return no_version(route, target.qualifier)
        if route.rate is not None:
            wait_s = self._limiter.take(route.name, route.rate, route.burst, now)
            if wait_s:
                return _rate_limited(route.name, route.rate, wait_s)
        return route, version

    def check_length(self, length: int | None) -> None:
        """Raises `body_too_large` for a body known to be over the limit, before any of it is read."""
        if length is not None and length > self.body_limit_bytes:
            raise PlatError(
                "body_too_large", f"The body has {length} bytes; the limit is {self.body_limit_bytes}."
            )


def _rate_limited(name: str, rate: float, wait_s: float) -> PlatError:
    detail = f'"{name}" takes {rate:g} calls a second; that is reached.'
    return PlatError("rate_limited", detail, retry_after_s=wait_s)
