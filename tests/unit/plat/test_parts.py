"""A table cut into parts, and what was not in them."""

import pytest

from plat.parts import PART_BYTES, SLICE, Heard, in_parts, unheard


def test_a_part_ends_when_it_is_heavy_enough() -> None:
    weights = [PART_BYTES // 2, PART_BYTES // 2, 1, PART_BYTES * 3, 1]
    assert list(in_parts(weights, lambda each: each)) == [weights[:2], weights[2:4], weights[4:]]


def test_nothing_has_no_parts() -> None:
    assert list(in_parts([], lambda each: 1)) == []


def test_what_comes_after_a_part_is_not_looked_at() -> None:
    """It may change until its own part is made."""
    taken: list[int] = []

    def take(number: int) -> int:
        taken.append(number)
        return number

    parts = in_parts(map(take, range(10)), lambda each: PART_BYTES // 2)
    for count in (2, 4, 6):
        next(parts)
        assert taken == list(range(count))


def name(number: int) -> str:
    return f"function-{number}"


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, 3 * SLICE])
def test_what_was_not_heard_of_is_found_a_slice_at_a_time(count: int) -> None:
    known = {name(number): number for number in range(count)}
    heard = Heard()
    for number in range(0, count, 3):
        heard.add(name(number))
    looks = 0
    missing = []
    for names in unheard(known, heard):
        looks += 1
        missing += names
    assert missing == [name(number) for number in range(count) if number % 3]
    assert looks == -(-count // SLICE)


def test_names_that_were_heard() -> None:
    heard = Heard()
    for number in range(1000):
        heard.add(name(number))
    assert all(name(number) in heard for number in range(1000))
    assert name(1000) not in heard
