"""The instances of a fleet, by id and by version: asked about on every event, so nothing walks them all."""

from collections.abc import Collection, KeysView

from pool.lifecycle import State
from pool.member import Member


class Members:
    """A member's version never changes."""

    def __init__(self) -> None:
        self._all: dict[str, Member] = {}
        self._versions: dict[str, dict[str, Member]] = {}
        self._starting: list[Member] = []
        """And some that were, until somebody asks."""
        self.memory_mb = 0
        """The limits of those that are not being stopped."""

    def add(self, member: Member) -> None:
        """Not one that is being stopped."""
        self._all[member.id] = member
        self.memory_mb += member.version.spec.memory_mb
        if member.state is State.STARTING:
            self._starting.append(member)
        self._versions.setdefault(member.version.id, {})[member.id] = member

    def remove(self, instance: str) -> None:
        """Nothing happens if it is not there."""
        member = self._all.pop(instance, None)
        if member is not None:
            if not member.stopping:
                self.memory_mb -= member.version.spec.memory_mb
            of_version = self._versions[member.version.id]
            del of_version[instance]
            if not of_version:
                del self._versions[member.version.id]

    def clear(self) -> None:
        self._all.clear()
        self._versions.clear()
        self._starting.clear()
        self.memory_mb = 0

    def begin_stop(self, member: Member) -> bool:
        """From now on it is being stopped. False: it was already."""
        if member.stopping:
            return False
        member.stopping = True
        if self._all.get(member.id) is member:
            self.memory_mb -= member.version.spec.memory_mb
        return True

    def starting(self) -> int:
        self._starting = [
            each for each in self._starting if each.state is State.STARTING and each.id in self._all
        ]
        return len(self._starting)

    def get(self, instance: str) -> Member | None:
        return self._all.get(instance)

    def keys(self) -> KeysView[str]:
        return self._all.keys()

    def values(self) -> Collection[Member]:
        return self._all.values()

    def of_version(self, version_id: str) -> Collection[Member]:
        return self._versions.get(version_id, {}).values()
