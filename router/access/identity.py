"""Who calls: what an `Authorization` header says, and what its bearer may call. Decides only.

Tokens are known by their SHA-256. What a header means is remembered, so that a call costs a look-up.
"""

from hashlib import sha256

from plat.feed import TokenEntry
from plat.scopes import PREFIX, invoke_patterns, matches
from router.limits.limiter import CallLimits

_REMEMBERED = 10_000
"""Headers; and functions for each identity."""

_THEIRS_REMEMBERED = 4096
_THEIRS_LENGTH = 1024
"""Of headers without a token of ours: so many, and none that is longer. Anybody can send any number."""

_NEVER = float("inf")
_LONG_AGO = float("-inf")


class Identity:
    """Somebody who may call some functions."""

    __slots__ = ("_patterns", "expires_at", "id", "limited_as", "limits", "used_at")

    def __init__(
        self, identity: str, patterns: tuple[str, ...], expires_at: float, limited_as: str = ""
    ) -> None:
        self.id = identity
        """Of the token, or `jwt:` and the subject; never the token itself."""
        self.limited_as = limited_as or identity
        """Whose limits hold: the id of the token that all of a family were made with."""
        self.expires_at = expires_at
        """Seconds since 1970. Infinite: never; minus infinite: it was revoked."""
        self.used_at = _LONG_AGO
        """Monotonic."""
        self._patterns = patterns
        self.limits: dict[str, CallLimits] = {}
        """Of the functions that it may call, by name: kept here, so that a call looks them up once."""

    def may_invoke(self, function: str) -> bool:
        return any(matches(pattern, function) for pattern in self._patterns)

    def keep(self, limits: CallLimits, function: str) -> None:
        if len(self.limits) >= _REMEMBERED:
            self.limits.clear()
        self.limits[function] = limits


class Identities:
    """The bearers of tokens. The pool tells all of them again in parts: begin, put and drop, end."""

    def __init__(self, epoch_s: float = 0.0) -> None:
        self.epoch_s = epoch_s
        """Added to a monotonic time, it gives seconds since 1970."""
        self._entries: dict[str, TokenEntry] = {}
        self._by_digest: dict[str, Identity] = {}
        self._remembered: dict[str, Identity] = {}
        """By header, also of tokens that are gone: those have expired."""
        self._theirs: set[str] = set()
        """Headers that carry no token of ours."""
        self._heard: set[str] | None = None
        """While the whole table is told: the tokens told of so far."""
        self._reported = _LONG_AGO

    # --- calls

    def of(self, authorization: str | None, now: float) -> Identity | None:
        """Whose token the `Authorization` header carries; None: nobody's, or it has expired.

        `now` is monotonic. Digests are looked up, not tokens: the time it takes tells nothing of a valid one.
        """
        if authorization is None:
            return None
        identity = self._remembered.get(authorization)
        if identity is None or now + self.epoch_s >= identity.expires_at:
            identity = self._read(authorization, now)
            if identity is None:
                return None
        identity.used_at = now
        return identity

    def _read(self, authorization: str, now: float) -> Identity | None:
        """What is wrong is not remembered: a flood of guesses would push out what is right."""
        token = bearer_token(authorization)
        if token is None:
            return None
        identity = self._by_digest.get(_digest(token))
        if identity is None or now + self.epoch_s >= identity.expires_at:
            self._remembered.pop(authorization, None)
            return None
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        self._remembered[authorization] = identity
        return identity

    def is_ours(self, authorization: str) -> bool:
        """Whether the header carries a token of the platform's, under any scheme. No function may see it.

        One that is gone is known by how it looks.
        """
        if authorization in self._theirs:
            return False
        token = _credentials(authorization)
        if token.startswith(PREFIX) or _digest(token) in self._by_digest:
            return True
        if len(authorization) <= _THEIRS_LENGTH:
            if len(self._theirs) >= _THEIRS_REMEMBERED:
                self._theirs.clear()
            self._theirs.add(authorization)
        return False

    # --- the table

    def begin(self) -> None:
        """The whole table follows. One that broke off before its end has dropped nothing."""
        self._heard = set()

    def put(self, token: TokenEntry) -> None:
        if self._heard is not None:
            self._heard.add(token.id)
        if self._entries.get(token.id) == token:
            return
        self.drop(token.id)
        self._entries[token.id] = token
        self._theirs.clear()
        expires_at = _NEVER if token.expires_at is None else token.expires_at
        patterns = invoke_patterns(token.scopes)
        self._by_digest[token.digest] = Identity(token.id, patterns, expires_at, token.root)

    def drop(self, identity: str) -> None:
        """From now on its token is nobody's, wherever it is remembered."""
        entry = self._entries.pop(identity, None)
        known = None if entry is None else self._by_digest.get(entry.digest)
        if entry is not None and known is not None and known.id == identity:
            del self._by_digest[entry.digest]
            known.expires_at = _LONG_AGO

    def end(self) -> None:
        """Drop what was not told of since `begin`."""
        assert self._heard is not None, "a table has its beginning"
        for identity in [each for each in self._entries if each not in self._heard]:
            self.drop(identity)
        self._heard = None

    # --- use

    def take_used(self) -> dict[str, float]:
        """When each token that was used since the last time was used, in seconds since 1970."""
        since, used = self._reported, {}
        for each in self._by_digest.values():
            if each.used_at > since:
                used[each.id] = each.used_at + self.epoch_s
                self._reported = max(self._reported, each.used_at)
        return used


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _credentials(authorization: str) -> str:
    """What follows the scheme, or all of it where there is none."""
    words = authorization.split(None, 1)
    return words[-1].rstrip(" \t") if words else ""


def bearer_token(authorization: str) -> str | None:
    """The token of an `Authorization` header (RFC 6750, 2.1); None for another scheme, or none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip(" \t") or None if scheme.lower() == "bearer" else None
