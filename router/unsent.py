"""What a client has not taken yet of what was written to it. What that means is decided elsewhere."""

import asyncio
import fcntl
import sys
import termios


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes that its system has not acknowledged: in our buffer, and in the kernel's (tcp(7), SIOCOUTQ).

    Our buffer alone would make a client that reads slowly look dead: the kernel asks for more only when a
    third of its own is free, which may be a MB.
    """
    unsent = transport.get_write_buffer_size()
    if (client := transport.get_extra_info("socket")) is not None:
        in_kernel = fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, bytes(4))
        unsent += int.from_bytes(in_kernel, sys.byteorder)
    return unsent
