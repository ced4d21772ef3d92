"""Every way to end has its word and its sentence."""

import os

import pytest

from pool.drivers import exits


@pytest.mark.parametrize(
    ("code", "out_of_memory", "reason", "detail"),
    [
        (0, False, "exited", "The process exited with status 0."),
        (3, False, "exited", "The process exited with status 3."),
        (127, False, "exited", "The process exited with status 127."),
        (137, False, "signalled", "The process was ended by signal 9 (SIGKILL)."),
        (139, False, "signalled", "The process was ended by signal 11 (SIGSEGV)."),
        (128 + 63, False, "signalled", "The process was ended by signal 63."),
        (255, False, "exited", "The process exited with status 255."),
        (137, True, "out_of_memory", "The instance was killed at its memory limit of 64 MB."),
        (1, True, "out_of_memory", "The instance was killed at its memory limit of 64 MB."),
        # A child ran out of memory, and the instance lived on and ended in order.
        (0, True, "exited", "The process exited with status 0."),
    ],
)
def test_from_a_containers_exit_code(code: int, out_of_memory: bool, reason: str, detail: str) -> None:
    assert exits.from_container(code, out_of_memory=out_of_memory, limit_mb=64) == (reason, detail)


def test_what_was_used_is_rounded_up() -> None:
    cause = exits.used_too_much(128 * 1024 * 1024 + 1, 128)
    assert cause == ("out_of_memory", "The instance used 129 MB; its limit is 128 MB.")


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        (os.CLD_EXITED, 3, ("exited", "The process exited with status 3.")),
        (os.CLD_KILLED, 9, ("signalled", "The process was ended by signal 9 (SIGKILL).")),
        (os.CLD_DUMPED, 11, ("signalled", "The process was ended by signal 11 (SIGSEGV).")),
    ],
)
def test_from_what_the_kernel_tells_of_a_child(code: int, status: int, cause: tuple[str, str]) -> None:
    assert exits.from_wait(code, status) == cause
