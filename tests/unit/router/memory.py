"""A transport without a socket: notes what is written, and how it ends."""

import asyncio


class MemoryTransport(asyncio.Transport):
    """The other side is the test: it calls the protocol's methods itself."""

    def __init__(self, **extra_info: object) -> None:
        super().__init__({"peername": ("192.0.2.1", 1234), **extra_info})
        self.written = b""
        self.ended = ""
        """`close`, `abort`, `eof`, or nothing yet."""
        self.is_paused = False
        self.unsent = 0
        self.is_blocked = False
        self.reader_stops: asyncio.BaseProtocol | None = None
        """Whose other side reads nothing from now on."""
        self.high: int | None = None
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        if self.reader_stops is not None:
            self.unsent += len(data)
            if not self.is_blocked:
                self.is_blocked = True
                self.reader_stops.pause_writing()

    def take_all(self) -> None:
        """The other side has read what was written."""
        reader, self.reader_stops = self.reader_stops, None
        self.unsent, self.is_blocked = 0, False
        assert reader is not None
        reader.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written

    def is_closing(self) -> bool:
        return self.ended in ("close", "abort")

    def close(self) -> None:
        self.ended = self.ended or "close"

    def abort(self) -> None:
        self.ended = "abort"

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = "eof"

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol
