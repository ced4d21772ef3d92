"""Events as the engine writes them, and how long to wait for it."""

import json

import pytest

from pool.drivers.docker_events import LONGEST_BACKOFF_S, Event, backoff_s, parse

DIE = {
    "status": "die",
    "id": "c0ffee",
    "Type": "container",
    "Action": "die",
    "Actor": {"ID": "c0ffee", "Attributes": {"exitCode": "137", "plat.function": "hello"}},
    "scope": "local",
    "time": 1767323045,
    "timeNano": 1767323045000000000,
}


def test_an_event() -> None:
    event = parse(json.dumps(DIE).encode() + b"\n")
    assert event == Event("die", "c0ffee", {"exitCode": "137", "plat.function": "hello"})


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"{}", b'{"Action": "die"}', b"null", b'{"Action":"x","Actor":1}']
)
def test_what_is_no_event(line: bytes) -> None:
    assert parse(line) is None


def test_the_wait_doubles_to_a_bound_and_is_spread() -> None:
    assert [backoff_s(failures, 0) for failures in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff_s(100, 0) == LONGEST_BACKOFF_S
    assert backoff_s(3, 1) == 0.4
