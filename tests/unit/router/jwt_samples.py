"""Keys, and JSON Web Tokens as issuers and attackers make them."""

import base64
import hashlib
import hmac
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_000_000.0
SECRET = "0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER_RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2048)

CLAIMS = {"sub": "ann", "exp": NOW + 60, "scope": "openid invoke:shop-* read"}


def pem(private: Any) -> str:
    """The public key."""
    encoded: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def signed(
    key: Any = RSA, algorithm: str = "RS256", *, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """With the claims of `CLAIMS` and these; one that is None is left out."""
    payload = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode(payload, key, algorithm, headers=header)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def forged(header: Any, payload: Any = None, signature: bytes | None = b"signature", key: bytes = b"") -> str:
    """Any header over any payload; with `key`, a signature that HMAC-SHA-256 makes with it."""
    start = f"{encoded(_json(header))}.{encoded(_json(CLAIMS if payload is None else payload))}"
    if key:
        signature = hmac.digest(key, start.encode(), hashlib.sha256)
    return start if signature is None else f"{start}.{encoded(signature)}"


def _json(part: Any) -> bytes:
    return part if isinstance(part, bytes) else msgspec.json.encode(part)


def jwk(private: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    """The public key as a JWKS document has it."""
    public = private.public_key()
    match private:
        case rsa.RSAPrivateKey():
            described = RSAAlgorithm.to_jwk(public, as_dict=True)
        case ec.EllipticCurvePrivateKey():
            described = ECAlgorithm.to_jwk(public, as_dict=True)
        case _:
            described = OKPAlgorithm.to_jwk(public, as_dict=True)
    described.pop("key_ops", None)
    return {**described, **({} if kid is None else {"kid": kid}), **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"keys": list(keys)})
