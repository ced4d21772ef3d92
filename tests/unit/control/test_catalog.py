"""Functions as users change them: what is stored, what is published, and in which order."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import msgspec
import pytest

from control.catalog import ENTRIES_AT_ONCE, Catalog
from control.store import Store, Tables
from control.sweep import Sweeper
from plat.errors import PlatError
from plat.feed import FunctionDropped, FunctionEntry, FunctionPut
from plat.model import LiveChange, ScaleChange, VersionError
from plat.tasks import cancel, spawn
from tests.unit.control.fakes import NOW, Shelf, ToldFeed, function_row, version_row


@pytest.fixture
def feed() -> ToldFeed:
    return ToldFeed()


@pytest.fixture
async def catalog(store: Store, feed: ToldFeed) -> AsyncIterator[Catalog]:
    catalog = Catalog(store, feed, Sweeper(store, Shelf()), "https://example.org")
    yield catalog
    await catalog.close()


async def with_versions(store: Store, *states: str, live: int | None = None) -> None:
    async with store.changing() as tables:
        await tables.add_function(function_row(live=live))
        for number, state in enumerate(states, 1):
            await tables.add_version(version_row(number, state=state, error=VersionError("x", "the reason")))


async def test_a_put_creates_and_then_changes(catalog: Catalog, feed: ToldFeed) -> None:
    created, was_created = await catalog.put("hello", {})
    assert (created.url, created.live, was_created) == ("https://example.org/function/hello", None, True)
    changed, was_created = await catalog.put("hello", {"scale": {"max": 3}})
    assert (changed.created_at, was_created) == (created.created_at, False)
    assert changed.updated_at > created.updated_at
    assert await catalog.function("hello") == changed
    assert [each.function.max for each in feed.told if isinstance(each, FunctionPut)] == [20, 3]


async def test_a_put_keeps_what_is_live_and_stopped(store: Store, catalog: Catalog) -> None:
    await with_versions(store, "ready", live=1)
    await catalog.set_stopped("hello", True)
    changed, _ = await catalog.put("hello", {"env": {"A": "1"}})
    assert (changed.live, changed.stopped, changed.spec.env) == (1, True, {"A": "1"})


async def test_what_changes_nothing_is_neither_stored_nor_published(
    store: Store, catalog: Catalog, feed: ToldFeed
) -> None:
    await with_versions(store, "ready", live=1)
    unchanged = [
        (await catalog.put("hello", {"name": "hello"}))[0],
        await catalog.scale("hello", ScaleChange(min=0, max=20)),
        await catalog.set_stopped("hello", False),
        await catalog.set_live("hello", LiveChange(1)),
    ]
    assert {each.updated_at for each in unchanged} == {NOW}
    assert feed.told == []


@pytest.mark.parametrize("name", ["missing", "No_Name", "a\x00"])
async def test_an_unknown_function_is_told_by_every_method(
    name: str, catalog: Catalog, feed: ToldFeed
) -> None:
    for call in (
        catalog.function(name),
        catalog.versions(name, 10, None),
        catalog.version(name, 1),
        catalog.delete(name),
        catalog.set_live(name, LiveChange(1)),
        catalog.scale(name, ScaleChange()),
        catalog.set_stopped(name, True),
    ):
        with pytest.raises(PlatError) as caught:
            await call
        assert caught.value.code == "function_not_found"
    assert feed.told == []


async def test_a_bad_spec_or_name_creates_nothing(catalog: Catalog, feed: ToldFeed) -> None:
    for name, body in (("No_Name", {}), ("hello", {"runtime": "ruby"}), ("hello", [])):
        with pytest.raises(PlatError) as caught:
            await catalog.put(name, body)
        assert caught.value.code == "invalid"
    assert (await catalog.page(10, "")).items == []
    assert feed.told == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(1, None), (2, "version_not_deployable"), (3, "version_not_deployable"), (4, "version_not_found")],
)
async def test_only_a_ready_version_goes_live(
    number: int, code: str | None, store: Store, catalog: Catalog, feed: ToldFeed
) -> None:
    await with_versions(store, "ready", "failed", "building")
    if code is None:
        assert (await catalog.set_live("hello", LiveChange(number))).live == number
        return
    with pytest.raises(PlatError) as caught:
        await catalog.set_live("hello", LiveChange(number))
    assert caught.value.code == code
    assert ((await catalog.function("hello")).live, feed.told) == (None, [])


async def test_the_last_page_says_that_it_is(store: Store, catalog: Catalog) -> None:
    await with_versions(store, "ready", "failed", "ready", live=1)
    for name in ("hello-a", "hello-b"):
        await catalog.put(name, {})
    functions = await catalog.page(2, "")
    assert ([each.name for each in functions.items], functions.next) == (["hello", "hello-a"], "hello-a")
    assert (await catalog.page(3, "")).next is None
    assert (await catalog.page(2, "hello-b")) == (await catalog.page(2, "z"))
    versions = await catalog.versions("hello", 2, None)
    assert ([each.version for each in versions.items], versions.next) == ([3, 2], "2")
    rest = await catalog.versions("hello", 1, 2)
    assert ([(each.version, each.live) for each in rest.items], rest.next) == ([(1, True)], None)


async def test_entries_hold_ready_versions_of_every_function(store: Store, catalog: Catalog) -> None:
    await with_versions(store, "ready", "failed", "ready", "building", live=1)
    await catalog.put("empty", {})
    told: list[list[FunctionEntry]] = []
    assert await catalog.entries("", told.append) is None
    (entries,) = told
    assert [(each.name, [version.number for version in each.versions]) for each in entries] == [
        ("empty", []),
        ("hello", [3, 1]),
    ]


@pytest.mark.parametrize("count", [0, ENTRIES_AT_ONCE, ENTRIES_AT_ONCE + 1, 2 * ENTRIES_AT_ONCE])
async def test_entries_are_told_some_at_a_time(store: Store, catalog: Catalog, count: int) -> None:
    names = [f"f{number:03}" for number in range(count)]
    async with store.changing() as tables:
        for name in names:
            await tables.add_function(function_row(name, live=1))
            await tables.add_version(version_row(1, name))
    told: list[list[FunctionEntry]] = []
    after: str | None = ""
    while after is not None:
        after = await catalog.entries(after, told.append)
    assert [each.name for entries in told for each in entries] == names
    assert all(len(each.versions) == 1 for entries in told for each in entries)
    assert max(map(len, told)) <= ENTRIES_AT_ONCE


async def test_no_change_slips_in_between_reading_entries_and_telling_them(
    store: Store, catalog: Catalog, feed: ToldFeed
) -> None:
    """Else an older state could be told after a newer one."""
    await with_versions(store, "ready", live=1)
    async with store.reading_alone():
        reading = spawn(catalog.entries("", lambda entries: order.append(entries[0].max)), "entries")
        changing = spawn(catalog.scale("hello", ScaleChange(max=7)), "scale")
        await asyncio.sleep(0)
    order: list[int] = []
    await asyncio.gather(reading, changing)
    told = [each.function.max for each in feed.told if isinstance(each, FunctionPut)]
    assert (order, told) in (([20], [7]), ([7], [7]))


async def test_a_change_comes_to_its_end_when_its_caller_is_cancelled(
    catalog: Catalog, feed: ToldFeed
) -> None:
    put = spawn(catalog.put("hello", {}), "put")
    await asyncio.sleep(0)  # it has begun, and waits for the database
    await cancel(put)
    assert put.cancelled()
    await catalog.close()
    assert (await catalog.function("hello")).name == "hello"
    assert len(feed.told) == 1


async def test_what_is_undone_is_not_published(store: Store, catalog: Catalog, feed: ToldFeed) -> None:
    await with_versions(store, "ready")
    old = function_row()
    with pytest.raises(ZeroDivisionError):
        async with store.changing() as tables:
            await catalog.write(tables, old, msgspec.structs.replace(old, stopped=True))
            raise ZeroDivisionError
    assert (feed.told, (await catalog.function("hello")).stopped) == ([], False)


async def test_publishing_again_tells_how_things_are(store: Store, catalog: Catalog, feed: ToldFeed) -> None:
    await with_versions(store, "ready", live=1)
    async with store.reading() as tables:
        await catalog.publish_again(tables, "hello")
        await catalog.publish_again(tables, "missing")
    put, dropped = feed.told
    assert isinstance(put, FunctionPut)
    assert (put.function.live, [each.number for each in put.function.versions]) == (1, [1])
    assert dropped == FunctionDropped(name="missing")


async def test_artifacts_are_suspected_after_the_commit_that_made_them_unused(
    store: Store, feed: ToldFeed
) -> None:
    """Before it, a sweep that runs just then would see them in use and forget them."""
    happened: list[str] = []

    class Noting(Sweeper):
        def suspect(self, digests: Collection[str]) -> None:
            happened.append("suspected")
            super().suspect(digests)

    class NotingStore(Store):
        @asynccontextmanager
        async def changing(self) -> AsyncIterator[Tables]:
            async with super().changing() as tables:
                yield tables
            happened.append("committed")

    await with_versions(store, "ready", "failed")
    shelf, noting = Shelf(), NotingStore(store._engine)
    await Catalog(noting, feed, Noting(store, shelf), "").delete("hello")
    assert happened == ["committed", "suspected"]
    assert sorted(shelf.deleted) == [f"{1:064}", f"{2:064}"]
    assert feed.told == [FunctionDropped(name="hello")]


async def test_a_signature_whose_secret_is_not_there_changes_nothing(
    store: Store, catalog: Catalog, feed: ToldFeed
) -> None:
    """What a put says of access holds at once: a function that is live would refuse every call."""
    await with_versions(store, "ready", live=1)
    before = await catalog.function("hello")
    for name in ("hello", "new"):
        hmac = {"header": "X-Signature", "secret": "MISSING"}
        with pytest.raises(PlatError) as caught:
            await catalog.put(name, {"access": {"auth": "public", "hmac": hmac}})
        assert caught.value.code == "unknown_secret"
    assert await catalog.function("hello") == before
    assert (feed.told, [each.name for each in (await catalog.page(10, "")).items]) == ([], ["hello"])
