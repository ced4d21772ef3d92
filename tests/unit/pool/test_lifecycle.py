"""The table of an instance's states: every pair is either in it, or an error that changes nothing."""

import pytest

from pool.lifecycle import ON_THE_WAY, TRANSITIONS, State, TransitionError, follow

ALL = {(current, new) for current, after in TRANSITIONS.items() for new in after}


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize(("current", "new"), sorted(ALL))
def test_listed_transitions(current: State, new: State) -> None:
    assert follow(current, new) is new


@pytest.mark.parametrize(
    ("current", "new"), sorted({(current, new) for current in State for new in State} - ALL)
)
def test_unlisted_transitions(current: State, new: State) -> None:
    with pytest.raises(TransitionError, match=f"{current} cannot become {new}"):
        follow(current, new)


@pytest.mark.parametrize("state", sorted(set(State) - {State.GONE}))
def test_every_state_leads_to_the_end(state: State) -> None:
    reached = {state}
    while more := {new for each in reached for new in TRANSITIONS[each]} - reached:
        reached |= more
    assert State.GONE in reached


def test_nothing_follows_the_end() -> None:
    assert TRANSITIONS[State.GONE] == frozenset()


def test_a_start_may_fail_from_wherever_it_is() -> None:
    for state in ON_THE_WAY | {State.WARM}:
        assert State.FAILED in TRANSITIONS[state]


def test_an_instance_that_served_never_starts_again() -> None:
    reached = {State.READY}
    while more := {new for each in reached for new in TRANSITIONS[each]} - reached:
        reached |= more
    assert not reached & (ON_THE_WAY | {State.WARM, State.FAILED})
