"""What is counted."""

from pool.simulation.tally import Moment, Tally, Wait, wait_of


def test_waits_by_nearest_rank() -> None:
    assert wait_of([]) == Wait(0, 0, 0, 0)
    wait = wait_of([number / 1024 for number in range(1, 101)])
    assert wait == Wait(*(ms * 1000 / 1024 for ms in (50.5, 50, 99, 100)))


def test_a_report_has_what_was_counted() -> None:
    tally = Tally()
    tally.started("cold", ahead=False)
    tally.started("warm", ahead=True)
    tally.went(10.0)
    tally.begun("cold", 0.5)
    tally.begun("hot", 0.0)
    report = tally.report(functions=3, span_s=20.0, memory_mb_seconds=7.0)
    assert (report.calls, report.functions, report.span_s) == (2, 3, 20.0)
    assert report.served == {"hot": 1, "queued": 0, "paused": 0, "warm": 0, "cold": 1}
    assert (report.cold_starts, report.warm_starts, report.made_ahead) == (1, 1, 1)
    assert (report.instances_at_most, report.instance_seconds) == (2, 10.0)
    assert report.memory_mb_seconds == 7.0


def test_the_instances_of_a_moment_are_those_of_functions() -> None:
    assert Moment(0, starting=1, busy=2, idle=3, paused=4, warm=100, memory_mb=0, queued=50).instances == 10
