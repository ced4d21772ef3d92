"""The functions as control last told them, with those discovered by label. Decides only."""

from collections.abc import Iterable

from plat.feed import FunctionEntry, Route, RouteVersion, VersionEntry


class FunctionTable:
    """By name, and their versions by id. `loaded` once control has spoken."""

    def __init__(self) -> None:
        self._functions: dict[str, FunctionEntry] = {}
        self._discovered: dict[str, FunctionEntry] = {}
        self._versions: dict[str, VersionEntry] = {}
        self._with_minimum: set[str] = set()
        self.tokens: list[str] = []
        self.loaded = False

    def replace(self, functions: Iterable[FunctionEntry], tokens: list[str]) -> None:
        self._functions = {each.name: each for each in functions}
        self.tokens = tokens
        self.loaded = True
        self._with_minimum.clear()
        for function in self._functions.values():
            self._note_minimum(function)
        self._index()

    def put(self, function: FunctionEntry) -> FunctionEntry | None:
        """Returns what was there before."""
        former = self._functions.get(function.name)
        self._forget_versions(former)
        self._forget_versions(self._discovered.get(function.name))
        self._functions[function.name] = function
        self._note_minimum(function)
        self._know_versions(function)
        return former

    def drop(self, name: str) -> FunctionEntry | None:
        former = self._functions.pop(name, None)
        self._with_minimum.discard(name)
        self._forget_versions(former)
        self._know_versions(self._discovered.get(name))
        return former

    def discover(self, functions: Iterable[FunctionEntry]) -> bool:
        """The functions that exist by label only; whether that changed anything."""
        discovered = {each.name: each for each in functions}
        changed = discovered != self._discovered
        self._discovered = discovered
        self._index()
        return changed

    def function(self, name: str) -> FunctionEntry | None:
        return self._functions.get(name) or self._discovered.get(name)

    def version(self, version_id: str) -> VersionEntry | None:
        return self._versions.get(version_id)

    @property
    def versions(self) -> dict[str, VersionEntry]:
        return self._versions

    @property
    def managed_names(self) -> set[str]:
        """Functions that control knows."""
        return set(self._functions)

    def all(self) -> list[FunctionEntry]:
        return [*self._functions.values(), *(self._discovered[name] for name in self._only_discovered())]

    def live_versions(self) -> Iterable[VersionEntry]:
        """Of the functions that control knows. Walks them all."""
        for function in self._functions.values():
            yield from (version for version in function.versions if version.number == function.live)

    def with_minimum(self) -> list[FunctionEntry]:
        """Functions that keep instances without any call, at least now and then by a schedule.

        They are looked at on every tick, so they are kept apart; `scaler.minimum` says what holds now.
        """
        return [self._functions[name] for name in self._with_minimum]

    def _note_minimum(self, function: FunctionEntry) -> None:
        if (function.min or function.windows) and not function.stopped:
            self._with_minimum.add(function.name)
        else:
            self._with_minimum.discard(function.name)

    def _only_discovered(self) -> list[str]:
        return [name for name in self._discovered if name not in self._functions]

    def _index(self) -> None:
        self._versions = {version.id: version for function in self.all() for version in function.versions}

    def _know_versions(self, function: FunctionEntry | None) -> None:
        for version in function.versions if function else ():
            self._versions[version.id] = version

    def _forget_versions(self, function: FunctionEntry | None) -> None:
        for version in function.versions if function else ():
            self._versions.pop(version.id, None)


def route_of(function: FunctionEntry) -> Route:
    """What routers are told of a function."""
    versions = [
        RouteVersion(each.id, each.number, each.spec.concurrency, each.spec.timeout_s)
        for each in function.versions
    ]
    return Route(
        name=function.name,
        live=function.live,
        stopped=function.stopped,
        auth=function.auth,
        idle_s=function.idle_s,
        rate=function.rate,
        burst=function.burst,
        versions=versions,
    )


def is_live(function: FunctionEntry | None, version: VersionEntry) -> bool:
    return function is not None and any(
        each.id == version.id and each.number == function.live for each in function.versions
    )
