"""The book of tokens: whose a header is, who sees which, what goes together, when they were used."""

from datetime import timedelta

import pytest

from control.token_book import TokenBook
from control.tokens import digest_of
from plat.errors import PlatError
from tests.unit.control.fakes import NOW, token_row

HOUR = timedelta(hours=1)


def book() -> TokenBook:
    return TokenBook(
        [
            token_row("admin", digest=digest_of("root")),
            token_row("b", scopes=("read",), owner="ann", digest=digest_of("reader")),
            token_row("c", scopes=("read",), owner="ann", parent="b"),
            token_row("d", scopes=("read",), owner="ann", parent="c"),
            token_row("e", scopes=("read",), expires_at=NOW + HOUR, digest=digest_of("short")),
        ]
    )


@pytest.mark.parametrize(("token", "identity"), [("root", "admin"), ("reader", "b"), ("short", "e")])
def test_whose_a_token_is(token: str, identity: str) -> None:
    assert book().bearer(f"Bearer {token}", NOW).id == identity


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        ("", "Send the header"),
        ("Basic root", "Send the header"),
        ("Bearer rot", "not known"),
        ("Bearer short", "expired"),
    ],
)
def test_nobodys(authorization: str, said: str) -> None:
    with pytest.raises(PlatError, match=said) as error:
        book().bearer(authorization, NOW + HOUR)
    assert error.value.code == "unauthorized"


def test_a_digest_is_no_token() -> None:
    with pytest.raises(PlatError):
        book().bearer(f"Bearer {digest_of('root')}", NOW)


def test_a_token_that_is_dropped_or_replaced_is_nobodys() -> None:
    known = book()
    known.drop("admin")
    known.drop("admin")
    known.put(token_row("b", digest=digest_of("new")))
    for token in ("root", "reader"):
        with pytest.raises(PlatError):
            known.bearer(f"Bearer {token}", NOW)
    assert known.bearer("Bearer new", NOW).id == "b"


def test_who_sees_which() -> None:
    known = book()
    seen = {row.id: [each.id for each in known.visible_to(row)] for row in known}
    assert seen == {
        "admin": ["admin", "b", "c", "d", "e"],
        "b": ["b", "c", "d"],
        "c": ["c", "d"],
        "d": ["d"],
        "e": ["e"],
    }


def test_what_goes_together() -> None:
    known = book()
    assert {each.id for each in known.owned_by("ann")} == {"b", "c", "d"}
    assert known.owned_by("bob") == known.family("unknown") == []
    assert [each.id for each in known.expired(NOW + HOUR)] == ["e"]
    assert known.expired(NOW) == []


def test_where_a_token_comes_from() -> None:
    known = book()
    lineages = {row.id: [each.id for each in known.lineage(row)] for row in known}
    assert lineages == {
        "admin": ["admin"],
        "b": ["b"],
        "c": ["c", "b"],
        "d": ["d", "c", "b"],
        "e": ["e"],
    }
    rows = [row for row in known if row.id in "bcd"]
    for given in (rows, rows[::-1], [rows[1], rows[2], rows[0]]):
        assert [each.id for each in known.leaves_first(given)] == ["d", "c", "b"]


def test_when_tokens_were_used() -> None:
    known = book()
    known.bearer("Bearer root", NOW)
    known.note_used({"b": NOW.timestamp() + 5, "unknown": 1.0})
    known.note_used({"b": NOW.timestamp() + 3})
    after = NOW + timedelta(seconds=5)
    assert known.take_used() == {"admin": NOW, "b": after}
    assert known.take_used() == {}
    row = known.get("b")
    assert row is not None
    assert row.last_used_at == after
    assert known.bearer("Bearer reader", after).last_used_at == after
    assert known.take_used() == {}


def test_all_are_told_to_routers() -> None:
    assert [each.id for each in book().entries()] == ["admin", "b", "c", "d", "e"]
