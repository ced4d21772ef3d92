"""What an instance that was there before the pool says of itself, or does not."""

import asyncio

import pytest

from plat.errors import PlatError
from pool import adoption
from pool.adoption import until_it_serves
from pool.drivers.base import Exited
from pool.health import Health, Unreachable, UselessError
from pool.lifecycle import State
from pool.member import Member
from tests.unit.pool.rig import function

NEVER = float("inf")


@pytest.fixture
async def member() -> Member:
    return Member("a" * 16, function().versions[0], State.STARTING)


def say(patch: pytest.MonkeyPatch, *answers: Health | Exception | None) -> None:
    """One after the other; the last one for ever."""
    left = list(answers)

    async def probe(address: str, timeout_s: float) -> Health | None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    patch.setattr(adoption, "probe", probe)


@pytest.mark.parametrize("answer", [Health("f", 1), Health(), None])
async def test_it_serves_or_is_busy(
    member: Member, monkeypatch: pytest.MonkeyPatch, answer: Health | None
) -> None:
    say(monkeypatch, answer)
    await until_it_serves(member, NEVER)


async def test_one_that_is_only_being_started_is_waited_for(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(monkeypatch, Unreachable(), Unreachable(), Unreachable(), Health("f", 1))
    await until_it_serves(member, NEVER)


async def test_one_that_does_not_listen_in_time(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, Unreachable())
    with pytest.raises(UselessError, match="does not listen"):
        await until_it_serves(member, float("-inf"))


async def test_one_that_has_ended(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, Unreachable())
    exited = Exited(member.id, "exited", "It exited with status 3.")
    asyncio.get_running_loop().call_soon(member.died.set_result, exited)
    with pytest.raises(UselessError, match="status 3"):
        await until_it_serves(member, NEVER)


async def test_one_that_was_never_told_its_function(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, Health(warm=True))
    with pytest.raises(UselessError, match="never told"):
        await until_it_serves(member, NEVER)


async def test_one_that_says_why_it_never_serves(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, PlatError("handler_import_failed", "No module named x."))
    with pytest.raises(PlatError, match="No module"):
        await until_it_serves(member, NEVER)
