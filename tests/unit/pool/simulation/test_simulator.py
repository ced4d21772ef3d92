"""Known loads with known ends, and what holds whatever the load is."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plat.errors import PlatError
from pool.simulation.policy import Policy
from pool.simulation.simulator import simulate
from pool.simulation.tally import Report
from pool.simulation.trace import Call, Profile, Trace
from pool.simulation.traces import read

EXAMPLE = Path(__file__).parents[4] / "examples" / "traces" / "azure-like.csv"


def trace(*calls: tuple[float, float], functions: int = 1, memory_mb: int | None = None) -> Trace:
    """Calls as arrival and duration, dealt to the functions in turn."""
    profiles = [Profile(f"f{number}", memory_mb) for number in range(functions)]
    return Trace(profiles, [Call(at, place % functions, took) for place, (at, took) in enumerate(calls)])


def run(calls: Trace, **policy: Any) -> Report:
    return simulate(calls, Policy(**{"cold_s": 0.25, **policy}))


def served(report: Report) -> dict[str, int]:
    return {kind: count for kind, count in report.served.items() if count}


def test_one_call_is_a_cold_start() -> None:
    report = run(trace((0, 1)))
    assert served(report) == {"cold": 1}
    assert report.wait_ms.max == 250
    assert (report.instance_seconds, report.busy_seconds, report.span_s) == (1.25, 1, 1.25)
    assert report.memory_mb_seconds == 1.25 * 128


def test_the_instance_stays_for_the_next_call_until_idle_s_is_over() -> None:
    assert served(run(trace((0, 1), (25, 1)), idle_s=30)) == {"cold": 1, "hot": 1}
    assert served(run(trace((0, 1), (35, 1)), idle_s=30)) == {"cold": 2}


def test_a_paused_instance_is_resumed() -> None:
    report = run(trace((0, 1), (30, 1)), pause_after_s=10, resume_s=0.01)
    assert served(report) == {"cold": 1, "paused": 1}
    assert (report.resumes, report.cold_starts) == (1, 1)
    assert report.wait_ms.p50 == pytest.approx(10)
    assert 18 < report.paused_seconds < 20


def test_calls_beside_each_other_need_instances_of_their_own() -> None:
    beside = trace(*[(0, 1)] * 3)
    assert run(beside).instances_at_most == 3
    assert run(beside, concurrency=3).instances_at_most == 1
    assert run(beside, concurrency=0).instances_at_most == 1


def test_at_the_maximum_calls_wait_for_each_other() -> None:
    report = run(trace(*[(0, 1)] * 3), max=1)
    assert served(report) == {"cold": 1, "queued": 2}
    assert report.wait_ms.max == 2250


def test_a_warm_instance_is_loaded() -> None:
    report = run(trace((0, 1), (100, 1)), warm=1, warm_s=0.005)
    assert report.served["warm"] >= 1
    assert report.warm_starts == report.served["warm"]


def test_the_minimum_is_there_from_the_beginning() -> None:
    late = Trace([Profile("a"), Profile("b")], [Call(0, 0, 0.1), Call(5, 1, 0.1)])
    report = run(late, min=1)
    assert served(report) == {"cold": 1, "hot": 1}


def test_who_needs_memory_drives_out_who_is_idle() -> None:
    calls = trace((0, 1), (10, 1), (20, 1), functions=2, memory_mb=600)
    report = run(calls, memory_mb=1000)
    assert (report.evictions, served(report)) == (2, {"cold": 3})


def test_nobody_is_driven_out_in_a_call() -> None:
    report = run(trace((0, 10), (1, 1), functions=2, memory_mb=600), memory_mb=1000)
    assert report.wait_ms.max == pytest.approx((10.25 - 1 + 0.25) * 1000)


def test_few_are_started_at_once() -> None:
    report = run(trace(*[(0, 10)] * 4), starts_at_once=2)
    assert report.wait_ms.max == 500


@pytest.mark.parametrize("policy", [{"memory_mb": 100}, {"memory_mb": 300, "min": 3}])
def test_what_cannot_fit_is_refused(policy: dict[str, int]) -> None:
    with pytest.raises(PlatError, match="memory_mb"):
        run(trace((0, 1)), **policy)


def test_a_regular_function_is_ready_when_it_is_called() -> None:
    hourly = trace(*[(number * 600, 0.1) for number in range(40)])
    fixed, learned = run(hourly), run(hourly, keep="learned")
    assert fixed.served["cold"] == 40
    assert learned.served["cold"] < 15
    assert learned.made_ahead > 20


def test_what_is_made_ready_ahead_drives_nobody_out() -> None:
    alone = Trace(
        [Profile("regular", 600), Profile("steady", 600)],
        [Call(number * 600.0, 0, 0.1) for number in range(20)]
        + [Call(number * 600.0 + 30, 1, 590) for number in range(20)],
    )
    assert run(alone, keep="learned", memory_mb=1000).calls == 40


def test_calls_go_before_what_is_made_ready_ahead() -> None:
    """`regular` finds no memory when it is expected; that holds up nobody who has a call."""
    calls = [Call(number * 600.0, 0, 0.1) for number in range(20)]
    calls += [Call(19 * 600 + 400, 1, 0.1), Call(19 * 600 + 595, 2, 0.1), Call(19 * 600 + 650, 0, 0.1)]
    profiles = [Profile("regular", 600), Profile("idle", 600), Profile("waiting", 600)]
    report = run(Trace(profiles, calls), keep="learned", memory_mb=1000, idle_s=600)
    assert report.wait_ms.max == 250


def test_warm_instances_do_not_take_the_memory_that_calls_wait_for() -> None:
    """What was freed for the large one was taken by the next warm instance, again and again."""
    profiles = [Profile("small", 50), Profile("middle", 100), Profile("large", 300)]
    calls = [Call(at, number, 1.0) for at in (0, 0.1, 2, 2.1, 30) for number in range(3)]
    assert run(Trace(profiles, calls), warm=2, memory_mb=301, max=2, starts_at_once=2).calls == 15


def test_the_example_is_run_by_every_policy() -> None:
    example = read([EXAMPLE])
    for keep in ("fixed", "learned"):
        for evict in ("lru", "greedy-dual"):
            assert run(example, keep=keep, evict=evict, memory_mb=2048).calls == len(example)


def test_learning_beats_the_fixed_time_on_the_example() -> None:
    """Fewer cold starts for no more memory: why it is the default (docs/decisions/0009)."""
    example = read([EXAMPLE])
    fixed, learned = run(example), run(example, keep="learned")
    assert learned.served["cold"] < fixed.served["cold"]
    assert learned.memory_mb_seconds <= fixed.memory_mb_seconds


def test_the_timeline_is_even_and_ends_with_the_last_call() -> None:
    report = simulate(trace((0, 1), (9, 1)), Policy(), step_s=0.5)
    times = [moment.at_s for moment in report.timeline]
    assert times[:3] == [0.0, 0.5, 1.0]
    assert times[-1] == report.span_s
    assert report.timeline[1].busy == 1


policies = st.fixed_dictionaries(
    {
        "concurrency": st.sampled_from([0, 1, 2]),
        "min": st.integers(0, 1),
        "max": st.integers(1, 3),
        "idle_s": st.sampled_from([0.5, 5, 60]),
        "pause_after_s": st.sampled_from([None, 0.3, 4]),
        "memory_mb": st.integers(300, 1000),
        "function_memory_mb": st.just(100),
        "warm": st.integers(0, 2),
        "starts_at_once": st.integers(1, 3),
        "keep": st.sampled_from(["fixed", "learned"]),
        "evict": st.sampled_from(["lru", "greedy-dual"]),
    }
)
loads = st.lists(st.tuples(st.floats(0, 200), st.integers(0, 2), st.floats(0, 20)), min_size=1, max_size=40)
sizes = st.lists(st.sampled_from([50, 100, 300]), min_size=3, max_size=3)


@settings(deadline=None, max_examples=150)
@given(load=loads, memory=sizes, policy=policies)
def test_every_call_is_served_once_within_the_bounds(
    load: list[tuple[float, int, float]], memory: list[int], policy: dict[str, Any]
) -> None:
    if policy["min"] and sum(memory) > policy["memory_mb"]:
        policy = policy | {"min": 0}
    calls = Trace(
        [Profile(f"f{number}", mb) for number, mb in enumerate(memory)],
        [Call(at, number, took) for at, number, took in load],
    )
    report = simulate(calls, Policy(**policy), step_s=0.5)
    assert sum(report.served.values()) == report.calls == len(load)
    assert 0 <= report.wait_ms.p50 <= report.wait_ms.p99 <= report.wait_ms.max
    assert report.busy_seconds == pytest.approx(sum(took for _, _, took in load))
    assert report.instances_at_most <= 3 * policy["max"]
    assert 0 <= report.paused_seconds <= report.instance_seconds + 1e-6
    assert report.memory_mb_seconds <= policy["memory_mb"] * report.span_s + 1e-6
    for moment in report.timeline:
        assert moment.memory_mb <= policy["memory_mb"]
        assert min(moment.starting, moment.busy, moment.idle, moment.paused, moment.queued) >= 0
    last = report.timeline[-1]
    assert (last.busy, last.queued) == (0, 0)


@given(load=loads, policy=policies)
@settings(deadline=None, max_examples=50)
def test_the_same_load_has_the_same_end(load: list[tuple[float, int, float]], policy: dict[str, Any]) -> None:
    def once() -> Report:
        calls = Trace(
            [Profile(name, 100) for name in "abc"], [Call(at, number, took) for at, number, took in load]
        )
        return simulate(calls, Policy(**policy))

    assert once() == once()
