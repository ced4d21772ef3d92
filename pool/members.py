"""The instances of a fleet, by id and by version: asked about on every event, so neither walks them all."""

from collections.abc import Collection, KeysView

from pool.member import Member


class Members:
    """A member's version never changes."""

    def __init__(self) -> None:
        self._all: dict[str, Member] = {}
        self._versions: dict[str, dict[str, Member]] = {}

    def add(self, member: Member) -> None:
        self._all[member.id] = member
        self._versions.setdefault(member.version.id, {})[member.id] = member

    def remove(self, instance: str) -> None:
        """Nothing happens if it is not there."""
        member = self._all.pop(instance, None)
        if member is not None:
            of_version = self._versions[member.version.id]
            del of_version[instance]
            if not of_version:
                del self._versions[member.version.id]

    def clear(self) -> None:
        self._all.clear()
        self._versions.clear()

    def get(self, instance: str) -> Member | None:
        return self._all.get(instance)

    def keys(self) -> KeysView[str]:
        return self._all.keys()

    def values(self) -> Collection[Member]:
        return self._all.values()

    def of_version(self, version_id: str) -> Collection[Member]:
        return self._versions.get(version_id, {}).values()
