"""Runs a command, and again whenever it was killed by SIGKILL; each death is a byte in a file.

`python keeper.py FILE COMMAND...`: ends with the command's status; SIGTERM is handed on.
"""

import signal
import subprocess
import sys
from pathlib import Path


def keep(deaths: Path, command: list[str]) -> int:
    while True:
        process = subprocess.Popen(command)
        signal.signal(signal.SIGTERM, lambda *_, each=process: each.terminate())
        status = process.wait()
        if status != -signal.SIGKILL:
            return status
        with deaths.open("a") as file:
            file.write("x")


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), sys.argv[2:]))
