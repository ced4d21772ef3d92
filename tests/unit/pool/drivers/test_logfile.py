"""Reading a growing file: on from the mark, emptied when large, told when too much came."""

from pathlib import Path

import pytest

from pool.drivers import logfile
from pool.drivers.logfile import LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stdout.log"


def write(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_only_whole_lines_until_the_end(path: Path) -> None:
    log = LogFile(path)
    assert log.read() is None
    write(path, b"one\ntw")
    assert log.read() == ["one"]
    assert log.read() is None
    write(path, b"o\nthree")
    assert log.read() == ["two"]
    assert log.read(final=True) == ["three"]
    assert log.read(final=True) is None
    log.close()


def test_another_reader_goes_on_where_the_first_stopped(path: Path) -> None:
    first = LogFile(path)
    write(path, b"one\ntwo\npart")
    assert first.read() == ["one", "two"]
    first.close()
    write(path, b"ly\n")
    second = LogFile(path)
    assert second.read() == ["partly"]
    second.close()


def test_a_large_file_is_emptied_when_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "KEPT_BYTES", 100)
    log = LogFile(path)
    for number in range(50):
        write(path, b"%06d\n" % number)
        assert log.read() == [f"{number:06}"]
    assert path.stat().st_size <= 107
    log.close()


def test_too_much_at_once_is_told_and_dropped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "READ_BYTES", 10)
    monkeypatch.setattr(logfile, "BEHIND_BYTES", 100)
    log = LogFile(path)
    write(path, b"12345\n" * 50)
    assert log.read() == [
        "12345",
        "[294 bytes of output were lost: they came faster than they could be kept]",
    ]
    assert path.stat().st_size == 0
    write(path, b"next\n")
    assert log.read() == ["next"]
    log.close()


def test_the_last_reading_takes_all_however_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "READ_BYTES", 10)
    monkeypatch.setattr(logfile, "BEHIND_BYTES", 20)
    log = LogFile(path)
    write(path, b"12345\n" * 50 + b"end")
    got: list[str] = []
    while (messages := log.read(final=True)) is not None:
        got += messages
    assert got == ["12345"] * 50 + ["end"]
    log.close()


def test_a_file_that_somebody_emptied_is_read_from_its_start(path: Path) -> None:
    log = LogFile(path)
    write(path, b"a long line of the first life\n")
    assert log.read() == ["a long line of the first life"]
    path.write_bytes(b"new\n")
    assert log.read() == ["new"]
    log.close()
