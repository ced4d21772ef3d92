"""The machine's memory in the simulator."""

from pool.simulation.functions import SimulatedFunction, SimulatedInstance
from pool.simulation.machine import SimulatedMachine
from pool.simulation.policy import Policy
from pool.simulation.trace import Profile


def machine(policy: Policy, *memory_mb: int) -> tuple[SimulatedMachine, list[SimulatedFunction]]:
    functions = [SimulatedFunction(Profile(f"f{mb}", memory_mb=mb), policy) for mb in memory_mb]
    return SimulatedMachine(functions, policy), functions


def idle(of: SimulatedMachine, function: SimulatedFunction, name: str, since: float) -> None:
    instance = SimulatedInstance(name, function, since, "cold")
    instance.since = since
    function.ready += 1
    of.take(function.memory_mb, since)
    of.may_go(instance, paused=False)


def test_memory_is_counted_over_time() -> None:
    small, _ = machine(Policy(memory_mb=1024), 100)
    small.take(100, 0.0)
    small.take(300, 10.0)
    small.take(-400, 20.0)
    assert small.mb_seconds(50.0) == 100 * 10 + 400 * 10
    assert small.used_mb == 0


def test_room_counts_what_may_be_driven_out_for_a_call_that_waits() -> None:
    full, (large, small) = machine(Policy(memory_mb=1024), 512, 256)
    for number in range(4):
        idle(full, small, f"i{number}", number)
    assert full.room(large) == 0
    large.queue.append((0.0, 1.0))
    assert full.room(large) == 2
    assert full.victims(512, 10.0) == ["i0", "i1"]


def test_memory_that_cannot_be_had() -> None:
    full, _ = machine(Policy(memory_mb=1024), 512)
    full.take(800, 0.0)
    assert full.victims(512, 0.0) is None
    assert full.victims(200, 0.0) == []


def test_the_minimum_is_not_driven_out() -> None:
    full, (function,) = machine(Policy(memory_mb=1024, min=1), 512)
    idle(full, function, "a", 0.0)
    idle(full, function, "b", 1.0)
    function.queue.append((0.0, 1.0))
    assert full.room(function) == 1
    assert full.victims(1024, 10.0) is None


def test_warm_instances_go_before_others() -> None:
    full, (function,) = machine(Policy(memory_mb=1024, warm=1), 512)
    (kind,) = full.keep_warm(0.0)
    full.stock.made(kind)
    idle(full, function, "a", 0.0)
    assert full.victims(512, 10.0) == []
    assert (full.used_mb, len(full.stock)) == (512, 0)


def test_a_warm_instance_takes_its_memory_along() -> None:
    full, (function,) = machine(Policy(memory_mb=1024, warm=1), 512)
    (kind,) = full.keep_warm(0.0)
    assert not full.take_warm(function, 0.0)
    full.stock.made(kind)
    assert full.take_warm(function, 0.0)
    assert full.used_mb == 512
