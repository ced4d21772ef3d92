"""An outbox: bounded by the number of functions, the latest message of each in the latest order; parts."""

import asyncio

import pytest

from control.feed import Outbox
from plat.feed import FunctionDropped, FunctionEntry, FunctionPut, TablePart, encode
from plat.parts import PART_BYTES
from plat.tasks import cancel, spawn


def entry(name: str, maximum: int = 1) -> FunctionEntry:
    return FunctionEntry(
        name=name,
        live=None,
        stopped=False,
        auth="token",
        min=0,
        max=maximum,
        idle_s=1,
        rate=None,
        burst=None,
        versions=(),
    )


def put(name: str, maximum: int = 1) -> FunctionPut:
    return FunctionPut(function=entry(name, maximum))


async def test_a_part_of_the_table_comes_between_the_changes_before_and_after_it() -> None:
    outbox = Outbox()
    outbox.put("a", put("a"))
    outbox.put("b", put("b"))
    outbox.put_part([entry("a", 2), entry("b", 2)])
    outbox.put("b", put("b", 3))
    assert await outbox.take() == [put("a"), TablePart([entry("a", 2), entry("b", 2)]), put("b", 3)]


async def test_many_functions_are_put_in_many_parts() -> None:
    outbox = Outbox()
    entries = [entry(f"f{number}") for number in range(1000)]
    outbox.put_part(entries)
    parts = [each for each in await outbox.take() if isinstance(each, TablePart)]
    assert [function for part in parts for function in part.functions] == entries
    assert max(len(encode(part)) for part in parts) < 2 * PART_BYTES
    assert not any(part.last for part in parts)


async def test_no_functions_are_no_part_but_wake_who_waits() -> None:
    outbox = Outbox()
    outbox.put_part([])
    assert await outbox.take() == []


async def test_only_the_latest_message_of_a_function_waits() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.put("a", put("a", number))
    outbox.put("b", put("b"))
    outbox.put("a", FunctionDropped(name="a"))
    assert await outbox.take() == [put("b"), FunctionDropped(name="a")]


async def test_taking_waits_for_something() -> None:
    outbox = Outbox()
    taking = spawn(outbox.take(), "take")
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.put("a", put("a"))
    assert await taking == [put("a")]


async def test_a_taker_that_was_cancelled_takes_nothing() -> None:
    outbox = Outbox()
    taking = spawn(outbox.take(), "take")
    await asyncio.sleep(0)
    outbox.put("a", put("a"))
    await cancel(taking)
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await outbox.take() == [put("a")]
