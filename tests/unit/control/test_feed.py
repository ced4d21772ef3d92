"""An outbox: bounded by the number of functions, the latest message of each in the latest order."""

import asyncio

import pytest

from control.feed import Outbox
from plat.feed import FunctionDropped, FunctionEntry, FunctionPut, Table
from plat.tasks import cancel, spawn

TABLE = Table(functions=[], tokens=[])


def put(name: str, maximum: int = 1) -> FunctionPut:
    entry = FunctionEntry(
        name=name,
        live=None,
        stopped=False,
        auth="token",
        min=0,
        max=maximum,
        idle_s=1,
        rate=None,
        burst=None,
        versions=[],
    )
    return FunctionPut(function=entry)


async def test_the_table_comes_first() -> None:
    outbox = Outbox(TABLE)
    outbox.put("a", put("a"))
    assert await outbox.take() == [TABLE, put("a")]


async def test_only_the_latest_message_of_a_function_waits() -> None:
    outbox = Outbox(TABLE)
    await outbox.take()
    for number in range(1000):
        outbox.put("a", put("a", number))
    outbox.put("b", put("b"))
    outbox.put("a", FunctionDropped(name="a"))
    assert await outbox.take() == [put("b"), FunctionDropped(name="a")]


async def test_taking_waits_for_something() -> None:
    outbox = Outbox(TABLE)
    await outbox.take()
    taking = spawn(outbox.take(), "take")
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.put("a", put("a"))
    assert await taking == [put("a")]


async def test_a_taker_that_was_cancelled_takes_nothing() -> None:
    outbox = Outbox(TABLE)
    await outbox.take()
    taking = spawn(outbox.take(), "take")
    await asyncio.sleep(0)
    outbox.put("a", put("a"))
    await cancel(taking)
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await outbox.take() == [put("a")]
