"""How an instance ended, in a word for the machine and a sentence for the user. No I/O."""

import os
import signal
from typing import NamedTuple


class Cause(NamedTuple):
    """`reason` and `detail` of `pool.drivers.base.Exited`."""

    reason: str
    detail: str


UNKNOWN = Cause("unknown", "The process ended while nobody watched it; its exit status is lost.")
REMOVED = Cause("unknown", "The container was removed by somebody else.")


def exited(status: int) -> Cause:
    return Cause("exited", f"The process exited with status {status}.")


def signalled(number: int) -> Cause:
    try:
        name = f" ({signal.Signals(number).name})"
    except ValueError:
        name = ""
    return Cause("signalled", f"The process was ended by signal {number}{name}.")


def used_too_much(used_bytes: int, limit_mb: int) -> Cause:
    """Rounded up: an instance that used a little more than its limit must not seem to have used it."""
    used_mb = -(-used_bytes // (1024 * 1024))
    return Cause("out_of_memory", f"The instance used {used_mb} MB; its limit is {limit_mb} MB.")


def killed_for_memory(limit_mb: int) -> Cause:
    return Cause("out_of_memory", f"The instance was killed at its memory limit of {limit_mb} MB.")


def from_wait(code: int, status: int) -> Cause:
    """From `si_code` and `si_status`, as waitid(2) tells them of a child."""
    return exited(status) if code == os.CLD_EXITED else signalled(status)


def from_container(exit_code: int, *, out_of_memory: bool, limit_mb: int) -> Cause:
    """From a container's exit code, where 128 + n is the init's way to say signal n.

    Memory ran out: with init, the kernel may kill only a child; then the code says nothing of it.
    """
    if out_of_memory and exit_code != 0:
        return killed_for_memory(limit_mb)
    return signalled(exit_code - 128) if 128 < exit_code < 128 + 65 else exited(exit_code)
