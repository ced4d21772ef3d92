"""Keys from PEM and from JWKS documents: one algorithm each, by their kind."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from plat.errors import PlatError
from router.access.jwt_keys import Key, KeySet, keys_of_jwks, keys_of_pem, secret_key
from tests.unit.router.jwt_samples import EC, ED, OTHER_RSA, RSA, jwk, jwks, pem

SMALL = rsa.generate_private_key(public_exponent=65_537, key_size=1024)
P384 = ec.generate_private_key(ec.SECP384R1())
ED448 = ed448.Ed448PrivateKey.generate()
PRIVATE = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_public_keys_in_pem() -> None:
    keys = keys_of_pem(f"\n{pem(RSA)}\n{pem(EC)}{pem(ED)}\n")
    assert [each.algorithm for each in keys] == ["RS256", "ES256", "EdDSA"]


@pytest.mark.parametrize(
    "text", ["nonsense", PRIVATE, pem(RSA)[:-40], pem(SMALL), pem(P384), pem(ED448), pem(RSA) + "more"]
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(PlatError, match=r"^jwt_public_keys: key \d is") as error:
        keys_of_pem(text)
    assert "MII" not in error.value.detail


def test_a_jwks_document() -> None:
    keys = keys_of_jwks(
        jwks(jwk(RSA, "a", use="sig", alg="RS256"), jwk(EC, "b", key_ops=["verify"]), jwk(ED))
    )
    assert [(each.algorithm, each.kid) for each in keys] == [("RS256", "a"), ("ES256", "b"), ("EdDSA", None)]


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "a"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        jwk(RSA, "a", use="enc"),
        jwk(RSA, "a", key_ops=["encrypt"]),
        jwk(RSA, "a", key_ops="verify"),
        jwk(RSA, "a", alg="RS512"),
        jwk(RSA, "a", alg="none"),
        jwk(RSA, "a", alg="HS256"),
        jwk(RSA, kid=None, d="AQAB"),
        {**jwk(RSA), "kid": 7},
        jwk(SMALL, "a"),
        jwk(P384, "a"),
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "RSA"},
        {"kty": 7},
        {},
        "text",
        None,
    ],
)
def test_other_keys_are_passed_over(other: Any) -> None:
    assert [each.kid for each in keys_of_jwks(jwks(other, jwk(EC, "right")))] == ["right"]
    assert keys_of_jwks(jwks(other)) == []


def test_an_issuer_may_have_no_key_left() -> None:
    assert keys_of_jwks(b'{"keys": []}') == []


@pytest.mark.parametrize("document", [b"", b"\xff", b"[]", b"{}", b'{"keys": {}}', b"[" * 100_000])
def test_what_is_no_document(document: bytes) -> None:
    with pytest.raises(PlatError):
        keys_of_jwks(document)


def test_only_so_many_keys_are_read() -> None:
    assert len(keys_of_jwks(jwks(*(jwk(ED, str(number)) for number in range(150))))) == 100


def test_which_keys_may_have_signed() -> None:
    own, a, b, other = (Key(algorithm, name, kid) for algorithm, name, kid in (
        ("RS256", "own", None), ("RS256", "a", "a"), ("RS256", "b", "b"), ("ES256", "other", "a")
    ))  # fmt: skip
    keys = KeySet([own])
    assert keys.replace_fetched([a, b, other])
    assert not keys.replace_fetched([a, b, other])
    assert keys.candidates("RS256", "a") == [a]
    assert keys.candidates("ES256", "a") == [other]
    assert keys.candidates("ES256", None) == [other]
    assert keys.candidates("RS256", "unknown") == keys.candidates("RS256", None) == [own]
    assert (
        keys.candidates("HS256", None) == keys.candidates("none", None) == keys.candidates("ES256", "b") == []
    )
    assert len(keys) == 4
    assert [keys.is_fetched(*each) for each in (("RS256", "a"), ("ES256", "a"), ("ES256", "b"))] == [
        True,
        True,
        False,
    ]


def test_a_key_that_was_renewed_is_another() -> None:
    first, again, renewed = (keys_of_jwks(jwks(jwk(key, "a"))) for key in (RSA, RSA, OTHER_RSA))
    assert (first == again, first == renewed) == (True, False)


def test_a_secret_verifies_hs256_alone() -> None:
    assert secret_key("x").algorithm == "HS256"
