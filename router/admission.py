"""May this call go on? Identity, state of the function, rate, body size: the rules, in that order.

Decides only. Both paths of the router (streaming now, the fast path of DESIGN 5) ask here.
"""

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from router.bearers import Bearers, NoBearers
from router.identity import Identities, Identity
from router.limits import Limiter
from router.routes import RouteTable, no_version
from router.target import Target

Admitted = tuple[Route, RouteVersion, Identity | None]
"""The function a call is for, its version, and who calls: None where anybody may."""


class Admission:
    """Asks the tables in order, until one refuses."""

    def __init__(
        self,
        routes: RouteTable,
        identities: Identities,
        limiter: Limiter,
        body_limit_bytes: int,
        bearers: Bearers | None = None,
    ) -> None:
        self.routes = routes
        self._identities = identities
        self.bearers: Bearers = bearers or NoBearers()
        """Of JSON Web Tokens."""
        self._limiter = limiter
        self.body_limit_bytes = body_limit_bytes

    def admit(self, target: Target, authorization: str | None, now: float) -> Admitted | PlatError:
        """The version the call goes to, or the reason why it may not go on.

        Not raised: in a flood most calls are refused, and an exception costs more than the rest of it.
        """
        route = self.routes.get(target.name)
        if route is None:
            return self.routes.missing(target.name)
        identity: Identity | None = None
        if route.auth != "public":
            identity = self._identities.of(authorization, now) if route.auth != "jwt" else None
            if identity is None:
                who = self._bearer(route, authorization, now)
                if isinstance(who, PlatError):
                    return who
                identity = who
            if not identity.may_invoke(route.name):
                return _forbidden(route.name)
        version = self.routes.version(route, target.qualifier)
        if version is None:
            return no_version(route, target.qualifier)
        if route.rate is not None:
            wait_s = self._limiter.take(route.name, route.rate, route.burst, now)
            if wait_s:
                return _rate_limited(route.name, route.rate, wait_s)
        return route, version, identity

    def _bearer(self, route: Route, authorization: str | None, now: float) -> Identity | PlatError:
        """Who has sent no token of the platform's."""
        if route.auth == "jwt":
            return self.bearers.of(authorization, now)
        return _unauthorized(route.name)

    def check_length(self, length: int | None) -> None:
        """Raises `body_too_large` for a body known to be over the limit, before any of it is read."""
        if length is not None and length > self.body_limit_bytes:
            raise PlatError(
                "body_too_large", f"The body has {length} bytes; the limit is {self.body_limit_bytes}."
            )


def _unauthorized(name: str) -> PlatError:
    detail = f'Calls of "{name}" need the header Authorization: Bearer <token>, with a token that is valid.'
    return PlatError("unauthorized", detail)


def _forbidden(name: str) -> PlatError:
    return PlatError("forbidden", f'The token is valid, but without the scope "invoke:{name}".')


def _rate_limited(name: str, rate: float, wait_s: float) -> PlatError:
    detail = f'"{name}" takes {rate:g} calls a second; that is reached.'
    return PlatError("rate_limited", detail, retry_after_s=wait_s)
