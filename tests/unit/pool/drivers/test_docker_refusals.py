"""What a user is told when the engine refuses something."""

import errno

import pytest

from pool.drivers import docker_refusals as refusals
from pool.drivers.docker_engine import EngineRefusalError
from tests.unit.pool.drivers.orders import a_warm_order, an_order


@pytest.mark.parametrize(
    ("status", "message", "code", "words"),
    [
        (404, "No such image: x", "instance_start_failed", "deploy/build-images python"),
        (500, "write: no space left on device", "disk_full", "Free some space"),
        (500, "who knows", "instance_start_failed", "hello version 7: who knows"),
    ],
)
def test_a_start(status: int, message: str, code: str, words: str) -> None:
    error = refusals.start_refused(EngineRefusalError(status, message), an_order(), "x")
    assert error.code == code
    assert words in error.detail


def test_a_warm_start_names_the_runtime() -> None:
    error = refusals.start_refused(EngineRefusalError(500, "who knows"), a_warm_order(), "x")
    assert "a warm instance of python" in error.detail
    missing = refusals.start_refused(EngineRefusalError(404, "No such image: x"), a_warm_order(), "x")
    assert "deploy/build-images python" in missing.detail


def test_code_that_cannot_be_given() -> None:
    full = refusals.code_refused(OSError(errno.ENOSPC, "No space left on device"), an_order())
    gone = refusals.code_refused(FileNotFoundError(errno.ENOENT, "No such file", "/code"), an_order())
    assert full.code == "disk_full"
    assert gone.code == "instance_start_failed"
    assert "hello version 7" in gone.detail
    assert "/code" in gone.detail


@pytest.mark.parametrize(
    ("running", "is_paused", "wanted", "expected"),
    [
        (True, True, True, True),
        (True, False, False, True),
        (True, False, True, False),
        (True, True, False, False),
        (False, False, False, False),
    ],
)
def test_whether_a_refusal_to_pause_matters(
    running: bool, is_paused: bool, wanted: bool, expected: bool
) -> None:
    state = {"State": {"Running": running, "Paused": is_paused}}
    assert refusals.is_as_wanted(state, paused=wanted) is expected
