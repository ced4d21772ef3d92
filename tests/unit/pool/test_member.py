"""A member follows the table of states."""

import pytest

from pool.lifecycle import State, TransitionError
from pool.member import Member
from tests.unit.pool.rig import function


async def test_what_may_follow_follows_and_nothing_else_changes_it() -> None:
    member = Member("a" * 16, function().versions[0], State.STARTING)
    member.become(State.READY)
    member.become(State.PAUSED)
    with pytest.raises(TransitionError):
        member.become(State.STARTING)
    assert member.state is State.PAUSED
