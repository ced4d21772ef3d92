"""Where a service or an instance listens: `unix:/path` or `tcp:host:port`, as text and parsed."""

from typing import NamedTuple


class Address(NamedTuple):
    path: str | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises ValueError, naming the text, when it is neither form."""
        scheme, _, rest = text.partition(":")
        if scheme == "unix" and rest.startswith("/"):
            return cls(path=rest)
        host, _, port = rest.rpartition(":")
        if scheme == "tcp" and host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536:
            return cls(host=host, port=int(port))
        raise ValueError(f'"{text}" is not an address: expected unix:/path or tcp:host:port')

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"
