"""Users and tokens as people change them: rules, rows, the book and the feed brought together.

Every change is one transaction; what it changed is in the book and told to the routers right after it.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from control import audit
from control import tokens as rules
from control.feed import Feed
from control.finish import Finisher
from control.rows import TokenRow, UserRow
from control.store import Store, Tables
from control.token_book import TokenBook
from plat.administration import CreatedToken, Token, TokenPage, TokenRequest, User, UserPage
from plat.errors import PlatError
from plat.feed import TokenDropped, TokenPut
from plat.logs import get_logger

log = get_logger(__name__)

SAVE_USED_S = 60.0
"""When tokens were used last is written this often."""


class Accounts:
    """Every method that changes something comes to its end also when it is cancelled."""

    def __init__(self, store: Store, feed: Feed, book: TokenBook) -> None:
        self._store = store
        self._feed = feed
        self._book = book
        self._finisher = Finisher()

    async def close(self) -> None:
        await self._finisher.close()
        await self._save_used()

    # --- tokens

    async def create_token(self, creator: TokenRow, request: TokenRequest) -> CreatedToken:
        """Raises PlatError `forbidden`, `invalid`, `user_not_found`."""
        token = rules.new_token()
        row = rules.token_row(creator, request, rules.digest_of(token), datetime.now(UTC))
        await self._finisher.run(self._add(row, creator), f"create token {row.id}")
        return rules.created_token(row, token)

    def tokens(self, caller: TokenRow, limit: int, after: str) -> TokenPage:
        rows = [row for row in self._book.visible_to(caller) if row.id > after][: limit + 1]
        shown = [rules.shown_token(row) for row in rows[:limit]]
        return TokenPage(items=shown, next=shown[-1].id if len(rows) > limit else None)

    def token(self, caller: TokenRow, identity: str) -> Token:
        """Raises PlatError `token_not_found`, also for one that is not the caller's to see."""
        return rules.shown_token(self._visible(caller, identity))

    async def revoke(self, caller: TokenRow, identity: str) -> None:
        """With all tokens that were made with it."""
        row = self._visible(caller, identity)
        rules.require_revocable(row.id)
        await self._finisher.run(self._drop(row.id), f"revoke token {row.id}")

    def _visible(self, caller: TokenRow, identity: str) -> TokenRow:
        for row in self._book.visible_to(caller):
            if row.id == identity:
                return row
        raise rules.token_not_found(identity)

    async def _add(self, row: TokenRow, creator: TokenRow) -> None:
        async with self._store.changing() as tables:
            await self._make_room(tables, creator, row.created_at)
            if self._book.get(creator.id) is None:
                raise PlatError("unauthorized", "The token was revoked.")
            if row.parent is not None:
                rules.require_short(self._book.lineage(creator))
            if row.owner is not None and await tables.user(row.owner) is None:
                raise rules.user_not_found(row.owner)
            await tables.add_token(row)
            await audit.note(tables, object=row.id)
            tables.after_commit(lambda: self._put(row))

    async def _make_room(self, tables: Tables, creator: TokenRow, now: datetime) -> None:
        """Where there are as many as there may be, those that have expired go."""
        root = self._book.root(creator)
        family = [] if rules.is_admin(creator) else self._book.family(root.id)
        if len(family) > rules.FAMILY_LIMIT:
            expired = [row for row in family if rules.has_expired(row, now)]
            said = f'{rules.FAMILY_LIMIT} tokens that were made with the token "{root.name}" and with those'
        elif len(self._book) >= rules.TOKENS_LIMIT:
            expired, said = self._book.expired(now), f"{rules.TOKENS_LIMIT} tokens"
        else:
            return
        if not expired:
            raise PlatError("invalid", f"There are {said}, as many as there may be: revoke some.")
        await self._drop_rows(tables, expired)

    def _put(self, row: TokenRow) -> None:
        self._book.put(row)
        self._feed.publish(TokenPut(self._book.entry(row)))

    async def _drop(self, identity: str) -> None:
        async with self._store.changing() as tables:
            await self._drop_rows(tables, self._book.family(identity))
            await audit.note(tables)

    async def _drop_rows(self, tables: Tables, rows: Sequence[TokenRow]) -> None:
        """Leaves first: a deletion that goes on to children goes no deeper than 1000 on SQLite."""
        for row in self._book.leaves_first(rows):
            await tables.drop_token(row.id)
        for row in rows:
            tables.after_commit(partial(self._dropped, row.id))

    def _dropped(self, identity: str) -> None:
        self._book.drop(identity)
        self._feed.publish(TokenDropped(identity))

    # --- users

    async def create_user(self, name: str) -> User:
        """Raises PlatError `user_exists`."""
        return await self._finisher.run(self._add_user(name), f"create user {name}")

    async def users(self, limit: int, after: str) -> UserPage:
        async with self._store.reading() as tables:
            rows = await tables.users(after, limit + 1)
        shown = [User(name=row.name, created_at=row.created_at) for row in rows[:limit]]
        return UserPage(items=shown, next=shown[-1].name if len(rows) > limit else None)

    async def delete_user(self, name: str) -> None:
        """With all tokens of that user's, and those made with them. Raises PlatError `user_not_found`."""
        await self._finisher.run(self._drop_user(name), f"delete user {name}")

    async def _add_user(self, name: str) -> User:
        row = UserRow(name=name, created_at=datetime.now(UTC))
        async with self._store.changing() as tables:
            if await tables.user(name) is not None:
                raise PlatError("user_exists", f'There is a user "{name}" already.')
            await tables.add_user(row)
            await audit.note(tables, object=name)
        return User(name=row.name, created_at=row.created_at)

    async def _drop_user(self, name: str) -> None:
        async with self._store.changing() as tables:
            if await tables.user(name) is None:
                raise rules.user_not_found(name)
            await self._drop_rows(tables, self._book.owned_by(name))
            await tables.drop_user(name)
            await audit.note(tables)

    # --- use

    async def keep_used(self) -> None:
        """Write now and then when tokens were used last. For ever."""
        while True:
            await asyncio.sleep(SAVE_USED_S)
            await self._save_used()

    async def _save_used(self) -> None:
        used = self._book.take_used()
        if not used:
            return
        try:
            async with self._store.changing() as tables:
                await tables.note_used(used)
        except PlatError as error:
            log.warning("when tokens were used cannot be written", tokens=len(used), detail=error.detail)


async def open_book(store: Store, token: str | None) -> TokenBook:
    """All tokens. A given token that is not known replaces the former admin token."""
    async with store.changing() as tables:
        book = TokenBook(await tables.tokens())
        if token and not book.is_known(digest := rules.digest_of(token)):
            row = rules.admin_row(digest, datetime.now(UTC))
            await tables.drop_token(row.id)
            await tables.add_token(row)
            book.put(row)
    if not len(book):
        log.warning("there is no token yet, so that nobody can use the API: set PLAT_TOKEN")
    return book
