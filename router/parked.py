"""Connections to instances whose slots the pool has asked back: the slots may come again in a moment.

Decides only. A new connection takes a call half a millisecond, as much as the slot's way between routers.
"""

from typing import Final, Protocol

PARKED_S: Final = 2.0
"""A connection waits so long. It is open in the instance as well, which may be about to end."""


class Closable(Protocol):
    def close(self) -> None: ...


class ParkedConnections:
    """One for each instance at most, in the order they came."""

    def __init__(self) -> None:
        self._parked: dict[str, tuple[Closable, float]] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, instance: str, connection: Closable, now: float) -> None:
        self.drop(instance)
        self._parked[instance] = connection, now + PARKED_S

    def take(self, instance: str) -> Closable | None:
        parked = self._parked.pop(instance, None)
        return None if parked is None else parked[0]

    def drop(self, instance: str) -> None:
        if (connection := self.take(instance)) is not None:
            connection.close()

    def close_old(self, now: float) -> None:
        while self._parked:
            instance, (_, until) = next(iter(self._parked.items()))
            if now < until:
                return
            self.drop(instance)

    def close(self) -> None:
        for instance in list(self._parked):
            self.drop(instance)
