"""Cold starts: what is planned, what metrics say, and what is made of it."""

import tomllib
from pathlib import Path

import pytest

from bench.cold import QUESTIONS, options, questions
from bench.cold_plan import FULL, MEMORY_MB, QUICK, Plan
from bench.cold_platform import COLD, TEMPLATES, Supply, instances, starts
from bench.figures import Row
from bench.questions import decision, knative
from bench.questions.cold_parts import PARTS, WHOLE, Timed, parts_ms
from bench.schedule import Outcome
from bench.workload import LoadFunction

METRICS = """
plat_instances{function="",state="warm"} 2.0
plat_instances{function="pausing-0001",state="paused"} 1.0
plat_instances{function="pausing-0002",state="paused"} 1.0
plat_instances{function="cold-0001",state="ready"} 1.0
plat_cold_start_seconds_count{function="cold-0001",kind="warm"} 1.0
plat_cold_start_seconds_count{function="cold-0002",kind="warm"} 2.0
plat_cold_start_seconds_count{function="cold-0002",kind="start"} 1.0
plat_cold_start_seconds_sum{function="cold-0002",kind="start"} 0.5
"""


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_no_function_is_called_twice_and_all_fit_into_a_small_machine(plan: Plan) -> None:
    for calls in plan.calls.values():
        supply = Supply(calls)
        taken = supply.take(COLD, calls.cold())
        assert len(set(taken)) == len(taken)
        with pytest.raises(StopIteration):
            supply.take(COLD, 1)
        assert calls.slow <= calls.paused
        assert (calls.slow * 2 + calls.paused + calls.medium + calls.fast) * MEMORY_MB < 18_000


def test_what_the_metrics_say() -> None:
    assert instances(METRICS, "pausing", "paused") == 2
    assert instances(METRICS, "", "warm") == 2
    assert instances(METRICS, "cold", "paused") == 0
    assert starts(METRICS) == {"warm": 3, "start": 1}


@pytest.mark.parametrize("function", [*TEMPLATES, *(knative.function(kind, 2) for kind in knative.NAMES)])
def test_functions_are_what_plat_reads(function: LoadFunction) -> None:
    assert tomllib.loads(function.toml())["limits"]["memory_mb"] == function.memory_mb
    compile(function.code, function.name, "exec")


def test_a_call_is_taken_apart_by_the_first_marks_in_it() -> None:
    steps = [begin for _, begin, _ in PARTS[1:]] + [PARTS[-1][2]]
    inside = [(step, 1.0 + number / 1000) for number, step in enumerate(steps, 1)]
    call = Timed(1.0, dict(inside)["imported"], dict(inside)["called"], dict(inside)["answered"])
    again = [("call waits", 1.0105), ("call waits", 0.5)]
    parts = parts_ms([call], sorted([*inside, *again], key=lambda mark: mark[1]))
    assert {name: pytest.approx([1.0]) for name, _, _ in PARTS} == {
        name: values for name, values in parts.items() if name != WHOLE
    }
    assert parts[WHOLE] == pytest.approx([len(PARTS)])


def test_a_part_without_its_marks_is_left_out() -> None:
    parts = parts_ms([Timed(1.0, 1.1, 1.2, 1.3)], [])
    assert set(parts) == {"answer to the client", WHOLE}


async def test_the_pool_of_the_decision_bench_has_its_instances_and_decides(tmp_path: Path) -> None:
    bench = decision.Bench(tmp_path, 2 * decision.INSTANCES)
    await bench.open()
    assert {member.state for member in bench.fleet.members()} == {"ready"}
    assert len(bench.fleet.members()) == decision.INSTANCES
    assert bench.demand(0) > 0
    assert bench.fleet.starting() == 1
    assert bench.look() > bench.tick() > 0


def test_the_worst_of_several_runs_counts() -> None:
    row = Row("", "")
    knative.note(row, [an_outcome(101.0, 200), an_outcome(107.0, 503)])
    assert row.figures["p95_added_ms"] == [pytest.approx(7.0)]
    assert row.figures["failures"] == [1]
    assert len(row.notes) == 1


def an_outcome(latency: float, status: int) -> Outcome:
    times = dict.fromkeys(("p50", "p90", "p95", "p99", "p99.9", "max"), latency)
    return Outcome(
        planned=1,
        statuses={str(status): 1},
        unanswered=0,
        failed=0,
        in_time=1,
        latency_ms=times,
        refusal_ms={},
        retry_after=0,
        lag_ms=times,
        kept=True,
    )


def test_options(tmp_path: Path) -> None:
    chosen = options(["--quick", "--only", "cold-parts,knative", "--drivers", "process"])
    assert (chosen.only, chosen.drivers, chosen.out.name) == (["cold_parts", "knative"], ["process"], "quick")
    assert tuple(questions(tmp_path, chosen)) == QUESTIONS
    with pytest.raises(SystemExit):
        options(["--drivers", "swarm"])
