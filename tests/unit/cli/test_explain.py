"""A decision at a glance."""

from datetime import UTC, datetime

import msgspec
import pytest

from cli.explain import done, seen
from plat.model import DecisionInputs, DecisionView

NOW = datetime(2030, 1, 1, tzinfo=UTC)
VIEW = DecisionView(
    function="hello",
    version=1,
    at=NOW,
    until=NOW,
    times=1,
    reason="",
    start=0,
    resume=[],
    pause=[],
    stop=[],
    inputs=None,
)
INPUTS = DecisionInputs(
    live=True,
    stopped=False,
    min=0,
    max=20,
    idle_s=60,
    pause_after_s=30,
    concurrency=1,
    queued=0,
    ready=0,
    on_the_way=0,
    idle=0,
    paused=0,
    backing_off=False,
    room=None,
)
IDS = [f"{number:016x}" for number in range(0x1234_0000_0000_0000, 0x1234_0000_0000_0005)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"start": 2}, "start 2"),
        ({"stop": ["0123456789abcdef"]}, "stop 1: 01234567"),
        ({"start": 1, "resume": ["a", "b"]}, "start 1, resume 2: a b"),
        ({"pause": ["a"], "stop": ["b"]}, "pause 1: a, stop 1: b"),
        ({"stop": IDS}, "stop 5: 12340000 12340000 12340000 …"),
    ],
)
def test_what_was_done(changes: dict[str, object], expected: str | None) -> None:
    assert done(msgspec.structs.replace(VIEW, **changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "no instance"),
        ({"queued": 3, "on_the_way": 1}, "3 waiting, 1 starting"),
        ({"ready": 2, "idle": 1}, "2 ready (1 idle)"),
        ({"ready": 2, "paused": 4}, "2 ready, 4 paused"),
    ],
)
def test_what_was_seen(changes: dict[str, object], expected: str) -> None:
    assert seen(msgspec.structs.replace(INPUTS, **changes)) == expected


def test_of_an_event_nothing_was_seen() -> None:
    assert seen(None) is None
