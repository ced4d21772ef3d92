"""Who calls: what an `Authorization` header says, and what its bearer may call. Decides only.

Tokens are known by their SHA-256. What a header means is remembered, so that a call costs a look-up.
"""

from hashlib import sha256

from plat.scopes import ADMIN, invoke_patterns, matches

_REMEMBERED = 10_000
"""Headers; and functions for each identity."""


class Identity:
    """Somebody who may call some functions."""

    __slots__ = ("_may", "_patterns", "expires_at", "id")

    def __init__(self, identity: str, scopes: tuple[str, ...], expires_at: float) -> None:
        self.id = identity
        """Of the token, or `jwt:` and the subject; never the token itself."""
        self.expires_at = expires_at
        """Seconds since 1970; infinite: never."""
        self._patterns = invoke_patterns(scopes)
        self._may: dict[str, bool] = {}

    def may_invoke(self, function: str) -> bool:
        known = self._may.get(function)
        return self._look(function) if known is None else known

    def _look(self, function: str) -> bool:
        may = any(matches(pattern, function) for pattern in self._patterns)
        if len(self._may) >= _REMEMBERED:
            self._may.clear()
        self._may[function] = may
        return may


class Identities:
    """The bearers of tokens. `epoch_s`: added to a monotonic time, it gives seconds since 1970."""

    def __init__(self, epoch_s: float = 0.0) -> None:
        self.epoch_s = epoch_s
        self._by_digest: dict[str, Identity] = {}
        self._remembered: dict[str, Identity] = {}

    def replace(self, digests: list[str]) -> None:
        self._by_digest = {each: Identity(each[:16], (ADMIN,), float("inf")) for each in digests}
        self._remembered = {}

    def of(self, authorization: str | None, now: float) -> Identity | None:
        """Whose token the `Authorization` header carries; None: nobody's, or it has expired.

        `now` is monotonic. Digests are looked up, not tokens: the time it takes tells nothing of a valid one.
        """
        if authorization is None:
            return None
        identity = self._remembered.get(authorization)
        if identity is None:
            identity = self._read(authorization)
        if identity is None or now + self.epoch_s >= identity.expires_at:
            return None
        return identity

    def _read(self, authorization: str) -> Identity | None:
        """What is wrong is not remembered: a flood of guesses would push out what is right."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" \t")
        if scheme.lower() != "bearer" or not token:
            return None
        identity = self._by_digest.get(sha256(token.encode("utf-8", "surrogateescape")).hexdigest())
        if identity is not None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[authorization] = identity
        return identity
