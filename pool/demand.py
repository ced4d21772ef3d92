"""Which router waits for how many slots of which version. Decides only."""

from collections import deque
from typing import NamedTuple


class _Sent(NamedTuple):
    number: int
    version: str
    slots: int


class _Link:
    """The grants sent to one router over its present connection, and those it has not seen yet."""

    def __init__(self) -> None:
        self.sent = 0
        self.unseen: deque[_Sent] = deque()


class Demands:
    """By version and router: calls that wait for which no slot is on its way.

    A router's word may be older than our last grants to it: what it had not seen when it spoke is
    taken off what it asked for, or one burst would start twice the instances it needs.
    """

    def __init__(self) -> None:
        self._queued: dict[str, dict[str, int]] = {}
        self._links: dict[str, _Link] = {}

    def router_here(self, router: str) -> None:
        """A new connection: both sides count grants from zero."""
        self.router_gone(router)
        self._links[router] = _Link()

    def router_gone(self, router: str) -> None:
        self._links.pop(router, None)
        for version in list(self._queued):
            self._set(version, router, 0)

    def asked(self, version: str, router: str, queued: int, grants_seen: int) -> None:
        link = self._links[router]
        while link.unseen and link.unseen[0].number <= grants_seen:
            link.unseen.popleft()
        coming = sum(sent.slots for sent in link.unseen if sent.version == version)
        self._set(version, router, max(0, queued - coming))

    def granted(self, version: str, router: str, slots: int) -> None:
        """One more grant is on its way to the router."""
        link = self._links[router]
        link.sent += 1
        link.unseen.append(_Sent(link.sent, version, slots))
        self._set(version, router, max(0, self._queued.get(version, {}).get(router, 0) - slots))

    def again(self, version: str, router: str) -> None:
        """What it was granted last has come to nothing: it waits, for how many it will say in a moment."""
        if router in self._links:
            self._set(version, router, max(1, self._queued.get(version, {}).get(router, 0)))

    def of(self, version: str) -> dict[str, int]:
        return dict(self._queued.get(version, {}))

    def outstanding(self, version: str) -> int:
        return sum(self._queued.get(version, {}).values())

    def versions(self) -> list[str]:
        return list(self._queued)

    def clear(self, version: str) -> None:
        self._queued.pop(version, None)

    def _set(self, version: str, router: str, queued: int) -> None:
        if queued:
            self._queued.setdefault(version, {})[router] = queued
            return
        routers = self._queued.get(version)
        if routers is not None:
            routers.pop(router, None)
            if not routers:
                del self._queued[version]
