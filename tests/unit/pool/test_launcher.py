"""How a warm instance becomes one of a version, or turns out to be of no use. A driver in memory."""

import pytest
from msgspec.structs import replace

from plat.errors import PlatError
from plat.feed import SecretValues, VersionEntry
from plat.tasks import subtask
from pool.drivers.base import Exited, Kind, WarmOrder
from pool.health import HungUpError, UselessError
from pool.lifecycle import State
from pool.member import Member
from tests.unit.pool.rig import Rig, function, settle

VERSION = function().versions[0]
NEVER = float("inf")


async def warm_member(rig: Rig) -> Member:
    running = await rig.driver.warm(WarmOrder("a" * 16, Kind.of(VERSION.spec)))
    return Member(running.instance, VERSION, State.LOADING)


async def test_it_gets_the_code_and_the_address(rig: Rig) -> None:
    member = await warm_member(rig)
    assert await rig.launcher.load(member, NEVER)
    assert rig.driver.placed == [member.id]
    assert member.address == rig.driver.running[member.id].address


async def test_while_it_is_loaded_something_else_can_be_done(rig: Rig) -> None:
    member = await warm_member(rig)
    rig.driver.hold_load = True
    seen: list[str] = []
    loading = subtask(rig.launcher.load(member, NEVER, meanwhile=lambda: seen.append(member.address)), "load")
    await settle()
    assert seen == [rig.driver.running[member.id].address]
    assert not loading.done()
    member.died.set_result(Exited(member.id, "exited", "It went."))
    with pytest.raises(PlatError, match="It went"):
        await loading


@pytest.mark.parametrize(
    "error",
    [UselessError("nothing listens"), OSError(28, "No space left"), PlatError("engine_unavailable", "away")],
)
async def test_of_no_use(rig: Rig, error: Exception) -> None:
    member = await warm_member(rig)
    rig.driver.load_error = error
    assert not await rig.launcher.load(member, NEVER)


async def test_what_another_would_fail_at_too_is_raised(rig: Rig) -> None:
    member = await warm_member(rig)
    rig.driver.load_error = PlatError("handler_import_failed", "no module")
    with pytest.raises(PlatError, match="no module"):
        await rig.launcher.load(member, NEVER)


async def test_one_that_dies_ends_the_wait_with_its_reason(rig: Rig) -> None:
    member = await warm_member(rig)
    rig.driver.hold_load = True
    loading = subtask(rig.launcher.load(member, NEVER), "load")
    await settle()
    member.died.set_result(Exited(member.id, "out_of_memory", "It used too much."))
    with pytest.raises(PlatError, match="It used too much") as raised:
        await loading
    assert raised.value.reason == "out_of_memory"


async def test_what_it_said_just_before_it_died_counts(rig: Rig) -> None:
    """The end of a process is told over another way, and may be told first."""
    for said in (None, PlatError("handler_import_failed", "no module"), HungUpError("it hung up")):
        member = await warm_member(rig)
        rig.driver.hold_load = True
        loading = subtask(rig.launcher.load(member, NEVER), "load")
        await settle()
        member.died.set_result(Exited(member.id, "exited", "It went."))
        await settle()
        if said is None:
            rig.driver.make_ready(member.id)
            assert await loading
            continue
        rig.driver.fail_to_load(member.id, said)
        with pytest.raises(PlatError, match="no module" if isinstance(said, PlatError) else "It went"):
            await loading


async def test_what_it_said_to_a_router_counts(rig: Rig) -> None:
    """Calls come before our own answer: also one that ends it."""
    for ends in ("lives", "hangs up", "dies", "hangs up and dies"):
        member = await warm_member(rig)
        rig.driver.hold_load = True
        loading = subtask(rig.launcher.load(member, NEVER), "load")
        await settle()
        if "hangs up" in ends:
            rig.driver.fail_to_load(member.id, HungUpError("it hung up"))
        if "dies" in ends:
            member.died.set_result(Exited(member.id, "exited", "It went."))
        await settle()
        assert not loading.done()
        member.serves.set_result(0.0)
        assert await loading, ends


async def test_one_that_hangs_up_and_has_told_nobody_is_of_no_use(rig: Rig) -> None:
    member = await warm_member(rig)
    rig.driver.hold_load = True
    loading = subtask(rig.launcher.load(member, NEVER), "load")
    await settle()
    rig.driver.fail_to_load(member.id, HungUpError("it hung up"))
    assert not await loading


# --- secrets


def a_version(secrets: dict[str, str], **spec: object) -> VersionEntry:
    changed = replace(VERSION.spec, secrets=("KEY",), **spec)
    return replace(VERSION, spec=changed, secrets=SecretValues(secrets))


def a_member(version: VersionEntry) -> Member:
    return Member("b" * 16, version, State.STARTING)


async def test_with_secrets_it_is_started_warm_and_loaded_so_that_nothing_outside_shows_them(
    rig: Rig,
) -> None:
    member = a_member(a_version({"KEY": "very-secret"}))
    await rig.launcher.start(member, NEVER)
    assert (rig.driver.starts, rig.driver.warmed, rig.driver.placed) == (0, 1, [member.id])
    assert member.address == rig.driver.running[member.id].address


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (a_version({}), "plat secret set KEY"),
        (a_version({"KEY": "very-secret"}, env={"LD_PRELOAD": "x.so"}), "at least"),
    ],
    ids=["not there", "cannot be loaded"],
)
async def test_without_its_secrets_nothing_is_started(rig: Rig, version: VersionEntry, told: str) -> None:
    with pytest.raises(PlatError, match=told):
        await rig.launcher.start(a_member(version), NEVER)
    with pytest.raises(PlatError, match=told):
        await rig.launcher.load(a_member(version), NEVER)
    assert (rig.driver.starts, rig.driver.warmed, rig.driver.placed) == (0, 0, [])


async def test_one_that_cannot_be_loaded_is_a_failed_start(rig: Rig) -> None:
    rig.driver.load_error = UselessError("nothing listens")
    with pytest.raises(PlatError, match="nothing listens") as raised:
        await rig.launcher.start(a_member(a_version({"KEY": "very-secret"})), NEVER)
    assert raised.value.code == "instance_start_failed"


async def test_what_a_handler_says_of_a_secret_is_not_told(rig: Rig) -> None:
    error = PlatError("handler_import_failed", "bad key very-secret", traceback="key='very-secret'")
    told = await rig.launcher.with_last_lines(a_member(a_version({"KEY": "very-secret"})), error)
    assert (told.detail, told.traceback) == ("bad key [secret KEY]", "key='[secret KEY]'")
