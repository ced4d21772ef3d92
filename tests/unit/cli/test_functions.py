"""What a table says of a function, and where a rollback goes."""

from datetime import UTC, datetime

import pytest

from cli.failure import FailedError
from cli.functions import access_of, previous_ready, state_of
from plat.model import Access, Function, FunctionSpec, Hmac, Version, VersionSpec, VersionState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SPEC = FunctionSpec(name="hello")


def a_function(live: int | None, stopped: bool = False) -> Function:
    return Function(
        name="hello", spec=SPEC, live=live, stopped=stopped, url="http://x", created_at=NOW, updated_at=NOW
    )


def versions(*states: VersionState) -> list[Version]:
    """Numbered from 1, the newest first, as the platform lists them."""
    return [
        Version(
            function="hello",
            version=number,
            state=state,
            spec=VersionSpec.of(SPEC),
            digest="ab" * 32,
            size_bytes=1,
            created_at=NOW,
            live=False,
        )
        for number, state in enumerate(states, 1)
    ][::-1]


@pytest.mark.parametrize(
    ("function", "state"),
    [
        (a_function(None), "new"),
        (a_function(1), "live"),
        (a_function(1, stopped=True), "stopped"),
        (a_function(None, stopped=True), "stopped"),
    ],
)
def test_states(function: Function, state: str) -> None:
    assert state_of(function) == state


@pytest.mark.parametrize(
    ("live", "states", "expected"),
    [
        (2, ("ready", "ready"), 1),
        (3, ("ready", "failed", "ready"), 1),
        (4, ("ready", "ready", "building", "ready"), 2),
        (2, ("ready", "ready", "ready"), 1),  # after a rollback: further back, not forth
    ],
)
def test_a_rollback_goes_to_the_newest_before_that_can_serve(
    live: int, states: tuple[VersionState, ...], expected: int
) -> None:
    assert previous_ready(a_function(live), versions(*states)) == expected


@pytest.mark.parametrize(
    ("live", "states"),
    [(1, ("ready",)), (2, ("failed", "ready")), (1, ("ready", "ready")), (None, ("failed",))],
)
def test_where_there_is_none_it_says_so(live: int | None, states: tuple[VersionState, ...]) -> None:
    with pytest.raises(FailedError, match="hello has no"):
        previous_ready(a_function(live), versions(*states))


def test_who_may_call() -> None:
    assert access_of(Access(auth="jwt")) == "jwt"
    assert access_of(Access(auth="public", hmac=Hmac("X-Signature", "GITHUB"))) == "signed"
