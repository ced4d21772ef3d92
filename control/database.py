"""The engine: how SQLite and PostgreSQL are opened, and brought to the tables of `control.schema`.

Knows nothing of what is stored. Writers begin at once (`BEGIN IMMEDIATE`), so that SQLite can wait for
another process's lock; a transaction that first reads and then writes could only fail.
"""

import re
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from plat.errors import PlatError

SQLITE_BUSY_S = 5
"""How long a statement waits for another process (a backup, a shell) before `database is locked`.
`?timeout=` in the URL changes it."""

_WRITES = "plat_writes"


def open_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///path` or `postgresql+asyncpg://...`; connects later.

    Raises PlatError `invalid` for a URL of another kind, OSError if SQLite's folder cannot be made.
    """
    try:
        parsed = make_url(url)
        dialect = parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise _unusable(url) from None  # what they say may have a part of the password
    if not dialect.is_async:
        raise _unusable(url)
    if parsed.get_backend_name() == "sqlite" and "timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"timeout": str(SQLITE_BUSY_S)})
    try:
        engine = create_async_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except ImportError as error:
        raise PlatError("invalid", f"{error.name} is not installed: {parsed.drivername} needs it.") from error
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(engine, parsed.database)
    return engine


def _unusable(url: str) -> PlatError:
    """Shows the scheme alone: there is no telling where in a URL that is none the password ends."""
    scheme = re.match(r"[\w+]+://", url)
    shown = url if re.fullmatch(r"[\w./-]*", url) else f"{scheme[0] if scheme else ''}..."
    return PlatError(
        "invalid",
        f'The database URL "{shown}" cannot be used: expected sqlite+aiosqlite:///path or'
        " postgresql+asyncpg://user:password@host/name.",
    )


def _prepare_sqlite(engine: AsyncEngine, database: str | None) -> None:
    if database:
        path = Path(database)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)  # it holds the functions' secrets
    event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
    event.listen(engine.sync_engine, "begin", _on_sqlite_begin)


def _on_sqlite_connect(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_on_sqlite_begin` does
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for transactions that write."""
    return engine.execution_options(**{_WRITES: True})


def migrations_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables up to date, in one transaction. Raises PlatError `internal` for a newer database."""
    async with writing(engine).begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = migrations_config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise PlatError(
            "internal", f"The database was made by another release of Plat: {error}. Use that release."
        ) from error
