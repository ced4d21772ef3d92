"""May this call go on? Who calls, state of the function, rate, body size: the rules, in that order.

Decides only. Both paths of the router (streaming now, the fast path of DESIGN 5) ask here.
"""

from plat.errors import PlatError
from plat.feed import Route
from router.access.bearers import Bearers, NoBearers
from router.access.identity import Identities, Identity
from router.limits.buckets import LeasedBucket
from router.limits.limiter import CallLimits, Limiter
from router.limits.permits import PermitBucket
from router.routes import RouteTable, no_version
from router.streaming_only import of_a_page, unverified
from router.target import Target
from router.terms import ONCE, Terms

HOLDING = frozenset({"public", "token"})
"""How functions are called whose terms hold until the tables change. A signature is of one call."""

Admitted = tuple[Terms, PermitBucket | None, bytes]
"""The terms of a call, whose permit it has, and what it is told of its limits of rate: lines of a head, each
begun by CRLF.

The permit is released when the call has ended.
"""


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

    def admit(
        self,
        target: Target,
        authorization: str | None,
        now: float,
        may_wait: bool = False,
        known: Terms | None = None,
    ) -> Admitted | PlatError | LeasedBucket:
        """The terms under which the call goes on, or the reason why it may not.

        `known`: those of the last call with the same target and authorization. A bucket, if it `may_wait`:
        among its `waiters`, for a token that may be on its way.
        Not raised: in a flood most calls are refused, and an exception costs more than the rest of it.
        """
        terms = None
        if known is not None and known.changes == self.routes.changes:
            identity = known.identity
            if identity is None:
                terms = known
            elif now + self._identities.epoch_s < identity.expires_at:
                identity.used_at = now
                terms = known
        if terms is None:
            found = self._terms(target, authorization, now)
            if isinstance(found, PlatError):
                return found
            terms = found
        limits = terms.limits
        if limits is None:
            return terms, None, b""
        told = limits.take_quietly(now)
        if told is not None:
            return terms, None, told
        if limits.route is None:
            return self.admit(target, authorization, now, may_wait)
        return _take(terms, limits, now, may_wait)

    def _terms(self, target: Target, authorization: str | None, now: float) -> Terms | PlatError:
        route = self.routes.get(target.name)
        if route is None:
            return self.routes.missing(target.name)
        if target.has_origin and route.cors:
            return of_a_page(route.name)
        identity: Identity | None = None
        if route.auth != "public":
            identity = self._identities.of(authorization, now) if route.auth == "token" else None
            if identity is None:
                who = self._otherwise(route, target, authorization, now)
                if isinstance(who, PlatError):
                    return who
                identity = who
        if identity is None:
            limits = None if route.rate is None else self._limiter.of_anybody(route, now)
        else:
            kept = identity.limits.get(route.name)
            if kept is None or kept.route is not route:
                if not identity.may_invoke(route.name):
                    return _forbidden(route.name)
                kept = self._limiter.of_call(route, identity.limited_as, now)
                identity.keep(kept, route.name)
            limits = kept if kept.any else None
        version = self.routes.version(route, target.qualifier)
        if version is None:
            return no_version(route, target.qualifier)
        changes = self.routes.changes if route.auth in HOLDING else ONCE
        return Terms(route, version, identity, limits, changes)

    def _otherwise(
        self, route: Route, target: Target, authorization: str | None, now: float
    ) -> Identity | PlatError | None:
        """Who has sent no token of the platform's. None: nobody in particular, with a good signature."""
        if route.auth == "jwt":
            return self.bearers.of(authorization, now)
        if route.auth != "signed":
            return _unauthorized(route.name)
        verified = target.signed is not None and target.signed == route.signing
        return None if verified else unverified(route.name)

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


def _take(
    terms: Terms, limits: CallLimits, now: float, may_wait: bool
) -> Admitted | PlatError | LeasedBucket:
    """By the function's limit, then by the caller's own; what was taken goes back if one refuses."""
    lines = b""
    taken: list[LeasedBucket] = []
    buckets = limits.in_order
    for number, bucket in enumerate(buckets):
        wait_s = bucket.take(now)
        if wait_s:
            for each in taken:
                each.put_back()
            others = [*taken, *buckets[number + 1 :]]
            if wait_s > 0 or not may_wait:
                for each in others:
                    each.not_expected(now)
                return bucket.answers.refusal(wait_s)
            for each in others:
                each.expect(now)
            return bucket
        taken.append(bucket)
        lines += bucket.told
    return terms, limits.permits, lines
