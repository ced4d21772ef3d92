"""The engine's log entries become lines."""

from datetime import UTC, datetime

import pytest

from pool.drivers.base import Running
from pool.drivers.docker_logs import Assembler, Piece, parse_piece
from pool.drivers.lines import LINE_LIMIT_BYTES

NS = 10**9
TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
TIME_NS = 1767323045 * NS + 678901234


@pytest.fixture
def assembler() -> Assembler:
    return Assembler(Running("i1", "v1", "hello", 7, "unix:/x", TIME))


def test_an_entry() -> None:
    piece = parse_piece(1, b"2026-01-02T03:04:05.678901234Z hello you\n")
    assert piece == Piece("stdout", TIME_NS, b"hello you\n")
    assert parse_piece(2, b"2026-01-02T03:04:05.000000000Z \n") == Piece("stderr", 1767323045 * NS, b"\n")


@pytest.mark.parametrize(
    ("number", "payload"),
    [(1, b""), (1, b"hello\n"), (3, b"2026-01-02T03:04:05.678901234Z x\n"), (1, b"2026-01-02T03:04:05Z x\n")],
)
def test_what_is_no_entry(number: int, payload: bytes) -> None:
    assert parse_piece(number, payload) is None


def test_a_line_knows_whose_it_is_and_when_it_was(assembler: Assembler) -> None:
    written = assembler.add(Piece("stderr", TIME_NS, b"hi\r\n"))
    assert written is not None
    assert (written.instance, written.function, written.number) == ("i1", "hello", 7)
    assert (written.stream, written.time, written.message) == ("stderr", TIME, "hi")


def test_lines_are_of_what_it_has_become(assembler: Assembler) -> None:
    assembler.become(Running("i1", "v2", "other", 3, "unix:/x", TIME))
    written = assembler.add(Piece("stdout", TIME_NS, b"hi\n"))
    assert written is not None
    assert (written.instance, written.function, written.number) == ("i1", "other", 3)


def test_pieces_of_one_line_are_joined_per_stream(assembler: Assembler) -> None:
    assert assembler.add(Piece("stdout", 1, b"a" * 16384)) is None
    other = assembler.add(Piece("stderr", 2, b"between\n"))
    assert other is not None
    assert other.message == "between"
    whole = assembler.add(Piece("stdout", 3, b"b\n"))
    assert whole is not None
    assert whole.message == "a" * 16384 + "b"
    assert assembler.rest(4) == []


def test_a_line_without_end_comes_in_pieces(assembler: Assembler) -> None:
    piece = Piece("stdout", 1, b"a" * 16384)
    written = [line for _ in range(10) if (line := assembler.add(piece)) is not None]
    assert [len(line.message) for line in written] == [LINE_LIMIT_BYTES, LINE_LIMIT_BYTES]
    assert [len(line.message) for line in assembler.rest(5)] == [2 * 16384]
    assert assembler.rest(6) == []
