"""How many instances: a table of needs, and what no need may lead to."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.scaling import NOT_LIVE_IDLE_S, IdleInstance, Need, decide, quiet_until

NOW = 1000.0


def idle(*ages_s: float) -> tuple[IdleInstance, ...]:
    return tuple(IdleInstance(f"i{number}", NOW - age_s) for number, age_s in enumerate(ages_s))


QUIET = Need(
    live=True,
    stopped=False,
    min=0,
    max=10,
    idle_s=60.0,
    concurrency=1,
    queued=0,
    ready=0,
    on_the_way=0,
    idle=(),
    retry_at=float("-inf"),
)


def need(**changes: object) -> Need:
    return msgspec.structs.replace(QUIET, **changes)


@pytest.mark.parametrize(
    ("given_need", "start"),
    [
        (need(), 0),
        (need(queued=1), 1),
        (need(queued=3), 3),
        (need(queued=3, on_the_way=3), 0),
        (need(queued=3, on_the_way=1), 2),
        (need(queued=2, ready=4), 2),
        (need(queued=100), 10),
        (need(queued=100, ready=8), 2),
        (need(queued=100, ready=8, on_the_way=2), 0),
        (need(queued=9, concurrency=8), 2),
        (need(queued=8, concurrency=8), 1),
        (need(queued=1, concurrency=8, on_the_way=1), 0),
        (need(queued=500, concurrency=0), 1),
        (need(queued=500, concurrency=0, on_the_way=1), 0),
        (need(queued=500, concurrency=0, ready=1), 0),
        (need(min=3), 3),
        (need(min=3, ready=2), 1),
        (need(min=3, ready=1, on_the_way=1), 1),
        (need(min=3, ready=1, on_the_way=2), 0),
        (need(min=3, live=False), 0),
        (need(queued=1, live=False), 1),
        (need(min=3, stopped=True), 0),
        (need(queued=5, stopped=True), 0),
        (need(min=20, max=5), 5),
        (need(queued=1, retry_at=NOW + 1), 0),
        (need(queued=1, retry_at=NOW), 1),
        (need(min=1, retry_at=NOW + 1), 0),
    ],
)
def test_what_is_started(given_need: Need, start: int) -> None:
    decision = decide(given_need, NOW)
    assert (decision.start, decision.stop) == (start, ())
    assert decision.reason


@pytest.mark.parametrize(
    ("given_need", "stop"),
    [
        (need(ready=1, idle=idle(59.9)), ()),
        (need(ready=1, idle=idle(60.0)), ("i0",)),
        (need(ready=3, idle=idle(70, 10, 80)), ("i2", "i0")),
        (need(ready=3, min=2, idle=idle(70, 90, 80)), ("i1",)),
        (need(ready=3, min=3, idle=idle(70, 90, 80)), ()),
        (need(ready=3, min=2, idle=idle(70)), ("i0",)),
        (need(ready=3, min=1, live=False, idle=idle(70, 90, 80)), ("i1", "i2", "i0")),
        (need(ready=1, live=False, idle=idle(NOT_LIVE_IDLE_S)), ("i0",)),
        (need(ready=1, live=False, idle=idle(NOT_LIVE_IDLE_S - 0.1)), ()),
        (need(ready=1, live=False, idle_s=1.0, idle=idle(1.0)), ("i0",)),
        (need(ready=2, stopped=True, min=2, idle=idle(0, 0)), ("i0", "i1")),
        (need(ready=2, max=1, idle=idle(1, 2)), ("i1",)),
        (need(ready=2, max=1, idle=idle(1)), ("i0",)),
        (need(ready=2, max=1), ()),
        (need(ready=3, max=1, idle=idle(70, 1, 2)), ("i0", "i2")),
    ],
)
def test_what_is_stopped(given_need: Need, stop: tuple[str, ...]) -> None:
    decision = decide(given_need, NOW)
    assert (decision.start, decision.stop) == (0, stop)


NEEDS = st.builds(
    Need,
    live=st.booleans(),
    stopped=st.booleans(),
    min=st.integers(0, 5),
    max=st.integers(1, 8),
    idle_s=st.floats(0.1, 100),
    concurrency=st.integers(0, 4),
    queued=st.integers(0, 30),
    ready=st.integers(0, 10),
    on_the_way=st.integers(0, 10),
    idle=st.lists(st.floats(0, 200), max_size=10).map(lambda ages: idle(*ages)),
    retry_at=st.sampled_from([float("-inf"), NOW + 5]),
).filter(lambda each: len(each.idle) <= each.ready)


@given(NEEDS)
def test_no_need_leads_beyond_the_bounds(each: Need) -> None:
    decision = decide(each, NOW)
    alive = each.ready + each.on_the_way
    assert decision.start >= 0
    assert len(set(decision.stop)) == len(decision.stop)
    assert set(decision.stop) <= {instance.id for instance in each.idle}
    assert not (decision.start and decision.stop)
    if decision.start:
        assert alive + decision.start <= each.max
        assert not each.stopped
    if each.live and not each.stopped:
        assert alive - len(decision.stop) >= min(alive, each.min)


@given(NEEDS.filter(lambda each: not (each.queued and each.idle)))  # who waits is given what is idle
def test_after_what_was_decided_nothing_more_is_to_do(each: Need) -> None:
    """No flapping: once done, the same need asks for nothing else."""
    decision = decide(each, NOW)
    after = msgspec.structs.replace(
        each,
        on_the_way=each.on_the_way + decision.start,
        ready=each.ready - len(decision.stop),
        idle=tuple(instance for instance in each.idle if instance.id not in decision.stop),
    )
    again = decide(after, NOW)
    assert (again.start, again.stop) == (0, ())


@given(NEEDS.filter(lambda each: each.queued > 0 and not each.stopped))
def test_whoever_waits_is_helped_or_at_the_maximum(each: Need) -> None:
    decision = decide(each, NOW)
    helped = decision.start or each.on_the_way or each.ready >= each.max or each.retry_at > NOW
    assert helped or (each.concurrency == 0 and each.ready)


# --- paused ones, and memory


@pytest.mark.parametrize(
    ("given_need", "resume", "start"),
    [
        (need(queued=1, paused=idle(5, 3)), ("i1",), 0),
        (need(queued=3, paused=idle(5, 3)), ("i1", "i0"), 1),
        (need(queued=1, on_the_way=1, paused=idle(5)), (), 0),
        (need(queued=9, max=2, paused=idle(5)), ("i0",), 1),
        (need(min=1, paused=idle(5)), ("i0",), 0),
        (need(queued=1, paused=idle(5), room=0), ("i0",), 0),
        (need(queued=3, room=2), (), 2),
        (need(queued=2, paused=idle(5), retry_at=NOW + 1), ("i0",), 0),
    ],
)
def test_what_is_paused_comes_before_what_must_be_started(
    given_need: Need, resume: tuple[str, ...], start: int
) -> None:
    decision = decide(given_need, NOW)
    assert (decision.resume, decision.start) == (resume, start)


@pytest.mark.parametrize(
    ("given_need", "pause"),
    [
        (need(ready=1, idle=idle(9.9), pause_after_s=10), ()),
        (need(ready=1, idle=idle(10), pause_after_s=10), ("i0",)),
        (need(ready=1, idle=idle(10)), ()),
        (need(ready=3, min=2, idle=idle(30, 20, 10), pause_after_s=10), ("i0",)),
        (need(ready=3, min=2, idle=idle(20), pause_after_s=10), ("i0",)),
        (need(ready=2, min=2, idle=idle(20, 20), pause_after_s=10), ()),
        (need(ready=2, idle=idle(70, 20), pause_after_s=10), ("i1",)),
        (need(ready=1, idle=idle(20), pause_after_s=10, queued=1), ()),
    ],
)
def test_what_is_paused(given_need: Need, pause: tuple[str, ...]) -> None:
    assert decide(given_need, NOW).pause == pause


def test_without_memory_the_need_is_short_and_the_version_saturated() -> None:
    decision = decide(need(queued=1, room=0), NOW)
    assert (decision.short, decision.saturated) == (True, True)
    assert "memory for 0 of 1" in decision.reason
    assert not decide(need(queued=1, room=0, on_the_way=1), NOW).short


@pytest.mark.parametrize(
    ("given_need", "resume", "start"),
    [
        (need(queued=9, ready=4), (), 0),
        (need(queued=9, ready=4, paused=idle(5)), (), 0),
        (need(queued=9, ready=4, min=6), (), 2),
        (need(queued=9, ready=4, min=6, paused=idle(5)), ("i0",), 1),
    ],
)
def test_while_its_instances_have_all_processors_only_a_minimum_is_kept(
    given_need: Need, resume: tuple[str, ...], start: int
) -> None:
    decision = decide(msgspec.structs.replace(given_need, processors_busy=True), NOW)
    assert (decision.resume, decision.start) == (resume, start)


def test_calls_that_wait_for_processors_are_more_than_can_be_answered() -> None:
    decision = decide(need(queued=9, ready=4, processors_busy=True), NOW)
    assert decision.saturated
    assert decision.reason == "9 calls wait; all processors are busy, and the function has its share of them"
    assert not decide(need(queued=9, ready=4, on_the_way=1, processors_busy=True), NOW).saturated


def test_who_may_not_start_yet_lacks_no_memory() -> None:
    """Nobody is to make room for one whose instances fail."""
    assert not decide(need(queued=1, room=0, retry_at=NOW + 1), NOW).short


def test_one_that_could_not_be_paused_is_asked_for_again_later() -> None:
    waiting = (IdleInstance("a", NOW - 50, NOW + 1), IdleInstance("b", NOW - 40, NOW))
    assert decide(need(ready=2, idle=waiting, pause_after_s=30.0), NOW).pause == ("b",)


counts = st.integers(0, 6)
ages = st.lists(st.floats(0, 100), max_size=4)


@given(counts, counts, st.integers(1, 6), counts, counts, ages, ages, st.integers(0, 4), st.booleans())
def test_whatever_is_needed(  # noqa: PLR0917 - hypothesis fills them in
    queued: int,
    minimum: int,
    maximum: int,
    busy: int,
    on_the_way: int,
    idle_ages: list[float],
    paused_ages: list[float],
    room: int,
    live: bool,
) -> None:
    waiting = idle(*idle_ages)
    paused = tuple(IdleInstance(f"p{n}", NOW - age) for n, age in enumerate(paused_ages))
    given_need = need(
        queued=queued,
        min=minimum,
        max=maximum,
        ready=busy + len(waiting),
        on_the_way=on_the_way,
        idle=waiting,
        paused=paused,
        pause_after_s=30.0,
        room=room,
        live=live,
    )
    decision = decide(given_need, NOW)
    serving = given_need.ready + on_the_way
    names = {each.id for each in (*waiting, *paused)}
    assert set(decision.stop) <= names
    assert set(decision.pause) <= {each.id for each in waiting} - set(decision.stop)
    assert set(decision.resume) <= {each.id for each in paused}
    assert 0 <= decision.start <= room
    assert serving + len(decision.resume) + decision.start <= max(maximum, serving)
    if decision.start or decision.resume:
        assert not (decision.stop or decision.pause)


@given(
    counts,
    st.integers(1, 6),
    counts,
    st.lists(st.tuples(st.floats(0, 100), st.floats(-10, 100)), max_size=4),
    ages,
    st.sampled_from([None, 30.0]),
    st.booleans(),
    st.floats(0, 0.999),
)
def test_what_is_quiet_stays_quiet_as_long_as_it_is_said(
    queued: int,
    maximum: int,
    busy: int,
    idle_ages: list[tuple[float, float]],
    paused_ages: list[float],
    pause_after_s: float | None,
    live: bool,
    part: float,
) -> None:
    waiting = tuple(IdleInstance(f"i{n}", NOW - age, NOW + later) for n, (age, later) in enumerate(idle_ages))
    given_need = need(
        queued=queued,
        max=maximum,
        ready=busy + len(waiting),
        idle=waiting,
        paused=tuple(IdleInstance(f"p{n}", NOW - age) for n, age in enumerate(paused_ages)),
        pause_after_s=pause_after_s,
        live=live,
    )
    until = quiet_until(given_need)
    if decide(given_need, NOW).does_nothing and until > NOW:
        later = NOW + part * (min(until, NOW + 1000) - NOW)
        assert decide(given_need, later).does_nothing


@pytest.mark.parametrize(
    ("given_need", "until"),
    [
        (need(ready=1), float("inf")),
        (need(ready=1, idle=idle(10)), NOW + 50),
        (need(ready=1, idle=idle(10), pause_after_s=30.0), NOW + 20),
        (need(ready=1, idle=(IdleInstance("a", NOW - 40, NOW + 8),), pause_after_s=30.0), NOW + 8),
        (need(paused=idle(40)), NOW + 20),
        (need(ready=1, idle=idle(1), live=False), NOW + NOT_LIVE_IDLE_S - 1),
        (need(queued=1, ready=1), float("-inf")),
        (need(on_the_way=1), float("-inf")),
        (need(min=1, ready=1), float("-inf")),
    ],
)
def test_how_long_nothing_changes_by_itself(given_need: Need, until: float) -> None:
    assert quiet_until(given_need) == until
