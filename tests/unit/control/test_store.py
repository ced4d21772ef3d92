"""Which failures of a database are told how, and in what order transactions and what follows them run."""

import asyncio
import errno
import sqlite3

import pytest
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from control.store import Store, translated
from plat.errors import PlatError
from plat.tasks import cancel, spawn
from tests.unit.control.fakes import function_row, version_row


def raised(error: Exception) -> PlatError:
    """What an error of the database becomes."""
    with pytest.raises(PlatError) as caught, translated():
        if isinstance(error, DBAPIError):
            raise error from error.orig
        raise error
    return caught.value


def failed(kind: type[DBAPIError], cause: Exception) -> DBAPIError:
    return kind("SELECT 1", {}, cause)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (failed(OperationalError, sqlite3.OperationalError("database is locked")), "database_busy"),
        (failed(OperationalError, sqlite3.OperationalError("database or disk is full")), "disk_full"),
        (failed(OperationalError, sqlite3.OperationalError("disk I/O error")), "database_unavailable"),
        (failed(DatabaseError, sqlite3.DatabaseError("file is not a database")), "database_unavailable"),
        (failed(InterfaceError, OSError("connection lost")), "database_unavailable"),
        (ConnectionRefusedError("nobody listens"), "database_unavailable"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
    ],
)
def test_a_failure_of_the_database_is_told(error: Exception, code: str) -> None:
    assert raised(error).code == code


def test_an_absent_database_says_why_and_when_to_try_again() -> None:
    error = raised(failed(OperationalError, sqlite3.OperationalError("unable to open database file")))
    assert "unable to open database file. Look at it and at PLAT_DATABASE_URL" in error.detail
    assert error.retry_after_s == 1


def test_a_connection_that_was_cut_is_an_absent_database() -> None:
    error = ProgrammingError("SELECT 1", {}, Exception("cut"), connection_invalidated=True)
    assert raised(error).code == "database_unavailable"


@pytest.mark.parametrize(
    "error",
    [
        failed(IntegrityError, sqlite3.IntegrityError("UNIQUE constraint failed")),
        failed(ProgrammingError, sqlite3.ProgrammingError("wrong")),
        ZeroDivisionError(),
        PlatError("invalid", "told"),
    ],
)
def test_what_is_no_failure_of_the_database_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, translated():
        raise error
    assert caught.value is error


async def test_one_writer_at_a_time_and_its_followers_before_the_next(store: Store) -> None:
    happened: list[str] = []

    async def change(name: str) -> None:
        async with store.changing() as tables:
            happened.append(f"{name} begins")
            await tables.add_function(function_row(name))
            tables.after_commit(lambda: happened.append(f"{name} follows"))
            tables.after_commit(lambda: happened.append(f"{name} ends"))

    await asyncio.gather(*(change(name) for name in "abc"))
    assert happened == [f"{name} {what}" for name in "abc" for what in ("begins", "follows", "ends")]


async def test_followers_see_what_was_committed(store: Store) -> None:
    followed = asyncio.Event()
    async with store.changing() as tables:
        await tables.add_function(function_row())
        tables.after_commit(followed.set)
        async with store.reading() as others:
            assert await others.function("hello") is None
        assert not followed.is_set()
    assert followed.is_set()
    async with store.reading() as others:
        assert await others.function("hello") == function_row()


async def test_reading_alone_keeps_writers_out_and_lets_them_in_afterwards(store: Store) -> None:
    happened: list[str] = []

    async def write() -> None:
        async with store.changing():
            happened.append("written")

    async with store.reading_alone() as tables:
        left, stayed = spawn(write(), "left"), spawn(write(), "stayed")
        for _ in range(20):
            await tables.functions("", 1000)
        await cancel(left)
        happened.append("read")
    await stayed
    assert happened == ["read", "written"]


async def test_closing_waits_for_the_writer(store: Store) -> None:
    async with store.changing() as tables:
        closing = spawn(store.close(), "close")
        await tables.add_function(function_row())
        assert not closing.done()
    await closing
    async with store.reading() as tables:
        assert await tables.function("hello") is not None


async def test_a_version_that_was_made_again_is_not_taken_for_the_one_before(store: Store) -> None:
    """Its name and number come back; its id does not."""
    async with store.changing() as tables:
        await tables.add_function(function_row())
        await tables.add_version(version_row(id="old", state="building"))
        await tables.drop_function("hello")
        await tables.add_function(function_row())
        await tables.add_version(version_row(id="new", state="building"))
        assert await tables.end_building("old", "ready") is None
        assert await tables.version("hello", 1) == version_row(id="new", state="building")


async def test_nothing_is_unused_among_nothing(store: Store) -> None:
    async with store.reading() as tables:
        assert await tables.unused(set()) == set()
