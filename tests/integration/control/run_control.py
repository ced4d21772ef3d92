"""Control and builder as a process of their own, to be killed: arguments are a data folder and an address."""

import asyncio
import signal
import sys

import msgspec

import builder.service
import control.service
from plat.logs import configure
from tests.integration.control.platform import settings_in


async def main(folder: str, control_address: str) -> None:
    configure("core", "info")
    settings = msgspec.structs.replace(settings_in(folder), control_address=control_address)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.gather(builder.service.serve(settings, stop), control.service.serve(settings, stop))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
