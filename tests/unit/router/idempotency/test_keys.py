"""Who goes first, who waits, and what they are told: one case at a time, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from plat.errors import PlatError
from plat.idempotency import LEASE_S
from plat.tasks import spawn, subtask
from router.idempotency.claims import Claimed, Kept
from router.idempotency.key import Keyed
from router.idempotency.keys import ASK_S, LOOK_S
from tests.unit.router.idempotency.world import KEY, PATIENCE_S, Call, Link, World, end, play
from tests.unit.router.virtual_time import run

Story = Callable[[World], Awaitable[None]]
ANSWER = Kept(200, b"", [], b"same")


def tell(story: Story, routers: int = 2, links: list[Link] | None = None) -> None:
    async def told() -> None:
        world = World(routers, links or [])
        await story(world)
        await end(world)

    run(told())


def code(told: Kept | PlatError | None) -> str:
    assert isinstance(told, PlatError), told
    return told.code


def begin(world: World, call: Call) -> "asyncio.Task[Kept | PlatError | None]":
    return spawn(world.routers[call.router].call(call), "call")


@pytest.mark.parametrize("router", [0, 1], ids=["same router", "another"])
def test_who_waits_gets_the_answer_and_who_does_not_is_told(router: int) -> None:
    async def story(world: World) -> None:
        first = begin(world, Call(0, 0, takes_s=4))
        await world.at(1)
        waiting = begin(world, Call(1, router))
        await world.at(1.5)
        assert code(await begin(world, Call(1.5, router, wait_s=0))) == "idempotency_in_flight"
        assert code(await begin(world, Call(1.5, router, "other"))) == "idempotency_key_reused"
        assert world.now < 1.6
        assert code(await begin(world, Call(1.5, router, wait_s=2))) == "idempotency_in_flight"
        assert 3.5 <= world.now < 4
        assert await waiting == await first == ANSWER
        assert world.now < 4.1 + LOOK_S[1]
        assert await begin(world, Call(5, router, wait_s=0)) == ANSWER
        assert code(await begin(world, Call(5, router, "other"))) == "idempotency_key_reused"
        assert len(world.executions) == 1

    tell(story)


def test_a_thousand_calls_ask_the_store_a_few_times() -> None:
    async def story(world: World) -> None:
        told = await play(world, [Call(0, number % 2, takes_s=10) for number in range(1000)])
        assert told == [ANSWER] * 1000
        assert world.asked < 100
        assert [router.metrics._keyed.get("executed", 0) for router in world.routers] == [1, 0]
        assert sum(router.metrics._keyed["replayed"] for router in world.routers) == 999

    tell(story)


def test_a_call_that_is_refused_before_it_was_sent_frees_the_key_for_the_next() -> None:
    async def story(world: World) -> None:
        told = await play(
            world, [Call(0, 0, refused=True, slot_s=1), Call(0.1, 0), Call(0.2, 1), Call(0.3, 0)]
        )
        assert code(told[0]) == "queue_full"
        assert told[1:] == [ANSWER] * 3
        assert len(world.executions) == 1

    tell(story)


def test_a_failure_after_it_was_sent_is_everybody_s() -> None:
    async def story(world: World) -> None:
        told = await play(world, [Call(0, 0, fails=True), Call(0.1, 0), Call(0.2, 1), Call(9, 1)])
        assert code(told[0]) == "instance_crashed"
        assert [answer.status for answer in told[1:] if isinstance(answer, Kept)] == [502] * 3
        assert len(world.executions) == 1

    tell(story)


def test_an_execution_goes_on_when_its_client_leaves() -> None:
    async def story(world: World) -> None:
        told = await play(world, [Call(0, 0, takes_s=3, leaves_after_s=1), Call(0.5, 0), Call(0.6, 1)])
        assert told == [None, ANSWER, ANSWER]

    tell(story)


def test_of_a_router_that_died_in_the_middle_nobody_knows() -> None:
    async def story(world: World) -> None:
        told = await play(world, [Call(0, 0, takes_s=3, kills_after_s=1), Call(0.5, 1), Call(20, 1)])
        assert told[0] is None
        assert [code(each) for each in told[1:]] == ["idempotency_outcome_unknown"] * 2
        assert len(world.executions) == 1

    tell(story)


def test_a_router_that_died_before_it_sent_anything_is_replaced() -> None:
    async def story(world: World) -> None:
        first = begin(world, Call(0, 0, slot_s=30))
        await world.at(1)
        second = begin(world, Call(1, 1))
        await world.at(2)
        await world.routers[0].die()
        assert await second == ANSWER
        assert world.now < 2 + LEASE_S + 2
        assert await first is None

    tell(story)


def test_a_turn_that_comes_to_one_who_has_gone_is_the_next_one_s() -> None:
    """Served and cancelled before it could run."""

    async def story(world: World) -> None:
        router = world.routers[0]
        first = begin(world, Call(0, 0, refused=True, slot_s=1))
        await world.at(0.1)
        second = spawn(router._call(Call(0.1, 0)), "second")
        third = spawn(router._call(Call(0.1, 0)), "third")
        await asyncio.sleep(0)
        flight = router.idempotency._flights[KEY]
        flight.waiters[0].future.add_done_callback(lambda _: second.cancel())
        assert code(await first) == "queue_full"
        assert await third == ANSWER
        assert second.cancelled()

    tell(story)


def test_without_a_store_nothing_is_executed() -> None:
    async def story(world: World) -> None:
        world.is_away = True
        told = await play(world, [Call(0, 0), Call(0, 0), Call(0, 1, wait_s=0)])
        assert {code(each) for each in told} == {"idempotency_unavailable"}
        assert not world.executions
        assert not world.routers[0].metrics.keys_up
        world.is_away = False
        assert await begin(world, Call(1, 0)) == ANSWER
        assert world.routers[0].metrics.keys_up

    tell(story)


def test_a_store_that_is_silent_is_away() -> None:
    async def story(world: World) -> None:
        assert code(await begin(world, Call(0, 0))) == "idempotency_unavailable"
        assert ASK_S <= world.now < ASK_S + 0.1
        assert not world.executions

    tell(story, links=[Link(is_heard=False)])


def test_an_answer_is_stored_when_the_store_is_back() -> None:
    async def story(world: World) -> None:
        first = begin(world, Call(0, 0, takes_s=2))
        await world.at(1)
        world.is_away = True
        assert await first == ANSWER
        await world.at(5)
        world.is_away = False
        await world.at(7)
        assert await begin(world, Call(7, 1, wait_s=0)) == ANSWER
        assert world.routers[0].idempotency.claims() == []

    tell(story)


def test_an_answer_that_was_too_large_is_not_made_again() -> None:
    async def story(world: World) -> None:
        async def execute(claim: Claimed) -> str:
            await claim.begin()
            await claim.finish(Kept(201, b"", [], b"", whole=False))
            return "sent"

        keyed = Keyed(KEY, "same", None)
        once = world.routers[0].idempotency.once
        assert await once(keyed, PATIENCE_S, execute) == "sent"
        with pytest.raises(PlatError, match="201") as raised:
            await once(keyed, PATIENCE_S, execute)
        assert raised.value.code == "idempotency_answer_not_kept"

    tell(story)


def test_an_execution_that_breaks_in_a_way_nobody_expected_is_not_repeated() -> None:
    async def story(world: World) -> None:
        async def execute(claim: Claimed) -> str:
            await claim.begin()
            await asyncio.sleep(1)
            raise RuntimeError("a mistake")

        idempotency = world.routers[0].idempotency
        first = subtask(idempotency.once(Keyed(KEY, "same", None), PATIENCE_S, execute), "first")
        await world.at(0.5)
        second = begin(world, Call(0.5, 0))
        with pytest.raises(RuntimeError):
            await first
        assert code(await second) == "idempotency_outcome_unknown"
        assert code(await begin(world, Call(2, 1))) == "idempotency_outcome_unknown"

    tell(story)


def test_what_is_in_flight_is_told_to_a_store_that_begins_to_remember() -> None:
    async def story(world: World) -> None:
        begin(world, Call(0, 0, takes_s=3))
        await world.at(1)
        [claim] = world.routers[0].idempotency.claims()
        assert (claim.key, claim.fingerprint, claim.begun) == (KEY, "same", True)
        await world.at(4)
        assert world.routers[0].idempotency.claims() == []

    tell(story)


def test_the_end_waits_for_executions_whose_client_has_left() -> None:
    async def story(world: World) -> None:
        assert await begin(world, Call(0, 0, takes_s=3, leaves_after_s=1)) is None
        await world.routers[0].idempotency.drained()
        assert world.now == pytest.approx(3, abs=0.1)
        assert len(world.ended) == 1

    tell(story)
