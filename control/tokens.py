"""The rules of tokens: how they look, who may make which, who may see which. Plain functions, no I/O.

A token is random and shown once; what is kept is its SHA-256.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from control.rows import TokenRow
from plat.administration import CreatedToken, Token, TokenRequest
from plat.errors import PlatError
from plat.feed import TokenEntry
from plat.scopes import ADMIN, PREFIX, allows

ADMIN_ID = "admin"
"""The id of the token that `plat up` makes, and that `PLAT_TOKEN` replaces."""

TOKENS_LIMIT = 10_000
CHAIN_LIMIT = 8
"""Tokens of which each was made with the one before: an admin's gift, and seven after it."""

FAMILY_LIMIT = 100
"""Tokens made with one that an admin made, and with those, so that no caller uses up all there may be."""

LONGEST_LIFE = timedelta(days=36_525)


def new_token() -> str:
    """32 random bytes."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def bearer_of(authorization: str) -> str | None:
    """The token of an `Authorization` header (RFC 6750, 2.1), or None for another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def admin_row(digest: str, now: datetime) -> TokenRow:
    return TokenRow(
        id=ADMIN_ID,
        digest=digest,
        name="admin",
        owner=None,
        parent=None,
        scopes=(ADMIN,),
        created_at=now,
        expires_at=None,
        last_used_at=None,
    )


def is_admin(row: TokenRow) -> bool:
    return ADMIN in row.scopes


def has_expired(row: TokenRow, now: datetime) -> bool:
    return row.expires_at is not None and now >= row.expires_at


def token_row(creator: TokenRow, request: TokenRequest, digest: str, now: datetime) -> TokenRow:
    """The row of a new token. Raises PlatError `forbidden` or `invalid`.

    Who is no admin makes tokens for itself, that can do no more, live no longer, and end with its own.
    """
    for scope in request.scopes:
        if not allows(creator.scopes, scope):
            raise missing_scope(creator, scope)
    if not is_admin(creator) and request.owner not in (None, creator.owner):
        raise PlatError(
            "forbidden",
            f'owner = "{request.owner}": only a token with the scope "admin" makes tokens for others.',
        )
    return TokenRow(
        id=secrets.token_hex(8),
        digest=digest,
        name=request.name,
        owner=request.owner if is_admin(creator) else creator.owner,
        parent=None if is_admin(creator) else creator.id,
        scopes=tuple(dict.fromkeys(request.scopes)),
        created_at=now,
        expires_at=_end(creator, request, now),
        last_used_at=None,
    )


def _end(creator: TokenRow, request: TokenRequest, now: datetime) -> datetime | None:
    end = request.expires_at
    if end is not None and not now < end <= now + LONGEST_LIFE:
        raise PlatError(
            "invalid", f"expires_at = {end.isoformat()}: expected a time to come, within a hundred years."
        )
    longest = None if is_admin(creator) else creator.expires_at
    if end is not None and longest is not None and end > longest:
        raise PlatError(
            "forbidden",
            f"expires_at = {end.isoformat()}: the token it is made with ends at {longest.isoformat()}.",
        )
    return longest if end is None else end.astimezone(UTC)


def require_short(lineage: Sequence[TokenRow]) -> None:
    """Raises PlatError `invalid` where the chain that ends with the creator may not go on."""
    if len(lineage) >= CHAIN_LIMIT:
        raise PlatError(
            "invalid",
            f'The token "{lineage[0].name}" is number {len(lineage)} of a chain, each made with the one'
            f" before, and {CHAIN_LIMIT} is the most: make it with one of those before.",
        )


def missing_scope(token: TokenRow, scope: str) -> PlatError:
    return PlatError("forbidden", f'This needs the scope "{scope}", which the token "{token.name}" lacks.')


def token_not_found(identity: str) -> PlatError:
    return PlatError(
        "token_not_found",
        f'There is no token with the id "{identity}". `plat token list` shows those there are.',
    )


def user_not_found(name: str) -> PlatError:
    return PlatError("user_not_found", f'There is no user "{name}". `plat user list` shows those there are.')


def require_revocable(identity: str) -> None:
    """Raises PlatError `invalid` for the token that a restart would bring back."""
    if identity == ADMIN_ID:
        raise PlatError(
            "invalid",
            "The admin token is the platform's own: start it with another PLAT_TOKEN, which takes its place.",
        )


def shown_token(row: TokenRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        owner=row.owner,
        scopes=list(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def created_token(row: TokenRow, token: str) -> CreatedToken:
    shown = shown_token(row)
    return CreatedToken(**{name: getattr(shown, name) for name in Token.__struct_fields__}, token=token)


def token_entry(row: TokenRow, root: str = "") -> TokenEntry:
    """What pool and routers are told. `root`: the first of its family, if that is another."""
    expires_at = None if row.expires_at is None else row.expires_at.timestamp()
    return TokenEntry(row.id, row.digest, row.scopes, expires_at, root)
