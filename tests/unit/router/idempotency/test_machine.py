"""Any calls with one key over any routers, which die between any two steps: one execution, clear answers."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from plat.errors import PlatError
from plat.idempotency import HOLD_S
from router.idempotency.claims import Kept
from tests.unit.router.idempotency.world import Call, Link, World, end, play
from tests.unit.router.virtual_time import run

LONG_S = 80.0
"""Longer than any call waits."""

moments = st.one_of(st.sampled_from([0.0, 0.0, 0.001, 0.002, 0.003]), st.floats(0, 12))
rarely = st.sampled_from([False] * 15 + [True])
usually = rarely.map(lambda rare: not rare)
calls = st.lists(
    st.builds(
        Call,
        at=moments,
        router=st.integers(0, 2),
        fingerprint=rarely.map(lambda rare: "other" if rare else "same"),
        wait_s=st.sampled_from([None, None, None, 0.0, 1.0]),
        leaves_after_s=st.sampled_from([None] * 9 + [0.0, 0.001, 0.5]),
        refused=rarely,
        slot_s=st.sampled_from([0.0, 0.001, 3.0, 8.0]),
        takes_s=st.sampled_from([0.0, 0.001, 1.0, 7.0]),
        fails=st.booleans(),
        cuts_s=st.sampled_from([0.0, 0.0, 0.0, 0.5, 7.0, 9.0]),
        kills_after_s=st.sampled_from([None, None, None, 0.0, 0.0005, 0.5, 3.0]),
    ),
    min_size=1,
    max_size=12,
)
delays = st.sampled_from([0.0, 0.0005, *[0.001] * 12, 0.4, 3.0, 9.0])
links = st.lists(st.builds(Link, delays, delays, usually, usually, rarely), max_size=20)
DEFINITE = {
    "idempotency_in_flight",
    "idempotency_key_reused",
    "idempotency_outcome_unknown",
    "idempotency_unavailable",
    "instance_crashed",
    "queue_full",
}


def check_answers(calls: list[Call], told: list[Kept | PlatError | None]) -> None:
    for call, answer in zip(calls, told, strict=True):
        if isinstance(answer, PlatError):
            assert answer.code in DEFINITE
        elif answer is not None:
            assert answer.body == call.fingerprint.encode(), "the answer to another request"


def check_lasting(world: World, told: list[Kept | PlatError | None]) -> None:
    """Once it has been executed, nobody is ever told that it was refused, and nobody executes it."""
    assert len(world.executions) <= 1
    statuses = {answer.status for answer in told if isinstance(answer, Kept)}
    assert len(statuses) <= 1


@settings(max_examples=300, deadline=None)
@given(calls, links)
def test_whoever_dies_it_is_executed_once(calls: list[Call], links: list[Link]) -> None:
    async def story() -> None:
        world = World(3, links)
        async with asyncio.timeout(LONG_S * 2):
            told = await play(world, calls)
        for call, answer in zip(calls, told, strict=True):
            gone = call.leaves_after_s is not None or world.routers[call.router].is_dead
            assert answer is not None or gone, "a client that waited was told nothing"
        check_answers(calls, told)
        check_lasting(world, told)
        await end(world)

    run(story())


@settings(max_examples=200, deadline=None)
@given(calls, links, moments, st.sampled_from([0.0, 0.0, 0.5, 3.0, 8.0]))
def test_whatever_the_store_forgets_nothing_is_executed_while_it_is_executed(
    calls: list[Call], links: list[Link], at: float, away_s: float
) -> None:
    """All routers live. What was done before the store forgot it may be done again, and nothing else."""
    calls = [call._replace(kills_after_s=None, cuts_s=0.0) for call in calls]
    links = [Link(min(link.there_s, 0.4), min(link.back_s, 0.4)) for link in links]  # nothing is lost

    async def story() -> None:
        world = World(3, links)

        async def fail() -> None:
            await world.at(at)
            world.is_away = True
            await asyncio.sleep(away_s)
            world.forget()
            world.is_away = False

        told, _ = await asyncio.gather(play(world, calls), fail())
        check_answers(calls, told)
        begun = [execution.began for execution in world.executions]
        assert len(begun) <= 2
        if len(begun) == 2:
            assert world.ended[0] < at + away_s, "the first had not ended when the store forgot it"
            assert begun[1] >= world.ended[0]
        await end(world)

    run(story())


def test_a_store_that_is_back_knows_what_is_in_flight_before_it_gives_out_keys() -> None:
    async def story() -> None:
        world = World(2, [])
        first = Call(0.0, 0, takes_s=3 * HOLD_S)
        others = [Call(at, 1) for at in (1.0, 2.5, 3.0, HOLD_S + 2, HOLD_S + 4)]

        async def forget() -> None:
            await world.at(2.1)
            world.forget()

        told, _ = await asyncio.gather(play(world, [first, *others]), forget())
        assert told == [Kept(200, b"", [], b"same")] * 6
        assert len(world.executions) == 1
        await end(world)

    run(story())
