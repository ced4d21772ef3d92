"""The files of the log book: bounded, torn lines left out, last times remembered."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plat.model import LogLine
from pool import logfiles
from pool.logfiles import LogFiles

START = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, function: str = "hello", instance: str = "i") -> LogLine:
    time = START + timedelta(seconds=number)
    return LogLine(
        time=time, function=function, version=1, instance=instance, stream="stdout", message=str(number)
    )


def messages(files: LogFiles, count: int = 10_000) -> list[str]:
    return [each.message for each in files.tail("hello", count)]


def test_two_files_of_bounded_size_keep_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "FILE_LIMIT_BYTES", 2_000)
    files = LogFiles(tmp_path)
    for number in range(200):
        files.write([line(number)])
    kept = messages(files)
    assert kept == [str(number) for number in range(200 - len(kept), 200)]
    assert 10 < len(kept) < 60
    assert sum(path.stat().st_size for path in (tmp_path / "hello").iterdir()) < 5_000
    assert messages(files, 12) == kept[-12:]  # from both files


def test_a_torn_line_is_left_out_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    files.write([line(1), line(2)])
    current = tmp_path / "hello" / "current"
    current.write_bytes(current.read_bytes()[:-10])
    LogFiles(tmp_path).write([line(3)])
    assert messages(files) == ["1", "3"]


def test_last_times_are_remembered_for_the_newest_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "INSTANCES_REMEMBERED", 3)
    LogFiles(tmp_path).write([line(number, instance=f"i{number}") for number in range(5)])
    LogFiles(tmp_path).write([line(9, instance="i2"), line(1, "other", "j")])
    assert LogFiles(tmp_path).last_written() == {
        "i2": START + timedelta(seconds=9),
        "i3": START + timedelta(seconds=3),
        "i4": START + timedelta(seconds=4),
        "j": START + timedelta(seconds=1),
    }


def test_a_damaged_list_of_last_times_is_as_good_as_none(tmp_path: Path) -> None:
    LogFiles(tmp_path).write([line(1)])
    (tmp_path / "hello" / "last").write_bytes(b"{")
    assert LogFiles(tmp_path).last_written() == {}
    LogFiles(tmp_path).write([line(2)])
    assert LogFiles(tmp_path).last_written() == {"i": START + timedelta(seconds=2)}


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    LogFiles(tmp_path).remove("hello")
    assert messages(LogFiles(tmp_path)) == []
