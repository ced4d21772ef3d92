"""Work that goes on without whoever began it."""

import asyncio

import pytest

from control.finish import Finisher
from plat.errors import PlatError
from plat.tasks import cancel, spawn


async def test_the_result_and_the_error_come_back() -> None:
    async def work(error: Exception | None) -> int:
        await asyncio.sleep(0)
        if error:
            raise error
        return 3

    finisher = Finisher()
    assert await finisher.run(work(None), "work") == 3
    with pytest.raises(PlatError, match="told"):
        await finisher.run(work(PlatError("invalid", "told")), "work")
    await finisher.close()


@pytest.mark.parametrize("error", [None, PlatError("invalid", "told"), ZeroDivisionError("logged")])
async def test_it_goes_on_when_the_caller_is_cancelled(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        ended.set()
        if error:
            raise error

    finisher = Finisher()
    caller = spawn(finisher.run(work(), "work"), "caller")
    await begun.wait()
    await cancel(caller)
    go_on.set()
    await finisher.close()
    assert ended.is_set()
    assert ("unattended work failed" in caplog.text) is isinstance(error, ZeroDivisionError)


async def test_cancelling_the_work_cancels_its_caller_and_waits_for_the_cleaning_up() -> None:
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    finisher = Finisher()
    caller = spawn(finisher.run(work(), "work"), "caller")
    await begun.wait()
    await finisher.cancel()
    assert cleaned.is_set()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_work_that_is_cancelled_before_it_begins_lets_its_caller_go() -> None:
    async def work() -> None:
        raise AssertionError("it began")

    finisher = Finisher()
    caller = spawn(finisher.run(work(), "work"), "caller")
    await asyncio.sleep(0)
    await finisher.cancel()
    await asyncio.wait([caller], timeout=5)
    assert caller.cancelled()
