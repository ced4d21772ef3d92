"""The keys that JSON Web Tokens may be signed with. Decides only: PEM and JWKS documents in, keys out.

A key has one algorithm, by its kind; what a token's header says never chooses another (RFC 8725, 3.1).
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError
from msgspec import Struct

from plat.decoding import UNREADABLE
from plat.errors import PlatError

RSA_LEAST_BITS = 2048
"""NIST SP 800-131A; RFC 7518, 3.3."""

KEYS_LIMIT = 100
"""Of one document."""

_END = "-----END PUBLIC KEY-----"


class Key(Struct, frozen=True):
    """`kid`: the id that its set gives it."""

    algorithm: str
    key: Any
    kid: str | None = None


class KeySet:
    """Keys that are written down, and those of a JWKS document as it was last fetched."""

    def __init__(self, own: Iterable[Key] = ()) -> None:
        self._own = tuple(own)
        self._fetched: tuple[Key, ...] = ()

    def __len__(self) -> int:
        return len(self._own) + len(self._fetched)

    def replace_fetched(self, keys: Iterable[Key]) -> bool:
        """Whether that changed anything."""
        before, self._fetched = self._fetched, tuple(keys)
        return before != self._fetched

    def candidates(self, algorithm: str, kid: str | None) -> list[Key]:
        """Those that may have signed a token whose header says this, each with this algorithm.

        A token that names no key may only be signed with a fetched one if there is just one of its kind.
        """
        own = [key for key in self._own if key.algorithm == algorithm]
        fetched = [key for key in self._fetched if key.algorithm == algorithm]
        if kid is None:
            return own + (fetched if len(fetched) == 1 else [])
        named = [key for key in fetched if key.kid == kid]
        return named or own

    def is_fetched(self, algorithm: str, kid: str) -> bool:
        """Whether the document has the key that a token's header names."""
        return any(key.algorithm == algorithm and key.kid == kid for key in self._fetched)


def secret_key(secret: str) -> Key:
    return Key("HS256", secret.encode())


def keys_of_pem(text: str) -> list[Key]:
    """Of public keys in PEM, one after another. Raises PlatError `invalid`."""
    blocks = [part + _END for part in text.split(_END) if part.strip()]
    keys = []
    for number, block in enumerate(blocks, 1):
        try:
            key = load_pem_public_key(block.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PlatError("invalid", f"jwt_public_keys: key {number} is no public key in PEM.") from error
        algorithm = algorithm_of(key)
        if algorithm is None:
            raise PlatError(
                "invalid",
                f"jwt_public_keys: key {number} is of another kind: expected RSA of at least"
                f" {RSA_LEAST_BITS} bits, EC on P-256, or Ed25519.",
            )
        keys.append(Key(algorithm, key))
    return keys


def keys_of_jwks(document: bytes) -> list[Key]:
    """Of a JWKS document (RFC 7517), but for those of other uses: none, if its issuer withdrew the last.

    Raises PlatError `invalid` for what is no such document.
    """
    try:
        parsed = msgspec.json.decode(document, type=dict[str, Any])
    except (*UNREADABLE, msgspec.ValidationError) as error:
        raise PlatError("invalid", "The JWKS document is no JSON object.") from error
    listed = parsed.get("keys")
    if not isinstance(listed, list):
        raise PlatError("invalid", 'The JWKS document has no list "keys".')
    return [key for each in listed[:KEYS_LIMIT] if isinstance(each, dict) and (key := _key_of(each))]


def _key_of(described: dict[str, Any]) -> Key | None:
    """None for a key of another kind, another use, or a secret: a published one is none."""
    operations = described.get("key_ops", ["verify"])
    if described.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kid = described.get("kid")
    if not isinstance(kid, str | None) or "d" in described:
        return None
    try:
        key = PyJWK({name: each for name, each in described.items() if name != "alg"}).key
    except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    algorithm = algorithm_of(key)
    if algorithm is None or described.get("alg", algorithm) != algorithm:
        return None
    return Key(algorithm, key, kid)


def algorithm_of(key: object) -> str | None:
    """The one algorithm that a public key verifies; None: no key for us."""
    match key:
        case RSAPublicKey() if key.key_size >= RSA_LEAST_BITS:
            return "RS256"
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return "ES256"
        case Ed25519PublicKey():
            return "EdDSA"
        case _:
            return None
