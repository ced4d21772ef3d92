"""The request every contender gets: a POST with five headers, or a GET where the answer is what is large."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from plat.address import Address

HEADERS = {
    "User-Agent": "plat-bench",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "X-Request-Id": "6f1d2c3b4a5968778695a4b3c2d1e0f1",
}
SMALL_BYTES = 90


class Case(NamedTuple):
    """A function of the bench: the size of what is sent and answered, and how its upstream is reached."""

    name: str
    title: str
    transport: str
    """`tcp` or `unix`."""
    request_bytes: int
    """0: a GET without a body."""
    answer_bytes: int


CASES = {
    each.name: each
    for each in (
        Case("t90", "90 B, TCP", "tcp", SMALL_BYTES, 90),
        Case("x90", "90 B, unix socket", "unix", SMALL_BYTES, 90),
        Case("t10k", "10 KB answer, TCP", "tcp", 0, 10_000),
        Case("t1m", "1 MB answer, TCP", "tcp", 0, 1_000_000),
        Case("u10k", "10 KB request, TCP", "tcp", 10_000, 90),
        Case("u1m", "1 MB request, TCP", "tcp", 1_000_000, 90),
    )
}
"""No name is the beginning of another: some contenders route by prefix."""

Upstreams = dict[str, Address]
"""Where each case's upstream listens, by the case's name."""


def body(size: int) -> bytes:
    """A JSON string of exactly `size` bytes; nothing for 0."""
    return b'"' + b"x" * (size - 2) + b'"' if size else b""


def size_of(function: str) -> int:
    """Bytes that its request carries; the small request's for a function that is no case."""
    return CASES[function].request_bytes if function in CASES else SMALL_BYTES


def path_of(function: str) -> str:
    return f"/function/{function}"


def bytes_of(host: str, target: str, size: int) -> bytes:
    """The request as it goes over the wire."""
    lines = [f"{'POST' if size else 'GET'} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    lines += [f"Content-Length: {size}"] if size else []
    return "\r\n".join([*lines, "", ""]).encode() + body(size)


def each_with_its_own_id(request: bytes, first: int) -> Iterator[bytes]:
    """The request again and again, its X-Request-Id counted up from `first`; as long each time."""
    before, after = request.split(HEADERS["X-Request-Id"].encode())
    for number in count(first):
        yield b"%b%032x%b" % (before, number, after)


def write_body(folder: Path, size: int) -> Path:
    path = folder / f"body-{size}"
    if not path.exists():
        path.write_bytes(body(size))
    return path
