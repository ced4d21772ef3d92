"""Secrets as people change them: rows, the book and the feed brought together. Values only ever go in.

Every change is one transaction; what it changed is in the book and told to the pool right after it.
"""

from datetime import UTC, datetime
from functools import partial

from control import audit
from control import functions as rules
from control.feed import Feed
from control.finish import Finisher
from control.keyring import Keyring
from control.rows import FunctionRow, SecretRow
from control.secret_book import SecretBook
from control.store import Store, Tables
from control.vault import UnreadableError, Vault
from plat.administration import KeyRotation, Secret, SecretPage
from plat.errors import PlatError
from plat.feed import FunctionPut
from plat.logs import get_logger

log = get_logger(__name__)

SECRETS_LIMIT = 10_000


class Secrets:
    """Every method that changes something comes to its end also when it is cancelled."""

    def __init__(self, store: Store, feed: Feed, book: SecretBook, keyring: Keyring) -> None:
        self._store = store
        self._feed = feed
        self._book = book
        self._keyring = keyring
        self._finisher = Finisher()

    async def close(self) -> None:
        await self._finisher.close()

    async def page(self, limit: int, after: str) -> SecretPage:
        async with self._store.reading() as tables:
            rows = await tables.secrets(after, limit + 1)
        shown = [_shown(row) for row in rows[:limit]]
        return SecretPage(items=shown, next=shown[-1].name if len(rows) > limit else None)

    async def set(self, name: str, value: str) -> tuple[Secret, bool]:
        """True if it was not there before. Running instances that have the former value are replaced."""
        return await self._finisher.run(self._set(name, value), f"set secret {name}")

    async def delete(self, name: str) -> None:
        """Raises PlatError `secret_not_found`, `secret_in_use`."""
        await self._finisher.run(self._delete(name), f"delete secret {name}")

    async def rotate(self) -> KeyRotation:
        """Encrypt all under the first key; where the key is ours, under a new one, and forget the former.

        Killed in the middle, both keys are there, and it can be done again. Raises PlatError
        `unknown_secret` for one that cannot be read, and changes nothing then.
        """
        return await self._finisher.run(self._rotate(), "rotate the key of the secrets")

    async def _set(self, name: str, value: str) -> tuple[Secret, bool]:
        async with self._store.changing() as tables:
            former = await tables.secret(name)
            if former is None and await tables.count_secrets() >= SECRETS_LIMIT:
                raise PlatError("invalid", f"There are {SECRETS_LIMIT} secrets, as many as there may be.")
            row = sealed_row(self._keyring.vault(), name, value, former, datetime.now(UTC))
            await (tables.add_secret(row) if former is None else tables.change_secret(row))
            await audit.note(tables, object=name)
            tables.after_commit(lambda: self._book.put(name, value))
            await self._publish_users_of(tables, name)
            return _shown(row), former is None

    async def _publish_users_of(self, tables: Tables, name: str) -> None:
        """Their entries are made when the book has the new value."""
        rows = await tables.functions_with_secret(name)
        versions = await tables.ready_versions([row.name for row in rows], rules.VERSIONS_IN_FEED)

        def publish(row: FunctionRow) -> None:
            entry = rules.function_entry(row, versions.get(row.name, []), self._book)
            self._feed.publish(FunctionPut(function=entry))

        for row in rows:
            tables.after_commit(partial(publish, row))

    async def _delete(self, name: str) -> None:
        async with self._store.changing() as tables:
            if await tables.secret(name) is None:
                raise PlatError("secret_not_found", f'There is no secret "{name}".')
            for row in await tables.functions_with_secret(name):
                await _require_unused(tables, row, name)
            await tables.drop_secret(name)
            await audit.note(tables, object=name)
            tables.after_commit(lambda: self._book.drop(name))
            await self._publish_users_of(tables, name)

    async def _rotate(self) -> KeyRotation:
        async with self._store.changing() as tables:
            rows = await tables.secrets("", SECRETS_LIMIT)
            former = self._keyring.vault()
            values = [_opened(former, row) for row in rows]  # all of them, before there is a new key
            if self._keyring.is_own:
                self._keyring.add_key()
            vault = self._keyring.vault()
            for row, value in zip(rows, values, strict=True):
                await tables.change_secret(sealed_row(vault, row.name, value, row, row.updated_at))
            await audit.note(tables)
            if self._keyring.is_own:
                tables.after_commit(self._keyring.keep_first)
            return KeyRotation(key=vault.writes_with, secrets=len(rows))


def sealed_row(vault: Vault, name: str, value: str, former: SecretRow | None, now: datetime) -> SecretRow:
    return SecretRow(
        name=name,
        key=vault.writes_with,
        sealed=vault.seal(name, value),
        created_at=now if former is None else former.created_at,
        updated_at=now,
    )


def _opened(vault: Vault, row: SecretRow) -> str:
    try:
        return vault.open(row.name, row.key, row.sealed)
    except UnreadableError as error:
        raise PlatError("unknown_secret", f"{error} Nothing was changed: set or delete it first.") from error


async def _require_unused(tables: Tables, function: FunctionRow, name: str) -> None:
    """Neither what is live nor what the next version is made of may name it."""
    live = None if function.live is None else await tables.version(function.name, function.live)
    hmac = function.spec.access.hmac
    in_spec = name in function.spec.secrets or (hmac is not None and name in hmac.secrets)
    if in_spec or (live is not None and name in live.spec.secrets):
        raise PlatError(
            "secret_in_use",
            f'The function "{function.name}" uses the secret "{name}": deploy it without, or delete it.',
        )


def _shown(row: SecretRow) -> Secret:
    return Secret(name=row.name, created_at=row.created_at, updated_at=row.updated_at, key=row.key)


async def open_secrets(store: Store, keyring: Keyring) -> SecretBook:
    """All of them, read. One that cannot be is logged by its name, and no version with it is deployed."""
    book = SecretBook()
    async with store.reading() as tables:
        rows = await tables.secrets("", SECRETS_LIMIT)
    if not rows:
        return book
    vault = keyring.vault()
    for row in rows:
        try:
            book.put(row.name, vault.open(row.name, row.key, row.sealed))
        except UnreadableError as error:
            log.error("a secret cannot be read", secret=row.name, detail=str(error))
            book.put_unreadable(row.name, str(error))
    return book
