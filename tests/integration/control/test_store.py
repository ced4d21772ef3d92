"""The store on real databases: SQLite, and PostgreSQL where there is one."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from control.database import migrate, open_engine
from control.rows import FunctionRow, UserRow, VersionRow
from control.store import Store, Tables
from plat.errors import PlatError
from plat.model import FunctionSpec, Scale, VersionError, VersionSpec, Window
from plat.tasks import spawn
from tests.integration.control.postgres import Cluster
from tests.unit.control.fakes import token_row

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def function(name: str, **changes: object) -> FunctionRow:
    row = FunctionRow(
        name=name,
        spec=FunctionSpec(name=name, env={"GRUSS": "grüße \u0001 '\""}),
        live=None,
        stopped=False,
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(row, **changes)


def version(name: str, number: int, **changes: object) -> VersionRow:
    row = VersionRow(
        id=f"{name}-{number}",
        function=name,
        number=number,
        state="building",
        spec=VersionSpec.of(function(name).spec),
        digest=f"{number:064}",
        size_bytes=5_000_000_000,
        error=None,
        created_at=NOW,
    )
    return msgspec.structs.replace(row, **changes)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


async def test_rows_come_back_as_they_were(store: Store) -> None:
    error = VersionError("handler_not_found", "no", "Traceback …")
    rows = [version("a", 1), version("a", 2, state="failed", error=error)]
    async with store.changing() as tables:
        await tables.add_function(function("a", live=1))
        for row in rows:
            await tables.add_version(row)
    async with store.reading() as tables:
        assert await tables.function("a") == function("a", live=1)
        assert await tables.function("b") is None
        assert [await tables.version("a", 1), await tables.version_by_id("a-2")] == rows
        assert await tables.version("a", 3) is None


async def test_windows_come_back_as_they_were(store: Store) -> None:
    spec = FunctionSpec(name="a", scale=Scale(pause_after_s=5, window=[Window("* 8-17 * * mon-fri", 2)]))
    async with store.changing() as tables:
        await tables.add_function(function("a", spec=spec))
    async with store.reading() as tables:
        assert await tables.function("a") == function("a", spec=spec)


async def test_a_row_from_before_a_setting_was_there_has_its_default(database_url: str, store: Store) -> None:
    async with store.changing() as tables:
        await tables.add_function(function("a"))
    engine = open_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE functions SET spec = :spec"), {"spec": '{"name": "a", "scale": {"idle_s": 90}}'}
        )
    await engine.dispose()
    async with store.reading() as tables:
        row = await tables.function("a")
    assert row is not None
    assert row.spec.scale == Scale(idle_s=90, pause_after_s=30, window=[])


async def test_times_are_in_utc(store: Store) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    async with store.changing() as tables:
        await tables.add_function(function("a", created_at=elsewhere))
    async with store.reading() as tables:
        row = await tables.function("a")
    assert row is not None
    assert row.created_at == NOW
    assert row.created_at.utcoffset() == timedelta(0)


async def test_an_error_undoes_the_transaction_and_tells_nobody(store: Store) -> None:
    told: list[str] = []
    with pytest.raises(ZeroDivisionError):
        async with store.changing() as tables:
            await tables.add_function(function("a"))
            tables.after_commit(lambda: told.append("a"))
            raise ZeroDivisionError
    async with store.changing() as tables:
        assert await tables.function("a") is None
        tables.after_commit(lambda: told.append("b"))
        assert told == []
    assert told == ["b"]


async def test_a_cancelled_change_is_undone_and_the_next_one_works(store: Store) -> None:
    inside = asyncio.Event()

    async def change() -> None:
        async with store.changing() as tables:
            await tables.add_function(function("a"))
            inside.set()
            await asyncio.Event().wait()

    task = spawn(change(), "change")
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.changing() as tables:
        assert await tables.function("a") is None


async def test_names_and_numbers_are_unique_and_versions_need_a_function(store: Store) -> None:
    async with store.changing() as tables:
        await tables.add_function(function("a"))
        await tables.add_version(version("a", 1))

    async def fails(*rows: FunctionRow | VersionRow) -> None:
        with pytest.raises(IntegrityError):
            async with store.changing() as tables:
                for row in rows:
                    await _add(tables, row)

    await fails(function("a"))
    await fails(version("a", 1, id="other"))
    await fails(version("a", 2, id="a-1"))
    await fails(version("nobody", 1))


async def _add(tables: Tables, row: FunctionRow | VersionRow) -> None:
    if isinstance(row, FunctionRow):
        await tables.add_function(row)
    else:
        await tables.add_version(row)


async def test_dropping_a_function_drops_its_versions(store: Store) -> None:
    async with store.changing() as tables:
        for name in ("a", "b"):
            await tables.add_function(function(name))
            await tables.add_version(version(name, 1))
        await tables.add_version(version("a", 2))
        assert await tables.drop_function("a") == {f"{1:064}", f"{2:064}"}
    async with store.reading() as tables:
        assert await tables.version("a", 1) is None
        assert await tables.unused([f"{1:064}", f"{2:064}"]) == {f"{2:064}"}
        assert await tables.next_number("a") == 1


async def test_numbers_count_up_also_with_two_stores(store: Store, database_url: str) -> None:
    other = await Store.open(database_url)
    async with store.changing() as tables:
        await tables.add_function(function("a"))

    async def add(own: Store) -> int:
        async with own.changing() as tables:
            assert await tables.function_to_change("a")
            number = await tables.next_number("a")
            await tables.add_version(version("a", number))
            return number

    numbers = await asyncio.gather(*(add(own) for own in [store, other] * 10))
    await other.close()
    assert sorted(numbers) == list(range(1, 21))


async def test_many_readers_and_writers_never_meet_a_lock(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.changing() as tables:
            await tables.add_function(function(f"f{number}"))

    async def read() -> None:
        async with store.reading() as tables:
            await tables.functions("", 1000)

    await asyncio.gather(*(work for number in range(60) for work in (write(number), read(), read())))
    async with store.reading() as tables:
        assert len(await tables.functions("", 1000)) == 60


async def test_a_reader_sees_one_state_while_others_write(store: Store) -> None:
    async with store.reading_alone() as tables:
        await tables.functions("", 1000)
        writing = spawn(_add_one(store, "late"), "late")
        assert await tables.functions("", 1000) == []
    await writing
    async with store.reading() as tables:
        assert len(await tables.functions("", 1000)) == 1


async def _add_one(store: Store, name: str) -> None:
    async with store.changing() as tables:
        await tables.add_function(function(name))


async def test_pages_of_functions_and_versions(store: Store) -> None:
    names = ["a", "a-b", "a0", "b", "z9"]
    async with store.changing() as tables:
        for name in names:
            await tables.add_function(function(name))
        for number in range(1, 6):
            await tables.add_version(version("a", number))
    async with store.reading() as tables:
        first = [row.name for row in await tables.functions("", 3)]
        rest = [row.name for row in await tables.functions(first[-1], 10)]
        assert sorted(first + rest) == names
        assert [row.number for row in await tables.versions("a", None, 2)] == [5, 4]
        assert [row.number for row in await tables.versions("a", 4, 2)] == [3, 2]


async def test_ready_versions_have_a_bound_and_the_live_one(store: Store) -> None:
    async with store.changing() as tables:
        for name, live in (("a", 1), ("b", None)):
            await tables.add_function(function(name, live=live))
            for number in range(1, 7):
                state = "failed" if number == 5 else "ready"
                await tables.add_version(version(name, number, state=state))
    async with store.reading() as tables:
        only = await tables.ready_versions(["a", "nobody"], 2)
        assert {name: [row.number for row in rows] for name, rows in only.items()} == {"a": [6, 4, 1]}
        assert await tables.ready_versions([], 2) == {}
        everything = await tables.ready_versions(["a", "b"], 3)
        assert {name: [row.number for row in rows] for name, rows in everything.items()} == {
            "a": [6, 4, 3, 1],
            "b": [6, 4, 3],
        }


async def test_building_ends_once(store: Store) -> None:
    error = VersionError("shutting_down", "stopped")
    async with store.changing() as tables:
        for name in ("a", "b"):
            await tables.add_function(function(name))
            await tables.add_version(version(name, 1))
        await tables.add_version(version("a", 2))
    async with store.changing() as tables:
        ready = await tables.end_building("a-1", "ready")
        assert ready is not None
        assert ready.state == "ready"
        assert await tables.end_building("a-1", "failed", error) is None
        assert await tables.end_building("unknown", "ready") is None
        assert await tables.fail_building(error, "a") == 1
        assert await tables.fail_building(error) == 1
        failed = await tables.version("b", 1)
        assert failed is not None
        assert (failed.state, failed.error) == ("failed", error)


async def test_tokens_go_with_their_user_and_with_the_token_they_were_made_with(store: Store) -> None:
    async with store.changing() as tables:
        for name in ("bob", "ann"):
            await tables.add_user(UserRow(name=name, created_at=NOW))
        rows = [
            token_row("a", owner="ann", scopes=("read", "invoke:*"), expires_at=NOW + timedelta(days=1)),
            token_row("b", parent="a", created_at=NOW + timedelta(seconds=1)),
            token_row("c", owner="bob", created_at=NOW + timedelta(seconds=2)),
            token_row("d", parent="c", created_at=NOW + timedelta(seconds=3)),
        ]
        for row in rows:
            await tables.add_token(row)
        assert await tables.tokens() == rows
        assert [row.name for row in await tables.users("", 10)] == ["ann", "bob"]
        assert [row.name for row in await tables.users("ann", 10)] == ["bob"]
        await tables.note_used({"a": NOW, "d": NOW, "unknown": NOW})
        await tables.note_used({})
        assert [row.last_used_at for row in await tables.tokens()] == [NOW, None, None, NOW]
        await tables.drop_token("c")
        assert [row.id for row in await tables.tokens()] == ["a", "b"]
        await tables.drop_user("ann")
        assert await tables.tokens() == []
        assert await tables.user("ann") is None


async def test_what_was_committed_is_there_after_opening_again(database_url: str) -> None:
    for name in ("a", "b"):
        store = await Store.open(database_url)
        await _add_one(store, name)
        await store.close()
    store = await Store.open(database_url)
    async with store.reading() as tables:
        assert [row.name for row in await tables.functions("", 1000)] == ["a", "b"]
    await store.close()


async def test_a_database_that_another_process_has_locked_is_busy(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/plat.db?timeout=0.05")
    other = sqlite3.connect(tmp_path / "plat.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(PlatError, match="locked") as caught:
        await _add_one(store, "a")
    assert (caught.value.code, caught.value.retry_after_s) == ("database_busy", 1)
    async with store.reading() as tables:
        assert await tables.functions("", 1000) == []
    other.execute("COMMIT")
    other.close()
    await _add_one(store, "a")
    await store.close()


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path}/plat.db")
    await migrate(engine)
    await engine.dispose()
    event.listen(engine.sync_engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA max_page_count = 1"))
    store = Store(engine)
    with pytest.raises(PlatError, match="full") as caught:
        for number in range(1000):
            await _add_one(store, f"f{number}")
    assert caught.value.code == "disk_full"
    await store.close()


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "plat.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(PlatError, match="not a database") as caught:
        await Store.open(f"sqlite+aiosqlite:///{tmp_path}/plat.db")
    assert caught.value.code == "database_unavailable"


async def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises((PlatError, OSError)):
        await Store.open(f"sqlite+aiosqlite:///{tmp_path}")
    # aiosqlite's thread ends by itself, and speaks to the loop once more before it does.
    async with asyncio.timeout(10):
        while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):  # noqa: ASYNC110 - threads set no event
            await asyncio.sleep(0.01)


async def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/new/plat.db")
    await _add_one(store, "a")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    await store.close()
    assert modes["plat.db"] == modes["plat.db-wal"] == 0o600


@pytest.mark.postgres
async def test_a_server_that_is_away_is_told_and_comes_back(cluster: Cluster) -> None:
    store = await Store.open(cluster.new_database())
    await _add_one(store, "a")
    cluster.stop()
    try:
        for _ in range(2):
            with pytest.raises(PlatError) as caught:
                await _add_one(store, "b")
            assert caught.value.code == "database_unavailable"
    finally:
        cluster.start()
    await _add_one(store, "b")
    await store.close()
