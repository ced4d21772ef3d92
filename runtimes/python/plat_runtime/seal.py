"""The folder of our socket, which may be taken from us once the socket is there (PLAT_SEALED).

A folder that a function can write to is one that it can fill the machine's disk with. So no code of a
function runs before.
"""

from __future__ import annotations

import os
import time

VARIABLE = "PLAT_SEALED"
POLL_S = 0.001


def wait(socket: str) -> None:
    """Until the folder of `socket` cannot be written to, if that was announced.

    There is no limit of time: whoever announced it and does not do it finds that we do not become ready.
    """
    if os.environ.pop(VARIABLE, ""):
        folder = os.path.dirname(socket) or "."  # noqa: PTH120 - a string will do
        while os.access(folder, os.W_OK):
            time.sleep(POLL_S)
