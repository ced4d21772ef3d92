"""One connection for each instance, closed when its time is over."""

import pytest

from router.parked import PARKED_S, ParkedConnections

NOW = 1000.0


class Connection:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def parked() -> ParkedConnections:
    return ParkedConnections()


def test_it_is_taken_once(parked: ParkedConnections) -> None:
    parked.park("a", connection := Connection(), NOW)
    assert parked.take("b") is None
    assert parked.take("a") is connection
    assert parked.take("a") is None
    assert not connection.closed


def test_a_second_one_takes_the_place_of_the_first(parked: ParkedConnections) -> None:
    connections = [Connection(), Connection()]
    for connection in connections:
        parked.park("a", connection, NOW)
    assert [each.closed for each in connections] == [True, False]
    assert len(parked) == 1


def test_each_is_closed_in_its_time(parked: ParkedConnections) -> None:
    """One that was parked anew has a new time."""
    connections = {name: Connection() for name in "abc"}
    for number, name in enumerate("abca"):
        parked.park(name, connections[name], NOW + number)
        if number == 0:
            connections["a"] = Connection()
    for later_s, closed in ((0.9, ""), (1.0, "b"), (2.0, "bc"), (3.0, "abc")):
        parked.close_old(NOW + later_s + PARKED_S)
        assert "".join(name for name in "abc" if connections[name].closed) == closed
    assert len(parked) == 0


def test_dropped_and_closed(parked: ParkedConnections) -> None:
    connections = [Connection(), Connection()]
    for name, connection in zip("ab", connections, strict=True):
        parked.park(name, connection, NOW)
    parked.drop("a")
    parked.drop("nobody")
    assert [each.closed for each in connections] == [True, False]
    parked.close()
    assert connections[1].closed
