"""The log book: kept over restarts, followed live, bounded where a reader or the disk is slow."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plat.model import LogLine
from pool.drivers.base import Written
from pool.logbook import FOLLOWER_LINES, LogBook

START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def written(number: int, instance: str = "i1") -> Written:
    return Written(instance, "stdout", START + timedelta(seconds=number), f"line {number}")


async def read(book: LogBook, function: str = "hello", tail: int = 100) -> list[str]:
    return [line.message async for line in book.read(function, tail, follow=False)]


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[LogBook]:
    book = LogBook(tmp_path / "logs")
    yield book
    await book.close()


async def test_lines_come_back_at_once_in_their_order(book: LogBook) -> None:
    for number in range(5):
        book.append("hello", 7, written(number))
    book.append("other", 1, written(99))
    assert await read(book) == [f"line {number}" for number in range(5)]
    assert await read(book, tail=2) == ["line 3", "line 4"]
    assert await read(book, tail=0) == []
    assert await read(book, "unknown") == []


async def test_a_line_has_all_that_the_api_shows(book: LogBook) -> None:
    book.append("hello", 7, Written("i1", "stderr", START, "ö\n\x00"))
    [line] = [line async for line in book.read("hello", 1, follow=False)]
    assert line == LogLine(
        time=START, function="hello", version=7, instance="i1", stream="stderr", message="ö\n\x00"
    )


async def test_lines_and_last_times_survive_a_restart(book: LogBook, tmp_path: Path) -> None:
    book.append("hello", 1, written(1))
    book.append("hello", 1, written(2, "i2"))
    book.append("hello", 1, written(3))
    await book.flush()
    again = LogBook(tmp_path / "logs")
    assert await read(again) == ["line 1", "line 2", "line 3"]
    assert again.last_written("i1") == START + timedelta(seconds=3)
    assert again.last_written("i2") == START + timedelta(seconds=2)
    assert again.last_written("i3") is None
    await again.close()


async def test_the_last_time_is_known_before_the_line_is_on_disk(book: LogBook) -> None:
    book.append("hello", 1, written(1))
    assert book.last_written("i1") == START + timedelta(seconds=1)


async def test_a_follower_gets_every_line_once(book: LogBook) -> None:
    book.append("hello", 1, written(0))
    lines = book.read("hello", 10, follow=True)
    assert (await anext(lines)).message == "line 0"
    for number in range(1, 200):
        book.append("hello", 1, written(number))
        book.append("other", 1, written(number))
        if number % 50 == 0:
            await book.flush()
    assert [(await anext(lines)).message for _ in range(199)] == [
        f"line {number}" for number in range(1, 200)
    ]
    await lines.aclose()  # type: ignore[attr-defined]


async def test_lines_that_come_while_the_tail_is_read_are_not_lost(book: LogBook) -> None:
    for number in range(50):
        book.append("hello", 1, written(number))
    lines = book.read("hello", 1000, follow=True)
    first = asyncio.ensure_future(anext(lines))  # noqa: TID251 - the interleaving is what is tested
    await asyncio.sleep(0)
    book.append("hello", 1, written(50))
    got = [(await first).message] + [(await anext(lines)).message for _ in range(50)]
    assert got == [f"line {number}" for number in range(51)]
    await lines.aclose()  # type: ignore[attr-defined]


async def test_a_slow_follower_is_told_how_much_it_lost(book: LogBook) -> None:
    lines = book.read("hello", 0, follow=True)
    first = asyncio.ensure_future(anext(lines))  # noqa: TID251 - it must wait when the first line comes
    await asyncio.sleep(0)
    book.append("hello", 1, written(0))
    assert (await first).message == "line 0"
    for number in range(1, FOLLOWER_LINES + 11):
        book.append("hello", 1, written(number))
    got = [(await anext(lines)).message for _ in range(FOLLOWER_LINES)]
    assert got == [f"line {number}" for number in range(1, FOLLOWER_LINES + 1)]
    assert (await anext(lines)).message == "[10 lines were left out: this reader was too slow]"
    book.append("hello", 1, written(7777))
    assert (await anext(lines)).message == "line 7777"
    await lines.aclose()  # type: ignore[attr-defined]


async def test_drop_forgets_all_and_ends_followers(book: LogBook, tmp_path: Path) -> None:
    book.append("hello", 1, written(1))
    await book.flush()
    book.append("hello", 1, written(2))
    lines = book.read("hello", 10, follow=True)
    assert [(await anext(lines)).message for _ in range(2)] == ["line 1", "line 2"]
    book.drop("hello")
    assert [line async for line in lines] == []
    assert await read(book) == []
    assert not (tmp_path / "logs" / "hello").exists()
    book.append("hello", 1, written(3))
    assert await read(book) == ["line 3"]


async def test_a_disk_that_refuses_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    book = LogBook(tmp_path / "logs")
    book.append("hello", 1, written(1))
    await book.flush()
    (tmp_path / "logs").unlink()
    book.append("hello", 1, written(2))
    assert await read(book) == ["line 2"]
    await book.close()
