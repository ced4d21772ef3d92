"""The one way to start a task: it is named, it is not lost, and it does not fail in silence."""

import asyncio
import gc
import logging

import pytest

from plat.tasks import apart, cancel, spawn


async def test_the_result_is_the_coroutine_s() -> None:
    async def work() -> int:
        return 7

    task = spawn(work(), "seven")
    assert task.get_name() == "seven"
    assert await task == 7


async def test_a_task_nobody_holds_runs_to_its_end() -> None:
    done = asyncio.Event()
    go_on = asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        done.set()

    spawn(work(), "unheld")
    await asyncio.sleep(0)
    gc.collect()
    go_on.set()
    await asyncio.wait_for(done.wait(), 5)


async def test_a_failure_is_logged_with_the_task_s_name(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("broken")

    await asyncio.wait([spawn(work(), "the broken one")])
    await asyncio.sleep(0)
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert getattr(record, "plat_fields")["task"] == "the broken one"  # noqa: B009 - it is no typed attribute
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "broken"


async def test_cancel_waits_for_the_cleanup_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    tasks = [spawn(work(), "one"), spawn(work(), "two")]
    await asyncio.sleep(0)
    await cancel(*tasks)
    assert cleaned == ["cleaned", "cleaned"]
    assert all(task.cancelled() for task in tasks)
    assert not caplog.records


async def stubborn(go_on: asyncio.Event) -> int:
    """Loses its first cancellation."""
    try:
        await go_on.wait()
    except asyncio.CancelledError:
        await go_on.wait()
        raise ValueError("nobody hears this") from None
    return 7


async def test_what_loses_its_cancellation_keeps_nobody_who_has_it_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go_on = asyncio.Event()
    waiting = spawn(apart(stubborn(go_on), "stubborn"), "waiting")
    await asyncio.sleep(0)
    await cancel(waiting)
    assert waiting.cancelled()
    go_on.set()
    await asyncio.sleep(0)
    gc.collect()
    assert not caplog.records


async def test_what_goes_well_or_wrong_apart_is_told() -> None:
    go_on = asyncio.Event()
    go_on.set()
    assert await apart(stubborn(go_on), "well") == 7

    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await apart(fails(), "wrong")
