"""When all processors are busy, and whose they are."""

import pytest

from pool.processors import FORGET_S, Processors

F, G = "f-1", "g-1"
NOW = 1000.1


def two(*, busy: float = 2.0) -> Processors:
    """Two processors, of which so many were busy in the last tenth of a second."""
    processors = Processors(2)
    processors.machine(100.0, 1000.0)
    processors.machine(100.0 + busy * 0.1, 1000.1)
    return processors


def use(processors: Processors, version: str, each: float, ready: int = 6, asked: int = 2) -> None:
    """Its instances use so much of a processor each."""
    names = [f"{version}.{number}" for number in range(asked)]
    processors.version(version, dict.fromkeys(names, 5.0), ready, 1000.0)
    processors.version(version, dict.fromkeys(names, 5.0 + each * 0.1), ready, 1000.1)


@pytest.mark.parametrize(("busy", "are_busy"), [(2.0, True), (1.81, True), (1.79, False), (0.0, False)])
def test_they_are_busy_when_nearly_all_their_time_is_used(busy: float, are_busy: bool) -> None:
    assert two(busy=busy).are_busy is are_busy


def test_one_look_tells_nothing() -> None:
    processors = Processors(2)
    processors.machine(1e9, 1000.0)
    assert not processors.are_busy


def test_who_computes_alone_has_its_share() -> None:
    processors = two()
    use(processors, F, each=0.3)
    assert processors.are_shared_out(F, NOW)


def test_nobody_s_while_some_are_free() -> None:
    processors = two(busy=1.5)
    use(processors, F, each=0.3)
    assert not processors.are_shared_out(F, NOW)


def test_who_waits_is_not_held_back_by_who_computes() -> None:
    processors = two()
    use(processors, F, each=0.3)
    use(processors, G, each=0.02)
    assert (processors.are_shared_out(F, NOW), processors.are_shared_out(G, NOW)) == (True, False)


def test_two_that_compute_have_half_each() -> None:
    processors = two()
    use(processors, F, each=0.16)
    use(processors, G, each=0.14)
    assert (processors.are_shared_out(F, NOW), processors.are_shared_out(G, NOW)) == (True, True)


def test_a_function_that_was_not_looked_at_is_not_held_back() -> None:
    processors = two()
    processors.version(F, {"a": 5.0}, 6, 1000.0)
    assert not processors.are_shared_out(F, NOW)
    assert not processors.are_shared_out(G, NOW)


def test_instances_that_are_new_tell_nothing_yet() -> None:
    processors = two()
    processors.version(F, {"a": 5.0}, 6, 1000.0)
    processors.version(F, {"b": 9.0}, 6, 1000.1)
    assert not processors.are_shared_out(F, NOW)


def test_what_was_seen_is_forgotten() -> None:
    processors = two()
    use(processors, F, each=0.3)
    assert processors.are_shared_out(F, NOW + FORGET_S)
    assert not processors.are_shared_out(F, NOW + FORGET_S + 0.1), "also if nobody looks any more"
    processors.keep([F], NOW + FORGET_S)
    assert processors.are_shared_out(F, NOW)
    processors.keep([F], NOW + FORGET_S + 0.1)
    assert not processors.are_shared_out(F, NOW)


def test_who_wants_no_more_takes_no_part() -> None:
    processors = two()
    use(processors, F, each=0.14)
    use(processors, G, each=0.14)
    assert processors.are_shared_out(F, NOW)
    processors.keep([F], 1000.1)
    assert not processors.are_shared_out(F, NOW), "0.84 of two is less than half of all"
