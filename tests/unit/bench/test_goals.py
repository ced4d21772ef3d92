from bench.cold import QUESTIONS as COLD_QUESTIONS
from bench.figures import Result
from bench.goals import GOALS, Verdict, verdicts
from bench.plan import QUESTIONS


def cpu(router: float, nginx: float) -> Result:
    result = Result("cpu", "")
    result.row("90 B, TCP, 5120/s", "plat router").add(cpu_us=router)
    result.row("90 B, TCP, 5120/s", "nginx").add(cpu_us=nginx)
    return result


def tcp(verdict: list[Verdict]) -> Verdict:
    return next(each for each in verdict if each.goal.text == "plat router / nginx, CPU per call, TCP")


def test_a_ratio_within_its_limit_is_met() -> None:
    verdict = tcp(verdicts(cpu(11, 10)))
    assert verdict.met is True
    assert str(verdict) == "met: plat router / nginx, CPU per call, TCP is 1.1 (at most 1.15)"


def test_a_ratio_over_its_limit_is_missed() -> None:
    assert tcp(verdicts(cpu(12, 10))).met is False
    assert str(tcp(verdicts(cpu(12, 10)))).startswith("MISSED: ")


def test_what_was_not_measured_is_neither() -> None:
    others = [each for each in verdicts(cpu(1, 1)) if each is not tcp(verdicts(cpu(1, 1)))]
    assert {each.met for each in others if "unix" in each.goal.text or "Go" in each.goal.text} == {None}
    assert "not measured" in str(next(each for each in others if "Go" in each.goal.text))


def test_a_floor_is_met_from_above() -> None:
    result = Result("overload", "")
    result.row("closed loop (peak)", "plat router").add(calls_per_s=1000)
    result.row("open loop, 200 %", "plat router").add(calls_per_s=940)
    goodput = next(each for each in verdicts(result) if each.goal.at_least and each.value)
    assert goodput.met is False


def test_failed_calls_miss_the_goal_of_the_load_suite() -> None:
    result = Result("load", "")
    result.row("warm call", "plat").add(failures=1)
    result.row("cold start", "plat").add(failures=0)
    assert next(each for each in verdicts(result) if each.goal.text == "failed calls").met is False


def test_goals_are_of_questions_that_exist() -> None:
    assert {goal.question for goal in GOALS} <= {*QUESTIONS, *COLD_QUESTIONS, "load"}
