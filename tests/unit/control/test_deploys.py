"""What a deploy leaves when its parts fail one by one; builder and pool are fakes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from control.catalog import Catalog
from control.deploys import INTERRUPTED, Deploys
from control.metrics import ControlMetrics
from control.store import Store
from control.sweep import Sweeper
from plat.errors import PlatError
from plat.feed import FunctionPut
from plat.model import Artifact, Version, VersionError
from plat.tasks import cancel, spawn
from tests.unit.control.fakes import FakeBuilder, FakePool, Shelf, ToldFeed, function_row, version_row

OLD, NEW, THIRD = "0" * 63 + "1", "a" * 64, "b" * 64


class Bench:
    """One function `hello` whose version 1 is live, and all that a deploy needs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.feed, self.shelf, self.metrics = ToldFeed(), Shelf(), ControlMetrics()
        self.builder, self.pool = FakeBuilder(), FakePool()
        self.sweeper = Sweeper(store, self.shelf)
        self.catalog = Catalog(store, self.feed, self.sweeper, "")
        self.deploys = Deploys(
            store, self.catalog, self.sweeper, builder=self.builder, pool=self.pool, metrics=self.metrics
        )

    async def deploy(self, digest: str = NEW, name: str = "hello") -> Version:
        self.builder.artifact = Artifact(digest, 10, 1)
        return await self.deploys.deploy(name, once(b"zip"), 3)

    async def live(self) -> int | None:
        return (await self.catalog.function("hello")).live

    async def versions(self) -> list[tuple[int, str, VersionError | None]]:
        page = await self.catalog.versions("hello", 100, None)
        return [(each.version, each.state, each.error) for each in page.items]

    def outcomes(self) -> set[str]:
        return {line for line in self.metrics.render().decode().splitlines() if "deploys_total{" in line}


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def bench(store: Store) -> AsyncIterator[Bench]:
    bench = Bench(store)
    async with store.changing() as tables:
        await tables.add_function(function_row(live=1))
        await tables.add_version(version_row(1, digest=OLD))
    yield bench
    await bench.deploys.close()
    await bench.catalog.close()


async def test_the_new_version_is_verified_before_it_is_live_and_told(bench: Bench) -> None:
    bench.pool.hold()
    deploy = spawn(bench.deploy(), "deploy")
    await bench.pool.asked.wait()
    assert (await bench.live(), bench.feed.told) == (1, [])
    assert [state for _, state, _ in await bench.versions()] == ["building", "ready"]
    bench.pool.may_answer.set()
    made = await deploy
    assert (made.version, made.state, made.live, made.unchanged) == (2, "ready", True, False)
    assert (await bench.live(), bench.builder.received) == (2, [(b"zip", 3)])
    (told,) = bench.feed.told
    assert isinstance(told, FunctionPut)
    assert (told.function.live, told.function.versions[0]) == (2, bench.pool.verified[0])
    assert bench.outcomes() == {'plat_deploys_total{result="ok"} 1.0'}


async def test_what_is_live_already_is_neither_verified_nor_told(bench: Bench) -> None:
    made = await bench.deploy(OLD)
    assert (made.version, made.unchanged) == (1, True)
    assert (bench.pool.verified, bench.feed.told, len(await bench.versions())) == ([], [], 1)
    assert bench.outcomes() == {'plat_deploys_total{result="unchanged"} 1.0'}


async def test_an_older_version_deployed_again_is_a_new_one(bench: Bench) -> None:
    await bench.deploy(NEW)
    assert (await bench.deploy(OLD)).version == 3


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (
            PlatError("handler_import_failed", "No.", traceback="ValueError"),
            VersionError("handler_import_failed", "No.", "ValueError"),
        ),
        (ZeroDivisionError(), VersionError("internal", "An unexpected error; the log has it.")),
    ],
)
async def test_a_version_that_is_not_verified_has_failed_with_the_reason(
    error: Exception, kept: VersionError, bench: Bench
) -> None:
    bench.pool.error = error
    with pytest.raises(type(error)) as caught:
        await bench.deploy()
    assert caught.value is error
    assert (await bench.versions())[0] == (2, "failed", kept)
    assert (await bench.live(), bench.feed.told) == (1, [])


@pytest.mark.parametrize("error", [PlatError("invalid_archive", "No zip."), ZeroDivisionError()])
async def test_a_failed_build_makes_no_version_and_lets_go_of_all(error: Exception, bench: Bench) -> None:
    bench.builder.error = error
    with pytest.raises(type(error)):
        await bench.deploy()
    assert len(await bench.versions()) == 1
    await lets_go_of_all(bench)


async def test_a_cancelled_upload_makes_no_version_and_lets_go_of_all(bench: Bench) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        begun.set()
        await asyncio.Event().wait()
        yield b""

    deploy = spawn(bench.deploys.deploy("hello", endless(), None), "deploy")
    await begun.wait()
    await cancel(deploy)
    assert len(await bench.versions()) == 1
    assert bench.outcomes() == {'plat_deploys_total{result="cancelled"} 1.0'}
    await lets_go_of_all(bench)


async def test_a_refused_verification_lets_go_of_all(bench: Bench) -> None:
    bench.pool.error = PlatError("handler_not_found", "No.")
    with pytest.raises(PlatError):
        await bench.deploy()
    bench.pool.error = None
    await lets_go_of_all(bench)


async def lets_go_of_all(bench: Bench) -> None:
    """The function can be deployed, and unused artifacts are deleted again."""
    bench.builder.error = None
    bench.sweeper.suspect({THIRD})
    await bench.sweeper.sweep()
    assert bench.shelf.deleted == [THIRD]
    assert (await bench.deploy()).live


async def test_one_deploy_of_a_function_at_a_time(bench: Bench) -> None:
    bench.pool.hold()
    first = spawn(bench.deploy(), "first")
    await bench.pool.asked.wait()
    with pytest.raises(PlatError) as caught:
        await bench.deploy(THIRD)
    assert (caught.value.code, len(bench.builder.received)) == ("deploy_in_progress", 1)
    bench.pool.may_answer.set()
    assert (await first).version == 2
    assert (await bench.deploy(THIRD)).version == 3


async def test_nothing_is_deleted_while_a_version_is_verified(bench: Bench) -> None:
    """Another build may have answered with the digest, before a version refers to it."""
    bench.pool.hold()
    deploy = spawn(bench.deploy(), "deploy")
    await bench.pool.asked.wait()
    bench.sweeper.suspect({THIRD})
    await bench.sweeper.sweep()
    assert bench.shelf.deleted == []
    bench.pool.may_answer.set()
    await deploy
    assert bench.shelf.deleted == [THIRD]


async def test_an_artifact_that_no_version_took_is_deleted(bench: Bench) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"zip"
        await bench.catalog.delete("hello")
        await bench.catalog.put("hello", {})

    with pytest.raises(PlatError) as caught:
        await bench.deploys.deploy("hello", body(), None)
    assert (caught.value.code, bench.pool.verified) == ("function_not_found", [])
    assert await bench.versions() == []
    assert sorted(bench.shelf.deleted) == [OLD, NEW]


async def test_an_artifact_whose_function_was_deleted_meanwhile_is_deleted(bench: Bench) -> None:
    bench.pool.hold()
    deploy = spawn(bench.deploy(), "deploy")
    await bench.pool.asked.wait()
    await bench.catalog.delete("hello")
    bench.pool.may_answer.set()
    with pytest.raises(PlatError, match="deleted during its deploy"):
        await deploy
    assert sorted(bench.shelf.deleted) == [OLD, NEW]


async def test_a_function_that_is_unknown_is_not_built(bench: Bench) -> None:
    with pytest.raises(PlatError) as caught:
        await bench.deploy(name="missing")
    assert (caught.value.code, bench.builder.received) == ("function_not_found", [])


async def test_a_deploy_goes_on_without_its_client(bench: Bench) -> None:
    bench.pool.hold()
    deploy = spawn(bench.deploy(), "deploy")
    await bench.pool.asked.wait()
    await cancel(deploy)
    bench.pool.may_answer.set()
    await bench.feed.heard.wait()
    assert await bench.live() == 2


async def test_closing_cuts_a_deploy_and_marks_it(bench: Bench) -> None:
    bench.pool.hold()
    deploy = spawn(bench.deploy(), "deploy")
    await bench.pool.asked.wait()
    await bench.deploys.close()
    with pytest.raises(asyncio.CancelledError):
        await deploy
    assert (await bench.versions())[0] == (2, "failed", INTERRUPTED)
    assert await bench.live() == 1
    bench.pool.may_answer.set()
    await lets_go_of_all(bench)


async def test_what_a_killed_process_was_building_has_failed(bench: Bench, store: Store) -> None:
    async with store.changing() as tables:
        await tables.add_version(version_row(2, state="building"))
    await bench.deploys.recover()
    assert await bench.versions() == [(2, "failed", INTERRUPTED), (1, "ready", None)]
