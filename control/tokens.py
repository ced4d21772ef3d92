"""Bearer tokens: kept as SHA-256 only, compared in constant time. No I/O."""

import hashlib
import hmac
from collections.abc import Iterable

ADMIN = "admin"
"""The name of the token that `plat up` makes, and that `PLAT_TOKEN` replaces."""


def digest_of(token: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def bearer_of(authorization: str) -> str | None:
    """The token of an `Authorization` header (RFC 6750, 2.1), or None for another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def is_known(token: str, digests: Iterable[str]) -> bool:
    """Looks at every digest, so that the time tells nothing about which one is near."""
    given = digest_of(token)
    return sum(hmac.compare_digest(given, known) for known in digests) > 0
