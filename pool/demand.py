"""Which router waits for how many slots of which version. Decides only."""


class Demands:
    """By version and router: calls that wait and were not granted a slot since the router last said."""

    def __init__(self) -> None:
        self._queued: dict[str, dict[str, int]] = {}

    def set(self, version: str, router: str, queued: int) -> None:
        """The router's word replaces what we thought."""
        if queued:
            self._queued.setdefault(version, {})[router] = queued
        else:
            self._remove(version, router)

    def granted(self, version: str, router: str, slots: int) -> None:
        left = self._queued.get(version, {}).get(router, 0) - slots
        self.set(version, router, max(0, left))

    def router_gone(self, router: str) -> None:
        for version in list(self._queued):
            self._remove(version, router)

    def of(self, version: str) -> dict[str, int]:
        return dict(self._queued.get(version, {}))

    def outstanding(self, version: str) -> int:
        return sum(self._queued.get(version, {}).values())

    def versions(self) -> list[str]:
        return list(self._queued)

    def clear(self, version: str) -> None:
        self._queued.pop(version, None)

    def _remove(self, version: str, router: str) -> None:
        routers = self._queued.get(version)
        if routers is not None:
            routers.pop(router, None)
            if not routers:
                del self._queued[version]
