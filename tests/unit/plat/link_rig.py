"""A connection in memory for one end of a link: what that sends is kept, and it hears what the test says."""

import asyncio

from plat.link import Link


class Wire(asyncio.Transport):
    """`closing`: the other side has gone, and the end of it is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.link: Link | None = None
        self.written = bytearray()
        self.closing = False

    def open(self, link: Link) -> None:
        self.link = link
        link.open(self)

    def say(self, message: bytes) -> None:
        assert self.link is not None
        self.link.data_received(frame(message))

    def take(self) -> list[bytes]:
        """The messages that were sent, once each."""
        messages = []
        while self.written:
            end = 4 + int.from_bytes(self.written[:4], "big")
            messages.append(bytes(self.written[4:end]))
            del self.written[:end]
        return messages

    def end(self) -> None:
        assert self.link is not None
        self.closing = True
        self.link.connection_lost(None)

    # --- a transport

    def get_protocol(self) -> asyncio.BaseProtocol:
        return asyncio.Protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert protocol is self.link

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


def frame(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message
