"""A request's row is in the transaction of its change, or not there at all; failures are bounded."""

from datetime import UTC, datetime

import pytest

from control.audit import CURRENT, FAILURES_AT_ONCE, Event, FailureBudget, longest, note
from control.rows import AuditRow
from control.store import Store
from tests.unit.control.fakes import token_row


@pytest.fixture
def event() -> Event:
    event = Event(action="deploy", address="10.0.0.1", call_id="c1", function="hello")
    event.caller = token_row("0123", owner=None)
    CURRENT.set(event)
    return event


async def rows(store: Store) -> list[AuditRow]:
    async with store.reading() as tables:
        return await tables.audit({}, None, None, 100)


async def test_it_is_written_once_with_what_the_change_knows(store: Store, event: Event) -> None:
    async with store.changing() as tables:
        await note(tables, object="version 3")
    async with store.changing() as tables:
        await note(tables)
    (row,) = await rows(store)
    assert (row.actor, row.action, row.function, row.object) == ("0123", "deploy", "hello", "version 3")
    assert (row.outcome, row.address, row.call_id, row.unrecorded) == ("ok", "10.0.0.1", "c1", 0)


async def test_a_change_that_is_undone_takes_its_row_with_it(store: Store, event: Event) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.changing() as tables:
            await note(tables)
            raise ZeroDivisionError
    assert await rows(store) == [] and not event.is_written


async def test_what_no_request_asked_for_leaves_no_row(store: Store) -> None:
    CURRENT.set(None)
    async with store.changing() as tables:
        await note(tables)
    assert await rows(store) == []


def test_a_row_without_a_caller_says_so() -> None:
    row = Event(action="deploy", address="a", call_id="c").row(datetime.now(UTC), "unauthorized", 7)
    assert (row.actor, row.owner, row.outcome, row.unrecorded) == (None, None, "unauthorized", 7)


def test_a_flood_of_failures_is_counted_not_kept() -> None:
    budget = FailureBudget(0.0)
    taken = [budget.take(0.0) for _ in range(1000)]
    assert taken == [0] * int(FAILURES_AT_ONCE) + [None] * (1000 - int(FAILURES_AT_ONCE))
    assert budget.take(1.0) == 1000 - int(FAILURES_AT_ONCE)
    assert budget.take(1.5) is None
    assert budget.take(2.1) == 1


def test_what_a_stranger_sends_is_cut() -> None:
    assert longest("short", 10) == "short"
    assert longest("x" * 11, 10) == "x" * 9 + "…"
