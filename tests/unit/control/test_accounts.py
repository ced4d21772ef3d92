"""Users and tokens as they are changed: the database, the book and the feed say the same."""

from datetime import timedelta

import pytest

from control import tokens as rules
from control.accounts import Accounts, open_book
from control.rows import TokenRow
from control.store import Store
from control.token_book import TokenBook
from plat.administration import CreatedToken, TokenRequest
from plat.errors import PlatError
from plat.feed import TokenDropped, TokenPut
from tests.unit.control.fakes import NOW, ToldFeed, token_row

READS = TokenRequest(name="reads", scopes=["read"])


class Rig:
    def __init__(self, store: Store, book: TokenBook) -> None:
        self.store = store
        self.book = book
        self.feed = ToldFeed()
        self.accounts = Accounts(store, self.feed, book)

    @property
    def admin(self) -> TokenRow:
        row = self.book.get("admin")
        assert row is not None
        return row

    def row(self, identity: str) -> TokenRow:
        row = self.book.get(identity)
        assert row is not None
        return row

    async def stored(self) -> list[str]:
        async with self.store.reading() as tables:
            return [row.id for row in await tables.tokens()]

    async def child(self, parent: TokenRow) -> CreatedToken:
        return await self.accounts.create_token(parent, READS)


@pytest.fixture
async def rig(store: Store) -> Rig:
    return Rig(store, await open_book(store, "root"))


async def test_a_new_token_is_known_everywhere(rig: Rig) -> None:
    made = await rig.accounts.create_token(rig.admin, READS)
    digest = rules.digest_of(made.token)
    assert rig.book.bearer(f"Bearer {made.token}", NOW).id == made.id
    assert rig.feed.told == [TokenPut(rig.book.entry(rig.row(made.id)))]
    async with rig.store.reading() as tables:
        assert [row.digest for row in await tables.tokens() if row.id == made.id] == [digest]


async def test_a_revoked_token_goes_everywhere_with_those_made_with_it(rig: Rig) -> None:
    first = await rig.child(rig.admin)
    second = await rig.child(rig.row(first.id))
    third = await rig.child(rig.row(second.id))
    other = await rig.child(rig.admin)
    rig.feed.told.clear()
    await rig.accounts.revoke(rig.admin, first.id)
    gone = {first.id, second.id, third.id}
    assert {each.id for each in rig.feed.told if isinstance(each, TokenDropped)} == gone
    assert set(await rig.stored()) == {row.id for row in rig.book} == {"admin", other.id}
    with pytest.raises(PlatError, match="not known"):
        rig.book.bearer(f"Bearer {third.token}", NOW)


async def test_a_token_sees_and_revokes_only_its_own(rig: Rig) -> None:
    one, two = await rig.child(rig.admin), await rig.child(rig.admin)
    child = await rig.child(rig.row(one.id))
    seen = rig.accounts.tokens(rig.row(one.id), 10, "")
    assert {each.id for each in seen.items} == {one.id, child.id}
    for wanted in (two.id, "admin", "unknown"):
        with pytest.raises(PlatError) as error:
            await rig.accounts.revoke(rig.row(one.id), wanted)
        assert error.value.code == "token_not_found"
        with pytest.raises(PlatError):
            rig.accounts.token(rig.row(one.id), wanted)
    await rig.accounts.revoke(rig.row(one.id), one.id)
    assert {row.id for row in rig.book} == {"admin", two.id}


async def test_a_token_that_is_revoked_meanwhile_makes_no_other(rig: Rig) -> None:
    made = await rig.child(rig.admin)
    row = rig.row(made.id)
    await rig.accounts.revoke(rig.admin, made.id)
    with pytest.raises(PlatError) as error:
        await rig.child(row)
    assert error.value.code == "unauthorized"
    assert await rig.stored() == ["admin"]


async def test_pages_of_tokens(rig: Rig) -> None:
    made = [await rig.child(rig.admin) for _ in range(4)]
    seen, after = [], ""
    while True:
        page = rig.accounts.tokens(rig.admin, 2, after)
        seen += [each.id for each in page.items]
        if page.next is None:
            break
        after = page.next
    assert seen == sorted([*(each.id for each in made), "admin"])


async def test_the_admin_token_stays(rig: Rig) -> None:
    with pytest.raises(PlatError) as error:
        await rig.accounts.revoke(rig.admin, "admin")
    assert error.value.code == "invalid"


async def test_users_and_their_tokens(rig: Rig) -> None:
    wanted = TokenRequest(name="hers", scopes=["invoke:*"], owner="ann")
    with pytest.raises(PlatError) as error:
        await rig.accounts.create_token(rig.admin, wanted)
    assert error.value.code == "user_not_found"
    await rig.accounts.create_user("ann")
    with pytest.raises(PlatError) as error:
        await rig.accounts.create_user("ann")
    assert error.value.code == "user_exists"
    made = await rig.accounts.create_token(rig.admin, wanted)
    child = await rig.accounts.create_token(rig.row(made.id), TokenRequest(name="child", scopes=["invoke:f"]))
    rig.feed.told.clear()
    await rig.accounts.delete_user("ann")
    assert rig.feed.told == [TokenDropped(made.id), TokenDropped(child.id)]
    assert await rig.stored() == ["admin"]
    assert (await rig.accounts.users(10, "")).items == []
    with pytest.raises(PlatError) as error:
        await rig.accounts.delete_user("ann")
    assert error.value.code == "user_not_found"


async def test_pages_of_users(rig: Rig) -> None:
    for name in ("bob", "ann", "eve"):
        await rig.accounts.create_user(name)
    page = await rig.accounts.users(2, "")
    assert ([each.name for each in page.items], page.next) == (["ann", "bob"], "bob")
    page = await rig.accounts.users(2, "bob")
    assert ([each.name for each in page.items], page.next) == (["eve"], None)


async def test_there_is_a_limit_and_what_has_expired_makes_room(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "TOKENS_LIMIT", 3)
    expired = token_row("old", created_at=NOW, expires_at=NOW + timedelta(hours=1))
    async with rig.store.changing() as tables:
        await tables.add_token(expired)
    rig.book.put(expired)
    await rig.child(rig.admin)
    made = await rig.child(rig.admin)
    assert rig.feed.told[-2:] == [TokenDropped("old"), TokenPut(rig.book.entry(rig.row(made.id)))]
    with pytest.raises(PlatError, match="revoke some"):
        await rig.child(rig.admin)
    assert len(await rig.stored()) == len(rig.book) == 3


async def test_a_chain_of_any_length_is_revoked_by_its_first(rig: Rig) -> None:
    """SQLite's own deletion of children goes 1000 deep."""
    chain = [token_row(f"c{number}", parent=f"c{number - 1}" if number else None) for number in range(1100)]
    async with rig.store.changing() as tables:
        for row in chain:
            await tables.add_token(row)
            rig.book.put(row)
    await rig.accounts.revoke(rig.admin, "c0")
    assert await rig.stored() == [row.id for row in rig.book] == ["admin"]
    assert len(rig.feed.told) == len(chain)


async def test_a_chain_of_tokens_has_an_end(rig: Rig) -> None:
    row = rig.row((await rig.child(rig.admin)).id)
    for _ in range(rules.CHAIN_LIMIT - 1):
        row = rig.row((await rig.child(row)).id)
    with pytest.raises(PlatError, match="make it with one of those before") as error:
        await rig.child(row)
    assert error.value.code == "invalid"
    assert len(rig.book) == len(await rig.stored()) == 1 + rules.CHAIN_LIMIT


async def test_a_family_has_so_many_and_leaves_room_for_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FAMILY_LIMIT", 3)
    first, other = [rig.row((await rig.child(rig.admin)).id) for _ in range(2)]
    second = rig.row((await rig.child(first)).id)
    await rig.child(second)
    third = await rig.child(first)
    for creator in (first, second):
        with pytest.raises(PlatError, match="revoke some") as error:
            await rig.child(creator)
        assert error.value.code == "invalid"
    await rig.child(other)
    await rig.child(rig.admin)
    await rig.accounts.revoke(first, third.id)
    await rig.child(second)


async def test_in_a_family_what_has_expired_makes_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "FAMILY_LIMIT", 1)
    parent = rig.row((await rig.child(rig.admin)).id)
    ended = [
        token_row("old", parent=parent.id, expires_at=NOW + timedelta(hours=1)),
        token_row("others", expires_at=NOW + timedelta(hours=1)),
    ]
    async with rig.store.changing() as tables:
        for row in ended:
            await tables.add_token(row)
            rig.book.put(row)
    made = await rig.child(parent)
    assert set(await rig.stored()) == {row.id for row in rig.book} == {"admin", parent.id, "others", made.id}


async def test_routers_are_told_whose_limits_a_token_has(rig: Rig) -> None:
    first = await rig.child(rig.admin)
    second = await rig.child(rig.row(first.id))
    third = await rig.child(rig.row(second.id))
    told = [each.token for each in rig.feed.told if isinstance(each, TokenPut)]
    assert [each.id for each in told] == [first.id, second.id, third.id]
    assert [each.root for each in told] == ["", first.id, first.id]
    assert {each.id: each.root for each in rig.book.entries()} == {
        "admin": "", **{each.id: each.root for each in told}
    }  # fmt: skip


async def test_a_token_that_an_admins_token_made_begins_a_family(rig: Rig) -> None:
    """Also where that admin's token is not the platform's own."""
    wanted = TokenRequest(name="boss", scopes=["admin"])
    boss = rig.row((await rig.accounts.create_token(rig.admin, wanted)).id)
    made = await rig.child(boss)
    assert rig.book.entry(rig.row(made.id)).root == ""


async def test_when_tokens_were_used_is_written_at_the_end(rig: Rig, store: Store) -> None:
    made = await rig.child(rig.admin)
    rig.book.bearer(f"Bearer {made.token}", NOW)
    await rig.accounts.close()
    async with store.reading() as tables:
        assert {row.id: row.last_used_at for row in await tables.tokens()} == {"admin": None, made.id: NOW}


# --- the admin's token


async def test_the_first_token_is_taken_and_the_next_one_replaces_it(store: Store) -> None:
    for given, valid in (("one", "one"), (None, "one"), ("one", "one"), ("two", "two")):
        book = await open_book(store, given)
        assert [(row.id, row.digest) for row in book] == [("admin", rules.digest_of(valid))]
        assert book.bearer(f"Bearer {valid}", NOW).scopes == ("admin",)


async def test_other_tokens_than_the_admins_stay(store: Store) -> None:
    async with store.changing() as tables:
        await tables.add_token(token_row("other", digest=rules.digest_of("three")))
    for given in ("one", "two"):
        book = await open_book(store, given)
        assert {row.digest for row in book} == {rules.digest_of("three"), rules.digest_of(given)}
    assert len(await open_book(store, "three")) == 2


@pytest.mark.parametrize("given", [None, ""])
async def test_without_any_token_that_is_said(
    given: str | None, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(await open_book(store, given)) == 0
    assert "set PLAT_TOKEN" in caplog.text
