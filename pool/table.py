"""The functions as control last told them, with those discovered by label. Decides only."""

from collections import Counter
from collections.abc import Iterable, Iterator, Set

from plat.feed import FunctionEntry, Route, RouteVersion, ToRouter, VersionEntry, whole_table
from plat.parts import Heard, unheard
from pool.drivers.base import Kind
from pool.tokens import TokenTable


class FunctionTable:
    """By name, and their versions by id. `loaded` once control has told all of it.

    Control tells it again in parts, each merged into what is here (`plat.feed`): begin, put and drop, end.
    Nothing but `whole` takes longer when there are more functions.
    """

    def __init__(self) -> None:
        self._functions: dict[str, FunctionEntry] = {}
        self._discovered: dict[str, FunctionEntry] = {}
        self._versions: dict[str, VersionEntry] = {}
        self._with_minimum: set[str] = set()
        self.kinds: Counter[Kind] = Counter()
        """How many functions that control knows have a live version of the kind."""
        self._heard: Heard | None = None
        """While the whole table is told: the functions told of so far."""
        self.tokens = TokenTable()
        self.loaded = False

    def begin(self) -> None:
        """The whole table follows. One that broke off before its end has dropped nothing."""
        self._heard = Heard()

    def unheard(self) -> Iterator[list[str]]:
        """What was not told of since `begin`, a slice of the table looked at each time: to be dropped then.

        Nothing is put or dropped before the last.
        """
        assert self._heard is not None, "a table has its beginning"
        return unheard(self._functions, self._heard)

    def end(self) -> None:
        self._heard = None
        self.loaded = True

    def put(self, function: FunctionEntry) -> FunctionEntry | None:
        """Returns what was there before."""
        former = self._functions.get(function.name)
        if self._heard is not None:
            self._heard.add(function.name)
        if former == function:
            return former
        self._count(former, -1)
        self._count(function, 1)
        self._forget_versions(former)
        self._forget_versions(self._discovered.get(function.name))
        self._functions[function.name] = function
        self._note_minimum(function)
        self._know_versions(function)
        return former

    def drop(self, name: str) -> FunctionEntry | None:
        former = self._functions.pop(name, None)
        self._with_minimum.discard(name)
        self._count(former, -1)
        self._forget_versions(former)
        self._know_versions(self._discovered.get(name))
        return former

    def discover(self, functions: Iterable[FunctionEntry]) -> list[str]:
        """The functions that exist by label only; the names for which that changed anything."""
        before, self._discovered = self._discovered, {each.name: each for each in functions}
        changed = [
            name
            for name in before.keys() | self._discovered.keys()
            if before.get(name) != self._discovered.get(name) and name not in self._functions
        ]
        for name in changed:
            self._forget_versions(before.get(name))
            self._know_versions(self._discovered.get(name))
        return sorted(changed)

    def function(self, name: str) -> FunctionEntry | None:
        return self._functions.get(name) or self._discovered.get(name)

    def version(self, version_id: str) -> VersionEntry | None:
        return self._versions.get(version_id)

    @property
    def versions(self) -> dict[str, VersionEntry]:
        return self._versions

    @property
    def managed_names(self) -> Set[str]:
        """Functions that control knows."""
        return self._functions.keys()

    def whole(self) -> Iterator[ToRouter]:
        """All that routers are told of it, message by message, each true at the moment it is taken."""
        names = [*self._functions, *(name for name in self._discovered if name not in self._functions)]
        routes = (route_of(function) for name in names if (function := self.function(name)) is not None)
        return whole_table(self.tokens.now(), routes)

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

    def _count(self, function: FunctionEntry | None, by: int) -> None:
        for version in function.versions if function else ():
            if function is not None and version.number == function.live:
                kind = Kind.of(version.spec)
                self.kinds[kind] += by
                if not self.kinds[kind]:
                    del self.kinds[kind]

    def _know_versions(self, function: FunctionEntry | None) -> None:
        for version in function.versions if function else ():
            self._versions[version.id] = version

    def _forget_versions(self, function: FunctionEntry | None) -> None:
        for version in function.versions if function else ():
            self._versions.pop(version.id, None)


def route_of(function: FunctionEntry) -> Route:
    """What routers are told of a function."""
    versions = tuple(
        RouteVersion(each.id, each.number, each.spec.concurrency, each.spec.timeout_s)
        for each in sorted(function.versions, key=lambda each: each.number != function.live)
    )
    return Route(
        name=function.name,
        live=function.live,
        stopped=function.stopped,
        auth=function.auth,
        idle_s=function.idle_s,
        rate=function.rate,
        burst=function.burst,
        versions=versions,
        token_rate=function.token_rate,
        token_burst=function.token_burst,
        token_max_in_flight=function.token_max_in_flight,
        limit_fail=function.limit_fail,
        cors=function.cors,
        signing=function.signing,
    )


def is_live(function: FunctionEntry | None, version: VersionEntry) -> bool:
    return function is not None and any(
        each.id == version.id and each.number == function.live for each in function.versions
    )
