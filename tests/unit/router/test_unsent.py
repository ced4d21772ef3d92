"""Both buffers count: ours, and the system's."""

import socket

from router.unsent import unsent_bytes
from tests.unit.router.memory import MemoryTransport


def test_what_the_other_side_has_not_read_is_unsent() -> None:
    ours, other = socket.socketpair()
    with ours, other:
        transport = MemoryTransport(socket=ours)
        transport.unsent = 100
        assert unsent_bytes(transport) == 100
        ours.send(b"x" * 1000)
        assert unsent_bytes(transport) >= 1100
        other.recv(1000)
        assert unsent_bytes(transport) == 100


def test_a_transport_without_a_socket_has_only_its_own_buffer() -> None:
    transport = MemoryTransport()
    transport.unsent = 3
    assert unsent_bytes(transport) == 3
