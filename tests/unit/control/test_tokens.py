"""The rules of tokens: read from a header, made with no more than one has."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from control.rows import TokenRow
from control.tokens import (
    ADMIN_ID,
    LONGEST_LIFE,
    admin_row,
    bearer_of,
    created_token,
    digest_of,
    has_expired,
    new_token,
    require_revocable,
    shown_token,
    token_entry,
    token_row,
)
from plat.administration import TokenRequest
from plat.errors import PlatError
from tests.unit.control import fakes

NOW = fakes.NOW
HOUR = timedelta(hours=1)
ADMIN = fakes.token_row("admin")


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_the_token_of_a_header(header: str, token: str | None) -> None:
    assert bearer_of(header) == token


def test_a_digest_is_sha256_in_hexadecimal() -> None:
    assert digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_any_text_has_a_digest() -> None:
    assert digest_of("grüße \udcff") != digest_of("grüße")


def test_tokens_are_known_for_what_they_are_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(each.startswith("plat_") and len(each) == len("plat_") + 43 for each in tokens)


def made(creator: TokenRow = ADMIN, **request: object) -> TokenRow:
    wanted = msgspec.convert({"name": "ci", "scopes": ["read"], **request}, TokenRequest)
    return token_row(creator, wanted, "d" * 64, NOW)


def refusal(creator: TokenRow = ADMIN, **request: object) -> PlatError:
    with pytest.raises(PlatError) as error:
        made(creator, **request)
    return error.value


def test_what_an_admin_makes() -> None:
    scopes = ["invoke:*", "read", "invoke:*"]
    row = made(scopes=scopes, owner="ann", expires_at=NOW + HOUR)
    assert (row.name, row.owner, row.parent, row.digest) == ("ci", "ann", None, "d" * 64)
    assert (row.scopes, row.created_at, row.expires_at) == (("invoke:*", "read"), NOW, NOW + HOUR)
    assert row.id != made().id


def test_a_token_without_admin_makes_only_what_it_is_itself() -> None:
    maker = fakes.token_row("m", scopes=("deploy:shop-*", "invoke:*"), owner="ann", expires_at=NOW + HOUR)
    row = made(maker, scopes=["deploy:shop-cart", "invoke:a*"])
    assert (row.owner, row.parent, row.expires_at) == ("ann", "m", NOW + HOUR)
    assert made(maker, scopes=["invoke:a"], expires_at=NOW + HOUR / 2).expires_at == NOW + HOUR / 2
    for scope in ("admin", "read", "deploy:*", "deploy:other"):
        error = refusal(maker, scopes=["invoke:a", scope])
        assert (error.code, f'"{scope}"' in error.detail) == ("forbidden", True)
    assert refusal(maker, scopes=["invoke:a"], owner="bob").code == "forbidden"
    assert refusal(maker, scopes=["invoke:a"], expires_at=NOW + 2 * HOUR).code == "forbidden"


@pytest.mark.parametrize(
    "end",
    [
        NOW,
        NOW - HOUR,
        NOW + LONGEST_LIFE + HOUR,
        datetime.max.replace(tzinfo=timezone(-HOUR)),
        datetime.min.replace(tzinfo=timezone(HOUR)),
    ],
)
def test_an_end_that_is_none(end: datetime) -> None:
    assert refusal(expires_at=end).code == "invalid"


def test_an_end_in_another_zone_is_the_same_moment() -> None:
    end = (NOW + HOUR).astimezone(timezone(5 * HOUR))
    assert made(expires_at=end).expires_at == NOW + HOUR


def test_when_a_token_has_expired() -> None:
    row = fakes.token_row(expires_at=NOW + HOUR)
    assert [has_expired(row, NOW + each) for each in (HOUR / 2, HOUR, 2 * HOUR)] == [False, True, True]
    assert not has_expired(fakes.token_row(), datetime.max.replace(tzinfo=UTC))


def test_the_admin_token_is_not_revoked() -> None:
    require_revocable("other")
    with pytest.raises(PlatError, match="PLAT_TOKEN"):
        require_revocable(ADMIN_ID)
    assert admin_row("d" * 64, NOW).id == ADMIN_ID


def test_what_is_shown_has_no_digest_and_the_token_once() -> None:
    row = fakes.token_row(digest="d" * 64)
    assert b"ddd" not in msgspec.json.encode(shown_token(row))
    created = msgspec.json.encode(created_token(row, "plat_xyz"))
    assert (b"ddd" in created, created.count(b"plat_xyz")) == (False, 1)


def test_what_routers_are_told() -> None:
    entry = token_entry(fakes.token_row("t", scopes=("read",), expires_at=NOW + HOUR, digest="d" * 64))
    assert (entry.id, entry.digest, entry.scopes) == ("t", "d" * 64, ("read",))
    assert entry.expires_at == (NOW + HOUR).timestamp()
    assert token_entry(fakes.token_row()).expires_at is None
