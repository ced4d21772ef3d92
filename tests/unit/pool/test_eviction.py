"""Who goes when memory is short: as few as are enough, the least worth first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.eviction import EVICTORS, KNOWN_FUNCTIONS, RECENT_S, Candidate, Evictor, GreedyDual

NOW = 1000.0
OLD = NOW - 100 * RECENT_S


def candidate(
    instance: str, function: str = "f", *, memory_mb: int = 128, last_used: float = OLD, paused: bool = False
) -> Candidate:
    return Candidate(instance, function, memory_mb, last_used, paused)


def greedy(uses: dict[str, int], costs: dict[str, float] | None = None) -> GreedyDual:
    evictor = GreedyDual()
    for function, count in uses.items():
        for _ in range(count):
            evictor.used(function, NOW)
    for function, seconds in (costs or {}).items():
        evictor.started(function, seconds)
    return evictor


@pytest.fixture(params=sorted(EVICTORS))
def evictor(request: pytest.FixtureRequest) -> Evictor:
    return EVICTORS[request.param]()


candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        st.sampled_from("abc"),
        st.integers(1, 512),
        st.floats(0, NOW),
        st.booleans(),
    ),
    max_size=12,
    unique_by=lambda each: each.instance,
)


@given(idle=candidates, needed_mb=st.integers(1, 4096), name=st.sampled_from(sorted(EVICTORS)))
def test_it_frees_enough_or_nothing_and_nobody_could_stay(
    idle: list[Candidate], needed_mb: int, name: str
) -> None:
    evictor = EVICTORS[name]()  # type: ignore[index]
    evictor.used("a", NOW)
    chosen = evictor.choose(idle, needed_mb)
    memory = {each.instance: each.memory_mb for each in idle}
    freed = sum(memory[each] for each in chosen)
    assert len(set(chosen)) == len(chosen)
    if sum(memory.values()) < needed_mb:
        assert chosen == []
    else:
        assert freed >= needed_mb
        assert all(freed - memory[each] < needed_mb for each in chosen)


def test_the_longest_idle_goes_first(evictor: Evictor) -> None:
    evictor.used("f", NOW)
    idle = [candidate("new", last_used=OLD + 1), candidate("old", last_used=OLD)]
    assert evictor.choose(idle, 128) == ["old"]


def test_of_two_alike_the_paused_one_goes(evictor: Evictor) -> None:
    assert evictor.choose([candidate("ready"), candidate("paused", paused=True)], 1) == ["paused"]


def test_small_ones_that_do_not_help_stay(evictor: Evictor) -> None:
    idle = [
        candidate("a", memory_mb=64, last_used=OLD),
        candidate("b", memory_mb=64, last_used=OLD + 1),
        candidate("c", memory_mb=512, last_used=OLD + 2),
    ]
    assert evictor.choose(idle, 512) == ["c"]


def test_what_is_called_often_stays() -> None:
    evictor = greedy({"often": 10, "seldom": 1})
    idle = [candidate("o", "often", last_used=OLD), candidate("s", "seldom", last_used=OLD + 1)]
    assert evictor.choose(idle, 128) == ["s"]


def test_what_starts_slowly_stays() -> None:
    evictor = greedy({"slow": 1, "fast": 1}, {"slow": 5.0, "fast": 0.05})
    idle = [candidate("s", "slow", last_used=OLD), candidate("f", "fast", last_used=OLD + 1)]
    assert evictor.choose(idle, 128) == ["f"]


def test_what_is_small_stays() -> None:
    evictor = greedy({"small": 1, "large": 1})
    idle = [
        candidate("s", "small", memory_mb=32, last_used=OLD),
        candidate("l", "large", memory_mb=1024, last_used=OLD + 1),
    ]
    assert evictor.choose(idle, 32) == ["l"]


def test_what_was_used_just_now_goes_last_whatever_it_is_worth() -> None:
    evictor = greedy({"valued": 100})
    idle = [candidate("v", "valued"), candidate("n", "new", last_used=NOW - RECENT_S / 2)]
    assert evictor.choose(idle, 128) == ["v"]


def test_uses_of_long_ago_fade() -> None:
    evictor = greedy({"before": 100})
    for second in range(3):
        evictor.used("today", NOW + 86_400 + second)
    idle = [candidate("b", "before"), candidate("t", "today")]
    assert evictor.choose(idle, 128) == ["b"]


def test_the_clock_overtakes_what_is_not_used_any_more() -> None:
    """Used a lot once; then others come and go, each worth less than it: in the end it goes."""
    evictor = greedy({"once": 5})
    for turn in range(50):
        now = NOW + turn * 10
        evictor.used(f"other{turn}", now)
        idle = [candidate("once", "once"), candidate("other", f"other{turn}", last_used=now - 2 * RECENT_S)]
        if evictor.choose(idle, 128) == ["once"]:
            return
    pytest.fail("it never went")


def test_it_remembers_so_many_functions_and_no_more() -> None:
    evictor = GreedyDual()
    for number in range(KNOWN_FUNCTIONS + 100):
        evictor.used(f"f{number}", NOW)
    assert len(evictor._functions) == KNOWN_FUNCTIONS
    assert "f0" not in evictor._functions
