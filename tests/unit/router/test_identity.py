"""Whose token a header carries, and what its bearer may call."""

from hashlib import sha256

import pytest

from router.identity import Identities, Identity

NOW = 50.0


def digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def identities(*valid: str) -> Identities:
    known = Identities()
    known.replace([digest(token) for token in valid])
    return known


def is_known(known: Identities, authorization: str | None) -> bool:
    return known.of(authorization, NOW) is not None


@pytest.mark.parametrize(
    "authorization", ["Bearer secret", "bearer secret", "BEARER secret", "Bearer  secret", "Bearer secret "]
)
def test_valid_tokens(authorization: str) -> None:
    assert is_known(identities("other", "secret"), authorization)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "secret",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer Secret",
        "Bearer secret secret",
        "Basic secret",
        "Bearer\tsecret",
        "Bearer \udcff",
        "Bearer " + digest("secret"),
    ],
)
def test_invalid_tokens(authorization: str | None) -> None:
    assert not is_known(identities("secret"), authorization)
    assert not is_known(Identities(), authorization)


def test_an_empty_token_is_none() -> None:
    """Also where a table would hold the digest of nothing."""
    assert not is_known(identities("other"), "Bearer ")


def test_a_token_of_odd_bytes() -> None:
    assert is_known(identities("\udcff"), "Bearer \udcff")


def test_a_token_that_is_withdrawn_is_not_remembered() -> None:
    known = identities("secret")
    assert is_known(known, "Bearer secret")
    known.replace([digest("other")])
    assert not is_known(known, "Bearer secret")
    assert is_known(known, "Bearer other")
    known.replace([digest("secret")])
    assert is_known(known, "Bearer secret")


def test_a_flood_of_guesses_stays_wrong_and_in_bounds() -> None:
    known = identities("secret")
    for number in range(25_000):
        assert not is_known(known, f"Bearer {number}")
    assert is_known(known, "Bearer secret")
    assert len(known._remembered) <= 10_000


def test_an_identity_may_invoke_what_its_scopes_say() -> None:
    some = Identity("t", ("read", "invoke:hello", "invoke:shop-*"), float("inf"))
    assert [some.may_invoke(each) for each in ("hello", "shop-cart", "hello", "hell", "shop")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert Identity("t", ("admin",), float("inf")).may_invoke("anything")
    assert not Identity("t", ("read", "deploy:*"), float("inf")).may_invoke("hello")


def test_what_an_identity_remembers_is_bounded() -> None:
    some = Identity("t", ("invoke:1*",), float("inf"))
    assert sum(some.may_invoke(str(number)) for number in range(25_000)) == 11_111
    assert len(some._may) <= 10_000
