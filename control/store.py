"""All SQL of the control service. Rows in, rows out; what is allowed is decided elsewhere.

One writer at a time in this process, by a lock: SQLite knows only one, and the order of the feed's
messages is the order of commits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    RowMapping,
    Select,
    Text,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from control.database import migrate, open_engine, writing
from control.rows import AuditRow, FunctionRow, SecretRow, TokenRow, UserRow, VersionRow
from control.schema import audit, functions, secrets, tokens, users, versions
from plat.errors import PlatError
from plat.model import VersionError, VersionState
from plat.web import translate


class Store:
    """The database. `open` brings its tables up to date."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = writing(engine)
        self._writer = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> "Store":
        """Raises PlatError: `invalid` URL, `database_unavailable`, `database_busy`, `disk_full`."""
        engine = open_engine(url)
        try:
            with translated():
                await migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def close(self) -> None:
        """Waits for a transaction that writes."""
        async with self._writer:
            await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Tables"]:
        """A transaction that sees one state of the database. Cancelling is safe."""
        with translated():
            async with self._engine.connect() as connection:
                yield Tables(connection)

    @asynccontextmanager
    async def reading_alone(self) -> AsyncIterator["Tables"]:
        """Reads while nobody here writes: what is begun inside comes before every later change."""
        async with self._writer, self.reading() as tables:
            yield tables

    @asynccontextmanager
    async def changing(self) -> AsyncIterator["Tables"]:
        """A transaction that writes: committed at the end, undone by an error.

        Functions given to `after_commit` run right after, in the order of commits. A cancellation
        during the commit leaves open which of both it was: run it by `control.finish`.
        """
        async with self._writer:
            with translated():
                async with self._writing.begin() as connection:
                    tables = Tables(connection)
                    yield tables
            for call in tables.calls_after_commit:
                call()


class Tables:
    """Statements inside one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.calls_after_commit: list[Callable[[], None]] = []

    def after_commit(self, call: Callable[[], None]) -> None:
        self.calls_after_commit.append(call)

    # --- functions

    async def function(self, name: str) -> FunctionRow | None:
        return _function(await self._first(select(functions).where(functions.c.name == name)))

    async def function_to_change(self, name: str) -> FunctionRow | None:
        """Locked until the transaction ends, where the database has locks of rows."""
        query = select(functions).where(functions.c.name == name).with_for_update()
        return _function(await self._first(query))

    async def functions(self, after: str, limit: int) -> list[FunctionRow]:
        """By name, those after `after`."""
        query = select(functions).where(functions.c.name > after).order_by(functions.c.name).limit(limit)
        return [FunctionRow(**row) for row in await self._all(query)]

    async def add_function(self, row: FunctionRow) -> None:
        await self._connection.execute(insert(functions).values(msgspec.structs.asdict(row)))

    async def change_function(self, row: FunctionRow) -> None:
        values = msgspec.structs.asdict(row)
        await self._connection.execute(update(functions).where(functions.c.name == row.name).values(values))

    async def drop_function(self, name: str) -> set[str]:
        """Remove it with its versions; the digests of their artifacts."""
        rows = await self._all(select(versions.c.digest).where(versions.c.function == name).distinct())
        await self._connection.execute(delete(functions).where(functions.c.name == name))
        return {row["digest"] for row in rows}

    # --- versions

    async def version(self, name: str, number: int) -> VersionRow | None:
        query = select(versions).where(versions.c.function == name, versions.c.number == number)
        return _version(await self._first(query))

    async def version_by_id(self, identity: str) -> VersionRow | None:
        return _version(await self._first(select(versions).where(versions.c.id == identity)))

    async def versions(self, name: str, before: int | None, limit: int) -> list[VersionRow]:
        """Newest first, those below the number `before`."""
        query = select(versions).where(versions.c.function == name)
        if before is not None:
            query = query.where(versions.c.number < before)
        rows = await self._all(query.order_by(versions.c.number.desc()).limit(limit))
        return [VersionRow(**row) for row in rows]

    async def ready_versions(self, names: Collection[str], newest: int) -> dict[str, list[VersionRow]]:
        """Of each function that has any: the `newest` ready ones and the live one, newest first."""
        # The names are in the inner query too: without them it ranks the versions of all functions.
        rank = func.row_number().over(partition_by=versions.c.function, order_by=versions.c.number.desc())
        ranked = (
            select(versions.c.id, rank.label("rank"))
            .where(versions.c.state == "ready", versions.c.function.in_(names))
            .subquery()
        )
        query = (
            select(versions)
            .join(ranked, ranked.c.id == versions.c.id)
            .join(functions, functions.c.name == versions.c.function)
            .where(or_(ranked.c.rank <= newest, functions.c.live == versions.c.number))
            .order_by(versions.c.number.desc())
        )
        found: dict[str, list[VersionRow]] = {}
        for row in await self._all(query):
            found.setdefault(row["function"], []).append(VersionRow(**row))
        return found

    async def next_number(self, name: str) -> int:
        """1, 2, 3 … per function. In the transaction that adds the version, its function locked."""
        query = select(func.coalesce(func.max(versions.c.number), 0)).where(versions.c.function == name)
        return int((await self._connection.execute(query)).scalar_one()) + 1

    async def add_version(self, row: VersionRow) -> None:
        await self._connection.execute(insert(versions).values(msgspec.structs.asdict(row)))

    async def end_building(
        self, identity: str, state: VersionState, error: VersionError | None = None
    ) -> VersionRow | None:
        """The version in its new state; None if it is gone, or was not building any more."""
        change = (
            update(versions)
            .where(versions.c.id == identity, versions.c.state == "building")
            .values(state=state, error=error)
        )
        if (await self._connection.execute(change)).rowcount == 0:
            return None
        return await self.version_by_id(identity)

    async def fail_building(self, error: VersionError, name: str | None = None) -> int:
        """Give up what a process that was killed was building, of one function or all; how many."""
        change = update(versions).where(versions.c.state == "building").values(state="failed", error=error)
        if name is not None:
            change = change.where(versions.c.function == name)
        return (await self._connection.execute(change)).rowcount

    async def unused(self, digests: Collection[str]) -> set[str]:
        """Those digests that no version refers to."""
        query = select(versions.c.digest).where(versions.c.digest.in_(digests)).distinct()
        return set(digests) - {row["digest"] for row in await self._all(query)}

    # --- users and tokens

    async def user(self, name: str) -> UserRow | None:
        row = await self._first(select(users).where(users.c.name == name))
        return None if row is None else UserRow(**row)

    async def users(self, after: str, limit: int) -> list[UserRow]:
        """By name, those after `after`."""
        query = select(users).where(users.c.name > after).order_by(users.c.name).limit(limit)
        return [UserRow(**row) for row in await self._all(query)]

    async def add_user(self, row: UserRow) -> None:
        await self._connection.execute(insert(users).values(msgspec.structs.asdict(row)))

    async def drop_user(self, name: str) -> None:
        """With all tokens that are that user's."""
        await self._connection.execute(delete(users).where(users.c.name == name))

    async def tokens(self) -> list[TokenRow]:
        """All of them, the oldest first."""
        return [TokenRow(**row) for row in await self._all(select(tokens).order_by(tokens.c.created_at))]

    async def add_token(self, row: TokenRow) -> None:
        await self._connection.execute(insert(tokens).values(msgspec.structs.asdict(row)))

    async def drop_token(self, identity: str) -> None:
        """With all that were made with it."""
        await self._connection.execute(delete(tokens).where(tokens.c.id == identity))

    async def note_used(self, at: Mapping[str, datetime]) -> None:
        """When tokens were used last, by id; of those that are there."""
        change = (
            update(tokens).where(tokens.c.id == bindparam("token_id")).values(last_used_at=bindparam("at"))
        )
        rows = [{"token_id": identity, "at": moment} for identity, moment in at.items()]
        if rows:
            await self._connection.execute(change, rows)

    # --- secrets

    async def secret(self, name: str) -> SecretRow | None:
        row = await self._first(select(secrets).where(secrets.c.name == name))
        return None if row is None else SecretRow(**row)

    async def secrets(self, after: str, limit: int) -> list[SecretRow]:
        """By name, those after `after`."""
        query = select(secrets).where(secrets.c.name > after).order_by(secrets.c.name).limit(limit)
        return [SecretRow(**row) for row in await self._all(query)]

    async def count_secrets(self) -> int:
        return int((await self._connection.execute(select(func.count()).select_from(secrets))).scalar_one())

    async def add_secret(self, row: SecretRow) -> None:
        await self._connection.execute(insert(secrets).values(msgspec.structs.asdict(row)))

    async def change_secret(self, row: SecretRow) -> None:
        values = msgspec.structs.asdict(row)
        await self._connection.execute(update(secrets).where(secrets.c.name == row.name).values(values))

    async def drop_secret(self, name: str) -> None:
        await self._connection.execute(delete(secrets).where(secrets.c.name == name))

    async def functions_with_secret(self, name: str) -> list[FunctionRow]:
        """Those that name it now or in a version, and perhaps others that have the word in their env."""
        word = f'"{name}"'
        in_version = select(versions.c.function).where(
            type_coerce(versions.c.spec, Text).contains(word, autoescape=True)
        )
        query = select(functions).where(
            or_(
                type_coerce(functions.c.spec, Text).contains(word, autoescape=True),
                functions.c.name.in_(in_version),
            )
        )
        return [FunctionRow(**row) for row in await self._all(query.order_by(functions.c.name))]

    # --- audit: rows are added and read, never changed

    async def add_audit(self, row: AuditRow) -> None:
        values = msgspec.structs.asdict(row)
        del values["id"]
        await self._connection.execute(insert(audit).values(values))

    async def audit(
        self, wanted: Mapping[str, str], since: datetime | None, before: int | None, limit: int
    ) -> list[AuditRow]:
        """Newest first, those below the id `before`; `wanted`: values of columns."""
        query = select(audit).where(*(audit.c[column] == value for column, value in wanted.items()))
        if since is not None:
            query = query.where(audit.c.at >= since)
        if before is not None:
            query = query.where(audit.c.id < before)
        return [AuditRow(**row) for row in await self._all(query.order_by(audit.c.id.desc()).limit(limit))]

    # --- both

    async def _first(self, query: Select[Any]) -> RowMapping | None:
        row: RowMapping | None = (await self._connection.execute(query)).mappings().first()
        return row

    async def _all(self, query: Select[Any]) -> list[RowMapping]:
        return list((await self._connection.execute(query)).mappings())


def _function(row: RowMapping | None) -> FunctionRow | None:
    return None if row is None else FunctionRow(**row)


def _version(row: RowMapping | None) -> VersionRow | None:
    return None if row is None else VersionRow(**row)


@contextmanager
def translated() -> Any:
    """Failures of the database itself as PlatErrors; a statement that is wrong stays what it is."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        if (known := translate(error)) is not None:
            raise known from error
        if not _is_unavailable(error):
            raise
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise PlatError(
            "database_unavailable",
            f"The database cannot be used: {cause}. Look at it and at PLAT_DATABASE_URL, then try again.",
            retry_after_s=1,
        ) from error


def _is_unavailable(error: DBAPIError | OSError) -> bool:
    if isinstance(error, OSError):
        return True
    # "file is not a database" is a plain DatabaseError, which bad statements are not.
    plain = type(error).__name__ == "DatabaseError"
    return plain or error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
