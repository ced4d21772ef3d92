"""Which version a call goes to: the table of routes. Decides only."""

from collections.abc import Iterator

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from plat.parts import SHARDS, SLICE, Heard, unheard
from router.target import LIVE


class RouteTable:
    """The functions by name. Empty and not `loaded` until the pool has told all of it for the first time.

    The pool tells it again in parts, each merged into what is here (`plat.feed`): begin, put and drop, end.
    """

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._versions: list[dict[str, Route]] = [{} for _ in range(SHARDS)]
        """By the version's id. A dict of 87,000 stops all calls for 3 ms when it grows; one is enough."""
        self._heard: Heard | None = None
        """While the whole table is told: the functions told of so far."""
        self.loaded = False
        self.changes = 0
        """How often a function has come, changed or gone."""

    def __len__(self) -> int:
        return len(self._routes)

    def begin(self) -> None:
        """The whole table follows. One that broke off before its end has dropped nothing."""
        self._heard = Heard()

    def end(self) -> Iterator[None]:
        """Drop what was not told of since `begin`; a turn of the event loop is due at each step.

        Nothing else is put or dropped before the last.
        """
        assert self._heard is not None, "a table has its beginning"
        gone: list[str] = []
        for names in unheard(self._routes, self._heard):
            gone += names
            yield
        for number, name in enumerate(gone, start=1):
            self.drop(name)
            if number % SLICE == 0:
                yield
        self._heard = None
        self.loaded = True

    def put(self, route: Route) -> None:
        former = self._routes.get(route.name)
        if self._heard is not None:
            self._heard.add(route.name if former is None else former.name)
        if former == route:
            return  # and what is here already needs no second copy
        self.changes += 1
        self._forget_versions(former)
        self._routes[route.name] = route
        for version in route.versions:
            self._shard(version.id)[version.id] = route

    def drop(self, name: str) -> None:
        self.changes += 1
        self._forget_versions(self._routes.pop(name, None))

    def _forget_versions(self, route: Route | None) -> None:
        for version in route.versions if route is not None else ():
            self._shard(version.id).pop(version.id, None)

    def _shard(self, version_id: str) -> dict[str, Route]:
        return self._versions[hash(version_id) % SHARDS]

    def __contains__(self, name: object) -> bool:
        return name in self._routes

    def of_version(self, version_id: str) -> Route | None:
        return self._shard(version_id).get(version_id)

    def get(self, name: str) -> Route | None:
        return self._routes.get(name)

    def missing(self, name: str) -> PlatError:
        """Why there is no such function: `function_not_found`, or `starting` before the table is there."""
        if not self.loaded:
            return PlatError("starting", "The router has no table of functions yet.", retry_after_s=1)
        return PlatError("function_not_found", f'There is no function "{name}".')

    def version(self, route: Route, qualifier: str) -> RouteVersion | None:
        """The version a call goes to; None: `no_version` has the reason."""
        versions = route.versions
        # The live one comes first, unless the pool is an older one.
        if qualifier == LIVE and versions and versions[0].number == route.live and not route.stopped:
            return versions[0]
        return pick_version(route, qualifier)


def pick_version(route: Route, qualifier: str) -> RouteVersion | None:
    """The version that the qualifier names, if calls may go to it."""
    number = route.live if qualifier == LIVE else _number(qualifier)
    if route.stopped or number is None:
        return None
    return next((version for version in route.versions if version.number == number), None)


def no_version(route: Route, qualifier: str) -> PlatError:
    """Why: `function_stopped`, `function_not_deployed`, `version_not_found`."""
    name = route.name
    if route.stopped:
        return PlatError("function_stopped", f'The function "{name}" is stopped. Start it: plat start {name}')
    if qualifier == LIVE and route.live is None:
        return PlatError("function_not_deployed", f'The function "{name}" has no live version: deploy it.')
    number = route.live if qualifier == LIVE else _number(qualifier)
    if number is None:
        return PlatError("version_not_found", f'The function "{name}" has no version or alias "{qualifier}".')
    return PlatError("version_not_found", f'The function "{name}" has no version {number} to call.')


def _number(qualifier: str) -> int | None:
    is_number = qualifier.isascii() and qualifier.isdigit() and len(qualifier) < 10
    return int(qualifier) if is_number else None
