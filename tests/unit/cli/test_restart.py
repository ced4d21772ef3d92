"""When a dead service is started again: the delays, their reset, and when to give up."""

from cli.restart import (
    DEATHS_AT_START,
    LONGEST_DELAY_S,
    SETTLED_S,
    GiveUp,
    Past,
    Restart,
    after_death,
)


def delays(past: Past, deaths: int, lived_s: float = 0.0) -> tuple[list[float], Past]:
    found = []
    for _ in range(deaths):
        decision = after_death(past, started_at=100.0, now=100.0 + lived_s)
        assert isinstance(decision, Restart)
        found.append(decision.after_s)
        past = decision.past
    return found, past


def test_the_delay_doubles_up_to_its_limit() -> None:
    found, _ = delays(Past(was_ready=True), 10)
    assert found == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]


def test_thousands_of_deaths_do_not_overflow() -> None:
    decision = after_death(Past(row=100_000, was_ready=True), started_at=0, now=0)
    assert isinstance(decision, Restart)
    assert decision.after_s == LONGEST_DELAY_S


def test_one_that_lived_long_begins_again_at_the_shortest_delay() -> None:
    _, past = delays(Past(was_ready=True), 6)
    found, past = delays(past, 1, lived_s=SETTLED_S)
    assert found == [0.1]
    assert past == Past(row=1, was_ready=True)


def test_just_before_that_it_goes_on_doubling() -> None:
    _, past = delays(Past(was_ready=True), 2)
    found, _ = delays(past, 1, lived_s=SETTLED_S - 0.001)
    assert found == [0.4]


def test_one_that_was_never_ready_is_given_up() -> None:
    _, past = delays(Past(), DEATHS_AT_START - 1)
    assert after_death(past, started_at=0, now=0) == GiveUp(deaths=DEATHS_AT_START)


def test_one_that_was_ready_once_never_is() -> None:
    found, past = delays(Past(was_ready=True), 50)
    assert len(found) == 50
    assert past == Past(row=50, was_ready=True)
