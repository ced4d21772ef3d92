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
