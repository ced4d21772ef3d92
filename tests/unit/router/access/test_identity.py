"""Whose token a header carries, and what its bearer may call."""

from hashlib import sha256
from itertools import product

import pytest

from control.tokens import new_token
from plat.feed import Route, TokenEntry
from plat.scopes import PREFIX
from router.access.identity import Identities, Identity
from router.limits.limiter import Limiter

NOW = 50.0


def digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def identities(*valid: str) -> Identities:
    known = Identities()
    for token in valid:
        known.put(entry(token))
    return known


def entry(token: str, *scopes: str, expires_at: float | None = None, root: str = "") -> TokenEntry:
    return TokenEntry(f"id-{token}", digest(token), scopes or ("admin",), expires_at, root)


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
    known.drop("id-secret")
    assert not is_known(known, "Bearer secret")
    known.drop("id-secret")
    known.put(entry("secret"))
    assert is_known(known, "Bearer secret")


def test_a_flood_of_guesses_stays_wrong_and_in_bounds() -> None:
    known = identities("secret")
    for number in range(25_000):
        assert not is_known(known, f"Bearer {number}")
    assert is_known(known, "Bearer secret")
    assert len(known._remembered) <= 10_000


def test_a_table_told_again_is_merged() -> None:
    known = identities("stays", "goes", "changes")
    stays = known.of("Bearer stays", NOW)
    assert is_known(known, "Bearer goes")
    known.begin()
    known.put(entry("stays"))
    known.put(entry("changes", "invoke:f"))
    known.put(entry("comes"))
    assert is_known(known, "Bearer goes")
    known.end()
    assert not is_known(known, "Bearer goes")
    assert is_known(known, "Bearer comes")
    assert known.of("Bearer stays", NOW) is stays
    changed = known.of("Bearer changes", NOW)
    assert changed is not None
    assert (changed.may_invoke("f"), changed.may_invoke("g")) == (True, False)


def test_other_scopes_take_effect_at_once() -> None:
    known = identities("secret")
    assert is_known(known, "Bearer secret")
    known.put(entry("secret", "invoke:f"))
    identity = known.of("Bearer secret", NOW)
    assert identity is not None
    assert not identity.may_invoke("g")


def test_a_token_under_another_id_outlives_its_former_one() -> None:
    """The admin's token is replaced, and becomes another's: in either order."""
    known = identities("secret")
    other = TokenEntry("other", digest("secret"), ("admin",))
    known.put(other)
    known.drop("id-secret")
    assert is_known(known, "Bearer secret")
    known.drop("other")
    assert not is_known(known, "Bearer secret")


def test_a_token_ends_to_the_second() -> None:
    known = Identities(epoch_s=1000.0)
    known.put(entry("secret", expires_at=1050.0))
    assert known.of("Bearer secret", 49.9) is not None
    assert known.of("Bearer secret", 50.0) is None
    assert known.of("Bearer secret", 49.9) is not None
    known.epoch_s = 2000.0  # the machine's clock was set
    assert known.of("Bearer secret", 49.9) is None


def test_when_tokens_were_used() -> None:
    known = identities("one", "two", "three")
    known.epoch_s = 1000.0
    assert known.take_used() == {}
    for token, now in (("one", 10.0), ("two", 11.0), ("one", 12.0)):
        assert known.of(f"Bearer {token}", now) is not None
    assert known.take_used() == {"id-one": 1012.0, "id-two": 1011.0}
    assert known.take_used() == {}
    assert known.of("Bearer two", 13.0) is not None
    assert known.take_used() == {"id-two": 1013.0}


def test_a_family_of_tokens_is_limited_as_one() -> None:
    known = identities("first")
    known.put(entry("child", root="id-first"))
    found = [known.of(f"Bearer {token}", NOW) for token in ("first", "child")]
    assert [(each.id, each.limited_as) for each in found if each is not None] == [
        ("id-first", "id-first"),
        ("id-child", "id-first"),
    ]
    assert known.take_used() == {"id-first": NOW, "id-child": NOW}


def test_many_spellings_of_one_header_stay_in_bounds() -> None:
    known = identities("secret")
    spellings = ["".join(each) for each in product(*zip("bearer", "BEARER", strict=True))]
    for spaces, spelling in product(range(1, 200), spellings):
        assert is_known(known, spelling + " " * spaces + "secret")
    assert len(known._remembered) <= 10_000


def test_an_identity_may_invoke_what_its_scopes_say() -> None:
    some = Identity("t", ("hello", "shop-*"), float("inf"))
    assert [some.may_invoke(each) for each in ("hello", "shop-cart", "hello", "hell", "shop")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert Identity("t", ("*",), float("inf")).may_invoke("anything")
    assert not Identity("t", (), float("inf")).may_invoke("hello")


def test_what_an_identity_remembers_is_bounded() -> None:
    some = Identity("t", ("1*",), float("inf"))
    limits = Limiter().of_call(Route("1", 1, False, "token", 60.0, None, None, ()), "t", 0.0)
    for number in range(25_000):
        some.keep(limits, str(number))
    assert len(some.limits) <= 10_000


# --- what no function may see

OURS = ["Bearer secret", "bearer \t secret ", "Token secret", "secret", "Bearer\tplat_x", "plat_x"]
THEIRS = ["", " ", "Bearer", "Bearer Secret", "Basic c2VjcmV0", "Bearer secrets", "Bearer x plat_x"]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("authorization", "ours"), [*product(OURS, [True]), *product(THEIRS, [False])])
def test_tokens_of_ours(authorization: str, ours: bool, times: int) -> None:
    known = identities("secret")
    for _ in range(times):
        assert known.is_ours(authorization) == ours


def test_a_token_that_has_expired_is_still_ours() -> None:
    known = identities()
    known.put(entry("secret", expires_at=NOW - 1))
    assert not is_known(known, "Bearer secret")
    assert known.is_ours("Bearer secret")


def test_what_was_not_ours_is_when_it_is_heard_of() -> None:
    known = identities()
    assert not known.is_ours("Bearer secret")
    known.put(entry("secret"))
    assert known.is_ours("Bearer secret")


def test_a_flood_of_others_fills_no_memory() -> None:
    known = identities("secret")
    for number in range(10_000):
        assert not known.is_ours(f"Bearer {number}{'x' * (number % 3000)}")
    assert sum(map(len, known._theirs)) <= 4096 * 1024
    assert known.is_ours("Bearer secret")


def test_tokens_are_made_as_they_are_known() -> None:
    assert new_token().startswith(PREFIX)
