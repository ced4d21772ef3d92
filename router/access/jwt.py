"""Who calls, by a JSON Web Token that somebody else signed. Decides only; time passed in.

A token is verified once and remembered until it ends. Every one of its claims is checked by PyJWT; which key
and algorithm it is checked with is decided here, by the kind of key.
"""

import re
from collections import OrderedDict
from hashlib import sha256
from math import isfinite
from typing import Any, Protocol

import jwt
import msgspec
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode
from msgspec import Struct

from plat.decoding import UNREADABLE
from plat.errors import PlatError
from plat.scopes import SCOPE_PATTERN, invoke_patterns
from router.access.bearers import UnknownKeyError
from router.access.identity import Identity, bearer_token
from router.access.jwt_keys import Key, KeySet

TOKEN_LIMIT_BYTES = 8 * 1024
REMEMBERED = 10_000
REMEMBERED_BYTES = 16 * 1024 * 1024
"""Of tokens that are remembered, all together."""

_ALGORITHMS = frozenset({"HS256", "RS256", "ES256", "EdDSA"})
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_SCOPE = re.compile(SCOPE_PATTERN)
_LONGEST_SUBJECT = 128


class Claims(Struct, frozen=True):
    """What a token must say. An empty text: that is not asked for."""

    issuer: str = ""
    audience: str = ""
    scope_claim: str = "scope"
    """Where its scopes are; without, every valid token may call every function with `auth = "jwt"`."""
    leeway_s: float = 0


class KeySource(Protocol):
    """Where more keys may come from: `router.access.jwks.Jwks`."""

    def may_know_more(self, now: float) -> bool: ...
    async def refresh(self) -> None: ...


class Jwts:
    """The bearers of JSON Web Tokens (`router.access.bearers.Bearers`)."""

    def __init__(
        self, keys: KeySet, claims: Claims, source: KeySource | None = None, epoch_s: float = 0.0
    ) -> None:
        self.epoch_s = epoch_s
        self._keys = keys
        self._claims = claims
        self._source = source
        self._remembered: OrderedDict[str, Identity] = OrderedDict()
        self._remembered_bytes = 0

    def of(self, authorization: str | None, now: float) -> Identity | PlatError:
        """Whose token the header carries, or why it is nobody's: `unauthorized`. `now` is monotonic."""
        if authorization is None:
            return _unauthorized("Send the header Authorization: Bearer <token>, with a JSON Web Token.")
        identity = self._remembered.get(authorization)
        if identity is None:
            return self._verified(authorization, now)
        if now + self.epoch_s >= identity.expires_at:
            self._forget(authorization)
            return _unauthorized("The token has expired.")
        self._remembered.move_to_end(authorization)
        return identity

    async def refresh(self) -> None:
        if self._source is not None:
            await self._source.refresh()

    def replace_fetched(self, keys: list[Key]) -> None:
        """If that changes anything, what the former ones verified is verified again."""
        if self._keys.replace_fetched(keys):
            self._remembered.clear()
            self._remembered_bytes = 0

    # --- one that is not remembered

    def _verified(self, authorization: str, now: float) -> Identity | PlatError:
        token = bearer_token(authorization)
        if token is None:
            return _unauthorized("Send the header Authorization: Bearer <token>, with a JSON Web Token.")
        header = header_of(token)
        if isinstance(header, str):
            return _unauthorized(header)
        algorithm, kid = header
        candidates = self._keys.candidates(algorithm, kid)
        payload = self._payload(token, candidates, now)
        if payload is None:
            is_known = candidates and (kid is None or self._keys.is_fetched(algorithm, kid))
            return _unauthorized(_BAD_SIGNATURE) if is_known else self._unknown_key(now)
        if isinstance(payload, str):
            return _unauthorized(payload)
        identity = self._identity(token, payload)
        self._remember(authorization, identity)
        return identity

    def _unknown_key(self, now: float) -> PlatError:
        may_know_more = self._source is not None and self._source.may_know_more(now)
        return UnknownKeyError() if may_know_more else _unauthorized(_NO_KEY)

    def _payload(self, token: str, candidates: list[Key], now: float) -> dict[str, Any] | str | None:
        """The claims if all is right, else what is not; None: with none of these keys it was signed."""
        fault = None
        for key in candidates:
            try:
                return self._decode(token, key, now)
            except jwt.InvalidSignatureError:
                continue
            except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                fault = f"The token is refused: {type(error).__name__.removesuffix('Error')}."
        return fault

    def _decode(self, token: str, key: Key, now: float) -> dict[str, Any]:
        """Raises PyJWTError, or what Python raises for numbers that are none."""
        claims = self._claims
        payload: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=claims.audience or None,
            issuer=claims.issuer or None,
            options={
                "require": [
                    "exp",
                    *(["iss"] if claims.issuer else []),
                    *(["aud"] if claims.audience else []),
                ],
                "verify_aud": bool(claims.audience),
                # By the clock that expiry is checked with for a token that is remembered, here below.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        check_times(payload, now + self.epoch_s, claims.leeway_s)
        return payload

    def _identity(self, token: str, payload: dict[str, Any]) -> Identity:
        subject = payload.get("sub") or sha256(token.encode()).hexdigest()
        if len(subject) > _LONGEST_SUBJECT or not (subject.isascii() and subject.isprintable()):
            subject = sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()
        patterns = self._patterns(payload)
        return Identity(f"jwt:{subject}", patterns, float(payload["exp"]) + self._claims.leeway_s)

    def _patterns(self, payload: dict[str, Any]) -> tuple[str, ...]:
        """Of the functions it may call. `admin` is for the platform's own tokens: here it means nothing."""
        if not self._claims.scope_claim:
            return ("*",)
        said = payload.get(self._claims.scope_claim, ())
        words = said.split() if isinstance(said, str) else said if isinstance(said, list) else ()
        return invoke_patterns(
            each for each in words if isinstance(each, str) and each != "admin" and _SCOPE.match(each)
        )

    # --- memory

    def _remember(self, authorization: str, identity: Identity) -> None:
        self._remembered[authorization] = identity
        self._remembered_bytes += len(authorization)
        while len(self._remembered) > REMEMBERED or self._remembered_bytes > REMEMBERED_BYTES:
            self._forget(next(iter(self._remembered)))

    def _forget(self, authorization: str) -> None:
        if self._remembered.pop(authorization, None) is not None:
            self._remembered_bytes -= len(authorization)


_NO_KEY = "The token was signed with a key that is not known."
_BAD_SIGNATURE = "The token is refused: InvalidSignature."


def header_of(token: str) -> tuple[str, str | None] | str:
    """Algorithm and key id of a token in compact form (RFC 7515, 7.1), or what is wrong with it."""
    if len(token) > TOKEN_LIMIT_BYTES:
        return f"The token has more than {TOKEN_LIMIT_BYTES} bytes."
    match = _COMPACT.fullmatch(token)
    if match is None:
        return "The token is no JSON Web Token: expected three parts in base64url, with a dot in between."
    try:
        header = msgspec.json.decode(base64url_decode(match[1]), type=dict[str, Any])
    except (*UNREADABLE, msgspec.ValidationError, ValueError):
        return "The token's header is no JSON object."
    return _fault_of(header) or (header["alg"], header.get("kid"))


def _fault_of(header: dict[str, Any]) -> str | None:
    """Where keys may be found (`jku`, `x5u`, `jwk`, `x5c`) is not looked at: no token says that."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        return "The token's algorithm is not allowed: expected HS256, RS256, ES256 or EdDSA."
    if "crit" in header or "b64" in header:
        return "The token's header has extensions that are not understood."
    return None if isinstance(header.get("kid"), str | None) else "The token's key id is no text."


def check_times(payload: dict[str, Any], now: float, leeway_s: float) -> None:
    """`exp`, `nbf` and `iat` (RFC 7519, 4.1). Raises PyJWTError."""
    moments = {name: payload[name] for name in ("exp", "nbf", "iat") if name in payload}
    for name, moment in moments.items():
        if isinstance(moment, bool) or not isinstance(moment, int | float) or not isfinite(moment):
            raise jwt.InvalidTokenError(f"{name} is no number")
    if now >= moments["exp"] + leeway_s:
        raise jwt.ExpiredSignatureError
    if any(now < moments.get(name, now) - leeway_s for name in ("nbf", "iat")):
        raise jwt.ImmatureSignatureError


def _unauthorized(detail: str) -> PlatError:
    return PlatError("unauthorized", detail)
