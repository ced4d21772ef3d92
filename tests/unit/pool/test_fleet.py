"""An instance from its start to its end, with a driver in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.feed import VersionEntry
from pool.drivers.base import Exited
from pool.fleet import Fleet
from pool.lifecycle import State
from pool.member import Member
from tests.unit.pool.memory_driver import MemoryDriver
from tests.unit.pool.rig import Clock, Rig, function, settle

VERSION = function().versions[0]


class Notes:
    """What the fleet tells."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.errors: list[PlatError] = []

    def instance_resuming(self, member: Member) -> None:
        self.seen.append("resuming")

    def instance_loading(self, member: Member) -> None:
        self.seen.append(f"loading at {member.address}")

    def load_failed(self, member: Member) -> None:
        """What is told beside it is looked at."""

    def instance_ready(self, member: Member) -> None:
        self.seen.append("ready")

    def instance_lost(self, member: Member) -> None:
        self.seen.append("lost")

    def instance_gone(self, member: Member, exited: Exited) -> None:
        self.seen.append(f"gone: {exited.reason}")

    def start_failed(self, version: VersionEntry, error: PlatError) -> None:
        self.seen.append("failed")
        self.errors.append(error)


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def fleet(
    tmp_path: Path, driver: MemoryDriver, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    Clock().install(monkeypatch)
    monkeypatch.setattr("pool.removals.RETRY_S", 0)
    rig = Rig(tmp_path, driver)
    await rig.open(monkeypatch)
    rig.fleet.observer = notes
    yield rig.fleet
    await settle()


async def test_a_start_ends_in_ready(fleet: Fleet, notes: Notes) -> None:
    assert await fleet.start(VERSION) is None
    (member,) = fleet.members()
    assert (member.state, notes.seen) == (State.READY, ["ready"])
    assert [view.state for view in fleet.views("f")] == ["ready"]


async def test_a_start_under_way_is_seen_as_such(fleet: Fleet, driver: MemoryDriver) -> None:
    driver.hold_ready = True
    fleet.start(VERSION)
    await settle()
    assert fleet.starting() == 1
    assert fleet.known() == set()
    driver.make_ready(fleet.members()[0].id)
    await settle()
    assert fleet.starting() == 0
    assert len(fleet.known()) == 1


async def test_a_handler_that_cannot_be_loaded_is_told_and_leaves_nothing(
    fleet: Fleet, driver: MemoryDriver, notes: Notes
) -> None:
    driver.hold_ready = True
    start = fleet.start(VERSION)
    await settle()
    driver.fail_to_load(
        fleet.members()[0].id, PlatError("handler_import_failed", "No module named x.", traceback="…")
    )
    error = await start
    await settle()
    assert error is not None
    assert (error.code, error.traceback) == ("handler_import_failed", "…")
    assert (fleet.members(), driver.running, notes.seen) == ([], {}, ["failed"])


async def test_an_instance_that_dies_while_it_starts_ends_the_wait(
    fleet: Fleet, driver: MemoryDriver
) -> None:
    driver.hold_ready = True
    start = fleet.start(VERSION)
    await settle()
    driver.end(fleet.members()[0].id, "exited", "The process exited with status 3.")
    error = await start
    assert error is not None
    assert (error.code, error.reason) == ("instance_start_failed", "exited")
    assert "status 3" in error.detail


async def test_an_engine_that_is_away_fails_the_start_at_once(
    fleet: Fleet, driver: MemoryDriver, notes: Notes
) -> None:
    """Also when it cannot be asked to clean up: whoever waits is told first."""
    away = PlatError("engine_unavailable", "The Docker engine does not answer.")
    driver.start_error = driver.stop_error = away
    error = await fleet.start(VERSION)
    assert error is away
    assert notes.seen == ["failed"]
    assert fleet.backoff.blocked(VERSION.id, 1000.0) is away
    driver.stop_error = None


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), KeyError("State")], ids=repr)
async def test_whatever_fails_in_a_start_it_ends(
    fleet: Fleet, driver: MemoryDriver, notes: Notes, error: Exception
) -> None:
    """One that stayed on its way would count as capacity for ever."""
    driver.start_error = error
    failure = await fleet.start(VERSION)
    assert failure is not None and failure.code == "instance_start_failed"
    assert (fleet.members(), notes.seen) == ([], ["failed"])


async def test_a_start_fails_also_where_its_last_lines_cannot_be_read(
    fleet: Fleet, driver: MemoryDriver, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_files(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pool.logbook.LogBook.read", no_more_files)
    driver.start_error = PlatError("instance_start_failed", "No socket.")
    failure = await fleet.start(VERSION)
    assert failure is not None and failure.detail == "No socket."
    assert (fleet.members(), notes.seen) == ([], ["failed"])


async def test_a_death_is_told_once(fleet: Fleet, driver: MemoryDriver, notes: Notes) -> None:
    await fleet.start(VERSION)
    instance = fleet.members()[0].id
    driver.end(instance, "out_of_memory")
    fleet.exited(Exited(instance, "out_of_memory", ""))
    assert notes.seen == ["ready", "gone: out_of_memory"]
    assert fleet.members() == []


async def test_a_stop_waits_for_the_engine(fleet: Fleet, driver: MemoryDriver, notes: Notes) -> None:
    await fleet.start(VERSION)
    (member,) = fleet.members()
    driver.stop_error = PlatError("engine_unavailable", "The Docker engine does not answer.")
    fleet.drain(member, float("inf"))
    fleet.stop(member)
    fleet.stop(member)
    await settle()
    assert (member.state, list(driver.running)) == (State.DRAINING, [member.id])
    driver.stop_error = None
    await _until(lambda: not driver.running)
    assert notes.seen == ["ready", "gone: stopped"]


async def test_what_is_on_its_way_out_is_no_new_instance(fleet: Fleet, driver: MemoryDriver) -> None:
    driver.hold_ready = True
    start = fleet.start(VERSION)
    await settle()
    instance = fleet.members()[0].id
    driver.stop_error = PlatError("engine_unavailable", "The Docker engine does not answer.")
    driver.fail_to_load(instance, PlatError("handler_not_found", "No such function."))
    await start
    await settle()
    assert fleet.looked_after() == {instance}
    driver.stop_error = None
    await _until(lambda: not fleet.looked_after())


async def test_an_adopted_instance_that_is_too_busy_to_answer_lives(
    fleet: Fleet, driver: MemoryDriver, notes: Notes
) -> None:
    await fleet.start(VERSION)
    (running,) = await driver.list()
    fleet._members.clear()  # as after a restart of the pool
    fleet.adopt(running, VERSION)
    await settle()
    assert [member.state for member in fleet.members()] == [State.READY]


async def test_an_instance_that_is_gone_before_it_is_adopted_is_none(
    fleet: Fleet, driver: MemoryDriver, notes: Notes
) -> None:
    await fleet.start(VERSION)
    (running,) = await driver.list()
    fleet._members.clear()
    driver.running.clear()
    fleet.adopt(running, VERSION)
    fleet.exited(Exited(running.instance, "unknown", "It has ended."))
    await _until(lambda: not fleet.members())
    assert notes.seen == ["ready", "gone: unknown"], "that is no failure of its version"


async def test_the_end_stops_what_runs_and_what_starts(fleet: Fleet, driver: MemoryDriver) -> None:
    await fleet.start(VERSION)
    driver.hold_ready = True
    fleet.start(VERSION)
    await settle()
    await fleet.stop_all(grace_s=1)
    assert (driver.running, fleet.members()) == ({}, [])
    assert len(driver.stopped) == 2


async def test_nothing_starts_after_the_end(fleet: Fleet) -> None:
    await fleet.stop_all(grace_s=1)
    with pytest.raises(AssertionError):
        fleet.start(VERSION)


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")
