"""Instances by id and by version."""

import msgspec

from plat.feed import VersionEntry
from pool.lifecycle import State
from pool.member import Member
from pool.members import Members
from tests.unit.pool.rig import function


def version(name: str) -> VersionEntry:
    return msgspec.structs.replace(function().versions[0], id=name)


def ids(members: Members, version_id: str) -> list[str]:
    return [each.id for each in members.of_version(version_id)]


async def test_members_are_found_by_id_and_by_version() -> None:
    members = Members()
    a, c = (Member(name, version("v1"), State.STARTING) for name in "ac")
    b = Member("b", version("v2"), State.STARTING)
    for each in (a, b, c):
        members.add(each)
    assert (members.get("b"), members.get("x")) == (b, None)
    assert (ids(members, "v1"), ids(members, "v2"), ids(members, "v3")) == (["a", "c"], ["b"], [])
    assert (list(members.values()), list(members.keys())) == ([a, b, c], ["a", "b", "c"])


async def test_memory_is_of_those_that_are_not_being_stopped() -> None:
    members = Members()
    a, b, c = (Member(name, version("v1"), State.STARTING) for name in "abc")
    for each in (a, b):
        members.add(each)
    assert members.memory_mb == 256
    assert (members.begin_stop(a), members.begin_stop(a), members.begin_stop(c)) == (True, False, True)
    assert members.memory_mb == 128
    members.remove("a")
    assert members.memory_mb == 128
    members.remove("b")
    assert members.memory_mb == 0


async def test_those_that_start_are_counted_until_they_have() -> None:
    members = Members()
    a, b = (Member(name, version("v1"), State.STARTING) for name in "ab")
    for each in (a, b, Member("c", version("v1"), State.LOADING)):
        members.add(each)
    assert members.starting() == 2
    a.become(State.READY)
    assert members.starting() == 1
    members.remove("b")
    assert members.starting() == 0


async def test_one_that_is_removed_is_nowhere() -> None:
    members = Members()
    for name in ("a", "b"):
        members.add(Member(name, version("v1"), State.STARTING))
    members.remove("a")
    members.remove("a")
    assert (members.get("a"), ids(members, "v1"), len(members.values())) == (None, ["b"], 1)
    members.remove("b")
    assert not members._versions, "a version that is gone leaves nothing"
    members.add(Member("a", version("v1"), State.STARTING))
    members.clear()
    assert (ids(members, "v1"), len(members.values())) == ([], 0)
