"""The slots of one router, case by case; `test_slots_machine` tries every order of events."""

import asyncio
from collections.abc import Callable

import pytest

from plat.errors import PlatError
from plat.feed import Faulted, FromRouter, Grant, Held, Reclaim, Returned
from router.parked import PARKED_S
from router.slots import QUEUE_FULL, TOO_MANY, InstanceSlots, SlotTable, VersionSlots, Waiter

V = "version-1"
NOW = 100.0


class Sent:
    """What the table told the pool, and whose demand changed."""

    def __init__(self) -> None:
        self.messages: list[FromRouter] = []
        self.demand: list[tuple[str, int]] = []

    def changed(self, version: VersionSlots) -> None:
        self.demand.append((version.id, version.waiting))


class Connection:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def table(sent: Sent) -> SlotTable:
    return SlotTable(sent.messages.append, sent.changed, queue_limit=3)


def grant(table: SlotTable, slots: int, instance: str = "a", now: float = NOW) -> InstanceSlots:
    return table.grant(Grant(instance, V, f"unix:/{instance}", slots), now)


def taken(table: SlotTable, now: float = NOW) -> InstanceSlots:
    instance = table.take(V, now)
    assert instance is not None
    return instance


async def queue(table: SlotTable) -> tuple[Waiter, "asyncio.Future[InstanceSlots]"]:
    future: asyncio.Future[InstanceSlots] = asyncio.get_running_loop().create_future()
    waiter = table.wait(V, 0, lambda: future)
    assert isinstance(waiter, Waiter)
    return waiter, future


def never(version_id: str) -> float:
    return float("inf")


def at_once(version_id: str) -> float:
    return 0.0


# --- taking


def test_nothing_is_free_before_a_grant(table: SlotTable) -> None:
    assert table.take(V, NOW) is None


def test_as_many_calls_as_slots(table: SlotTable) -> None:
    grant(table, 2)
    assert taken(table) is taken(table)
    assert table.take(V, NOW) is None
    assert table.version(V).in_flight == 2


def test_the_instance_used_last_is_taken_first(table: SlotTable) -> None:
    """So that the others become really idle."""
    grant(table, 1, "a")
    grant(table, 1, "b")
    first, second = taken(table), taken(table)
    table.release(second, NOW)
    table.release(first, NOW)
    assert taken(table) is first


def test_slots_of_one_version_are_not_for_another(table: SlotTable) -> None:
    grant(table, 1)
    assert table.take("version-2", NOW) is None


def test_a_second_grant_adds_to_the_first(table: SlotTable) -> None:
    grant(table, 1)
    grant(table, 2)
    assert taken(table) is taken(table) is taken(table)
    assert table.take(V, NOW) is None
    assert table.held() == [Held("a", 3)]


# --- promised: while their instance loads


def promise(table: SlotTable, slots: int = 1, instance: str = "a") -> InstanceSlots:
    return table.grant(Grant(instance, V, f"unix:/{instance}", slots, loading=True), NOW)


async def test_promised_slots_are_for_nobody_before_their_instance_is_ready(table: SlotTable) -> None:
    _, future = await queue(table)
    instance = promise(table)
    assert (table.take(V, NOW), future.done(), instance.loading) == (None, False, True)
    table.loaded("a", NOW)
    assert (future.result(), instance.loading, instance.in_use) == (instance, False, 1)


async def test_what_nobody_waits_for_any_more_is_free_when_it_is_ready(table: SlotTable) -> None:
    promise(table)
    table.loaded("a", NOW)
    table.loaded("a", NOW)
    table.loaded("unknown", NOW)
    assert taken(table).id == "a"
    assert table.take(V, NOW) is None


async def test_those_who_have_a_promise_lack_nothing(table: SlotTable, sent: Sent) -> None:
    version = table.version(V)
    for _ in range(3):
        await queue(table)
    promise(table, 2)
    assert version.lacking == 1
    promise(table, 2, "b")
    assert version.lacking == 0
    sent.demand.clear()
    table.drop("a")
    assert (version.lacking, sent.demand) == (1, [(V, 3)])
    table.drop("b")
    assert version.lacking == 3


def test_a_promise_that_came_to_nothing_is_answered_also_where_nobody_waits(
    table: SlotTable, sent: Sent
) -> None:
    """The pool takes it that somebody does, until it is told."""
    promise(table)
    table.drop("a")
    assert sent.demand == [(V, 0)]


async def test_a_slot_of_another_serves_who_has_a_promise(table: SlotTable) -> None:
    """What it was promised is free for the next."""
    _, future = await queue(table)
    promise(table)
    grant(table, 1, "b")
    assert future.result().id == "b"
    table.loaded("a", NOW)
    assert taken(table).id == "a"


def test_a_promise_is_not_held_and_does_not_go_back(table: SlotTable, sent: Sent) -> None:
    promise(table)
    table.return_idle(NOW + 100, at_once)
    assert (table.held(), sent.messages) == ([], [])
    table.loaded("a", NOW)
    assert table.held() == [Held("a", 1)]


async def test_a_pool_that_is_met_again_promises_anew(table: SlotTable, sent: Sent) -> None:
    await queue(table)
    promised = promise(table)
    grant(table, 1, "b")
    promised.connections.append(connection := Connection())
    table.forget_promises()
    table.loaded("a", NOW)
    assert (promised.gone, connection.closed, table.version(V).loading) == (True, True, {})
    assert table.held() == [Held("b", 1)]


# --- waiting


async def test_a_grant_serves_waiters_in_order(table: SlotTable, sent: Sent) -> None:
    futures = [(await queue(table))[1] for _ in range(3)]
    grant(table, 2)
    assert [future.done() for future in futures] == [True, True, False]
    assert sent.demand == [(V, 1), (V, 2), (V, 3), (V, 2), (V, 1)]
    assert table.version(V).in_flight == 2


async def test_a_release_serves_the_first_waiter(table: SlotTable) -> None:
    grant(table, 1)
    instance = taken(table)
    _, first = await queue(table)
    _, second = await queue(table)
    table.release(instance, NOW)
    assert first.result() is instance
    assert not second.done()
    assert table.version(V).in_flight == 1


async def test_the_queue_is_bounded(table: SlotTable) -> None:
    for _ in range(3):
        await queue(table)
    refused = table.wait(V, 0, asyncio.get_running_loop().create_future)
    assert isinstance(refused, PlatError)
    assert (refused.code, refused.status, refused.retry_after_s) == ("queue_full", 429, 1)
    assert table.version(V).waiting == 3


async def test_in_a_flood_half_as_many_wait_as_there_are_slots(table: SlotTable) -> None:
    """Those who waited longest go first: their clients are the nearest to giving up."""
    grant(table, 2)
    taken(table)
    taken(table)
    new_future = asyncio.get_running_loop().create_future
    first, second, third = [await queue(table) for _ in range(3)]
    assert table.wait(V, NOW, new_future) is QUEUE_FULL
    table.leave(V, second[0], NOW)
    assert isinstance(table.wait(V, NOW, new_future), Waiter), "there may be more instances to come"
    table.leave(V, third[0], NOW)
    table.saturated(V, NOW)
    assert table.wait(V, NOW, new_future) is TOO_MANY
    assert first[1].exception() is TOO_MANY
    assert table.version(V).waiting == 1


async def test_a_place_in_the_queue_is_free_again_when_a_waiter_leaves(table: SlotTable) -> None:
    waiters = [(await queue(table))[0] for _ in range(3)]
    table.leave(V, waiters[1], NOW)
    await queue(table)
    assert table.version(V).waiting == 3


async def test_one_that_left_is_not_served(table: SlotTable) -> None:
    waiter, gone = await queue(table)
    _, stays = await queue(table)
    table.leave(V, waiter, NOW)
    grant(table, 1)
    assert gone.cancelled()
    assert stays.done()
    assert table.version(V).waiting == 0


async def test_waiters_that_left_do_not_pile_up(table: SlotTable) -> None:
    for _ in range(100):
        waiter, _ = await queue(table)
        table.leave(V, waiter, NOW)
    assert len(table.version(V).waiters) == 0


async def test_a_future_that_is_cancelled_but_has_not_left_yet_is_passed_over(table: SlotTable) -> None:
    waiter, cancelled = await queue(table)
    _, stays = await queue(table)
    cancelled.cancel()
    grant(table, 1)
    assert stays.done()
    table.leave(V, waiter, NOW)
    assert table.version(V).waiting == 0
    assert table.version(V).in_flight == 1


async def test_a_slot_handed_to_one_that_has_gone_comes_back(table: SlotTable) -> None:
    """The order that loses slots elsewhere: served, then cancelled, before it could run."""
    waiter, served = await queue(table)
    _, next_one = await queue(table)
    grant(table, 1)
    assert served.done()
    table.leave(V, waiter, NOW)
    assert next_one.done()
    assert table.version(V).in_flight == 1


async def test_a_failed_waiter_gives_nothing_back_when_it_leaves(table: SlotTable) -> None:
    waiter, future = await queue(table)
    waiter.fail(PlatError("no_instance", "late"))
    grant(table, 1)
    table.leave(V, waiter, NOW)
    assert isinstance(future.exception(), PlatError)
    assert taken(table)
    assert table.version(V).waiting == 0
    assert table.version(V).in_flight == 1


async def test_all_waiters_fail_together(table: SlotTable, sent: Sent) -> None:
    futures = [(await queue(table))[1] for _ in range(3)]
    error = PlatError("instance_unavailable", "it does not start")
    table.fail_waiters(V, error)
    assert [future.exception() for future in futures] == [error] * 3
    assert sent.demand[-1] == (V, 0)
    table.fail_waiters("version-2", error)


# --- the pool wants slots back


def test_idle_slots_go_back_at_once(table: SlotTable, sent: Sent) -> None:
    grant(table, 3)
    taken(table, NOW)
    table.reclaim(Reclaim("a", 2), NOW + 4)
    assert sent.messages == [Returned("a", 2, 4.0)]
    assert table.held() == [Held("a", 1)]


async def test_busy_slots_are_owed_before_a_waiter_is_served(table: SlotTable, sent: Sent) -> None:
    grant(table, 2)
    instance, _ = taken(table), taken(table)
    _, waits = await queue(table)
    table.reclaim(Reclaim("a", 1), NOW)
    assert not sent.messages
    table.release(instance, NOW)
    assert sent.messages == [Returned("a", 1, 0.0)]
    assert not waits.done()
    table.release(instance, NOW)
    assert waits.done()


def test_more_than_there_is_cannot_be_owed(table: SlotTable) -> None:
    grant(table, 2)
    instance = taken(table)
    for _ in range(3):
        table.reclaim(Reclaim("a", 5), NOW)
    assert instance.debt == 1
    table.reclaim(Reclaim("nobody", 1), NOW)


@pytest.mark.parametrize("owed", [False, True])
def test_of_an_instance_without_slots_one_connection_is_kept_in_case_they_come_again(
    table: SlotTable, owed: bool
) -> None:
    grant(table, 1)
    instance = taken(table)
    if owed:
        table.reclaim(Reclaim("a", 1), NOW)
    instance.connections += [first := Connection(), last_used := Connection()]
    table.release(instance, NOW)
    if not owed:
        table.reclaim(Reclaim("a", 1), NOW)
    assert (first.closed, last_used.closed, instance.gone) == (True, False, True)
    assert table.held() == []
    assert table.take(V, NOW) is None
    grant(table, 1)
    again = taken(table)
    assert again is not instance
    assert again.connections == [last_used]


@pytest.mark.parametrize("end", ["time passes", "instance ends", "router ends"])
def test_the_connection_that_is_kept_is_closed(table: SlotTable, end: str) -> None:
    grant(table, 1).connections.append(connection := Connection())
    table.reclaim(Reclaim("a", 1), NOW)
    assert not connection.closed
    match end:
        case "time passes":
            table.close_parked(NOW + PARKED_S)
        case "instance ends":
            table.drop("a")
        case _:
            table.close()
    assert connection.closed


def test_of_what_lies_idle_no_connection_is_kept(table: SlotTable) -> None:
    grant(table, 1).connections.append(connection := Connection())
    table.return_idle(NOW + 10, lambda _: 5.0)
    assert connection.closed


def test_a_grant_after_everything_was_given_back(table: SlotTable) -> None:
    grant(table, 1)
    table.reclaim(Reclaim("a", 1), NOW)
    grant(table, 1)
    assert not taken(table).gone
    assert table.held() == [Held("a", 1)]


@pytest.mark.parametrize(
    ("hold_s", "elapsed", "returned"),
    [(at_once, 0.0, True), (never, 1e9, False), (lambda _: 5.0, 4.9, False), (lambda _: 5.0, 5.0, True)],
)
def test_slots_unused_for_long_go_back(
    table: SlotTable, sent: Sent, hold_s: Callable[[str], float], elapsed: float, returned: bool
) -> None:
    grant(table, 2)
    table.return_idle(NOW + elapsed, hold_s)
    assert sent.messages == ([Returned("a", 2, elapsed)] if returned else [])


def test_an_instance_with_a_call_is_not_idle(table: SlotTable, sent: Sent) -> None:
    grant(table, 2)
    taken(table)
    table.return_idle(NOW + 1000, at_once)
    assert not sent.messages


def test_a_restarted_pool_begins_without_debts(table: SlotTable, sent: Sent) -> None:
    grant(table, 1)
    instance = taken(table)
    table.reclaim(Reclaim("a", 1), NOW)
    table.forget_debts()
    table.release(instance, NOW)
    assert not sent.messages
    assert taken(table) is instance


# --- instances that end


def test_a_slot_of_an_instance_that_ended_is_not_returned(table: SlotTable, sent: Sent) -> None:
    grant(table, 2)
    instance = taken(table)
    assert table.drop("a") is instance
    assert table.take(V, NOW) is None
    table.release(instance, NOW)
    assert not sent.messages
    assert table.version(V).in_flight == 0
    assert table.drop("a") is None


async def test_a_fault_is_told_once_and_serves_nobody(table: SlotTable, sent: Sent) -> None:
    grant(table, 3)
    instance, _ = taken(table), taken(table)
    table.fault(instance, "timeout")
    table.fault(instance, "timeout")
    assert sent.messages == [Faulted("a", "timeout")]
    assert table.version(V).in_flight == 0
    assert table.take(V, NOW) is None


def test_gone_instances_are_skipped_on_the_stack(table: SlotTable) -> None:
    grant(table, 1, "a")
    grant(table, 1, "b")
    table.drop("b")
    assert taken(table).id == "a"


def test_an_instance_that_comes_back_is_a_new_one(table: SlotTable) -> None:
    grant(table, 1)
    old = taken(table)
    table.drop("a")
    grant(table, 1)
    new = taken(table)
    assert new is not old
    table.release(old, NOW)
    assert new.in_use == 1
    assert table.take(V, NOW) is None


async def test_empty_versions_are_forgotten_and_others_are_not(table: SlotTable) -> None:
    table.version("unused")
    grant(table, 1)
    instance = taken(table)
    table.drop("a")
    table.forget_empty()
    assert [version.id for version in table.versions()] == [V]
    table.release(instance, NOW)
    table.forget_empty()
    assert list(table.versions()) == []
    await queue(table)
    table.forget_empty()
    assert table.version(V).waiting == 1
