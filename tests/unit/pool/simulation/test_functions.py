"""A function in the simulator: what the scaling is told of it, and when to look at it again."""

from math import inf

from pool.simulation.functions import SimulatedFunction, SimulatedInstance
from pool.simulation.policy import Policy
from pool.simulation.trace import Profile


def function(**policy: object) -> SimulatedFunction:
    return SimulatedFunction(Profile("f"), Policy(**policy))  # type: ignore[arg-type]


def with_idle(made: SimulatedFunction, *since: float) -> SimulatedFunction:
    for number, each in enumerate(since):
        instance = SimulatedInstance(f"i{number}", made, each, "cold")
        made.idle[instance] = made.free[instance] = None
        made.ready += 1
    return made


def test_the_trace_s_word_goes_before_the_policy_s() -> None:
    policy = Policy(function_memory_mb=100, cold_s=1)
    assert SimulatedFunction(Profile("f"), policy).memory_mb == 100
    said = SimulatedFunction(Profile("f", memory_mb=7, cold_s=0.0), policy)
    assert (said.memory_mb, said.cold_s) == (7, 0.0)


def test_the_need_has_all_states() -> None:
    made = with_idle(function(min=1, pause_after_s=5), 1.0, 2.0)
    made.on_the_way = 3
    made.queue.append((9.0, 1.0))
    need = made.need(10.0, room=4)
    assert (need.ready, need.on_the_way, need.queued, need.room, need.min) == (2, 3, 1, 4, 1)
    assert [(each.id, each.since) for each in need.idle] == [("i0", 1.0), ("i1", 2.0)]
    assert made.alive == 5


def test_an_expected_call_is_a_minimum_of_one() -> None:
    made = function()
    made.expected_until = 10.0
    assert (made.need(9.0, 1).min, made.need(10.0, 1).min) == (1, 0)


def test_it_is_looked_at_when_something_is_due() -> None:
    made = with_idle(function(idle_s=60, pause_after_s=10), 100.0, 105.0)
    assert made.next_look(101.0) == 110.0
    assert made.next_look(112.0) == 115.0
    assert made.next_look(120.0) == 160.0
    assert made.next_look(170.0) == inf
    assert function().next_look(0.0) == inf
