import pytest

from bench.__main__ import options
from bench.plan import FULL, LONGEST_S, QUESTIONS, QUICK, SHORTEST_S, Plan


def test_every_question_has_a_budget_and_all_end_in_time() -> None:
    assert set(FULL.budgets_s) == set(QUICK.budgets_s) == set(QUESTIONS)
    assert sum(FULL.budgets_s.values()) < 14.5 * 60
    assert sum(QUICK.budgets_s.values()) < 2.25 * 60
    assert FULL.repeats >= 5


def test_runs_share_the_budget() -> None:
    plan = Plan(repeats=5, budgets_s={"cpu": 100.0}, quick=False)
    assert plan.run_s("cpu", 10, before_s=0) == pytest.approx(100 / 50 - 0.15)
    assert plan.run_s("cpu", 10, 50, overhead_s=0.5) == pytest.approx(50 / 50 - 0.5)
    assert plan.run_s("cpu", 1) == LONGEST_S
    assert plan.run_s("cpu", 1000) == SHORTEST_S


def test_options() -> None:
    chosen = options(["--quick", "--only", "cpu,end-to-end"])
    assert chosen.only == ["cpu", "end_to_end"]
    assert chosen.out.name == "quick"
    with pytest.raises(SystemExit):
        options(["--only", "speed"])
