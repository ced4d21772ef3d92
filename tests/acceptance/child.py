"""Processes of the tests that end with them, whatever ends the tests."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import IO


def run(
    command: Sequence[str], log: IO[bytes], env: Mapping[str, str], *, new_session: bool = False
) -> subprocess.Popen[bytes]:
    """Its output goes to `log`. If the thread that started it ends it gets SIGTERM, and clears up."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=env,
        start_new_session=new_session,
    )
