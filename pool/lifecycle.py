"""The life of an instance: its states, and the one table of what may follow what (DESIGN 6).

All states of an instance are here; whatever wants to change one asks `follow`.
"""

from enum import StrEnum


class State(StrEnum):
    """Values are words of the API and labels of the metric `plat_instances`."""

    STARTING = "starting"
    WARM = "warm"
    LOADING = "loading"
    READY = "ready"
    PAUSED = "paused"
    DRAINING = "draining"
    FAILED = "failed"
    GONE = "gone"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.READY, State.WARM, State.DRAINING, State.FAILED, State.GONE}),
    State.WARM: frozenset({State.LOADING, State.DRAINING, State.FAILED, State.GONE}),
    State.LOADING: frozenset({State.READY, State.DRAINING, State.FAILED, State.GONE}),
    State.READY: frozenset({State.PAUSED, State.DRAINING, State.GONE}),
    State.PAUSED: frozenset({State.READY, State.DRAINING, State.GONE}),
    State.DRAINING: frozenset({State.GONE}),
    State.FAILED: frozenset({State.GONE}),
    State.GONE: frozenset(),
}

ON_THE_WAY = frozenset({State.STARTING, State.LOADING})
"""Not serving yet, but counted as capacity: one need starts one instance, not two."""


class TransitionError(Exception):
    """An instance was asked to go where its state does not lead. Nothing was changed."""


def follow(current: State, new: State) -> State:
    """The new state, if the table has it."""
    if new not in TRANSITIONS[current]:
        raise TransitionError(f"an instance that is {current} cannot become {new}")
    return new
