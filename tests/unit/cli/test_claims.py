"""What is said of a port that cannot be had, and who still lives. Real claims: the integration tests."""

import errno
import os
import subprocess
import sys

import pytest

from cli.claims import _is_alive, _port_error


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRINUSE, "Port 80 is in use: choose another with --port, or stop what uses it."),
        (errno.EACCES, "Port 80 needs more rights than you have: choose one from 1024 on with --port."),
        (errno.EADDRNOTAVAIL, "Cannot listen on host, port 80: why. Choose another --host or --port."),
    ],
)
def test_a_port_that_cannot_be_had(number: int, said: str) -> None:
    assert _port_error("host", 80, OSError(number, "why")) == said


def test_who_still_lives() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert _is_alive(os.getpid())
    assert _is_alive(1)
    assert not _is_alive(ended.pid)
    assert not _is_alive(0)  # the holder of a lock that has not yet written who it is
