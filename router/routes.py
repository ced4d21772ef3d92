"""Which version a call goes to: the table of routes. Decides only."""

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from router.target import LIVE


class RouteTable:
    """The functions by name. Empty and not `loaded` until the pool has told the first time."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._versions: dict[str, Route] = {}
        self._live: dict[str, RouteVersion] = {}
        """By function: the version that calls without a qualifier go to, if they may go to one."""
        self.loaded = False

    def __len__(self) -> int:
        return len(self._routes)

    def replace(self, routes: list[Route]) -> None:
        self._routes = {route.name: route for route in routes}
        self._versions = {version.id: route for route in routes for version in route.versions}
        self._live = {route.name: live for route in routes if (live := pick_version(route, LIVE)) is not None}
        self.loaded = True

    def put(self, route: Route) -> None:
        self.drop(route.name)
        self._routes[route.name] = route
        self._versions.update((version.id, route) for version in route.versions)
        live = pick_version(route, LIVE)
        if live is not None:
            self._live[route.name] = live

    def drop(self, name: str) -> None:
        former = self._routes.pop(name, None)
        self._live.pop(name, None)
        for version in former.versions if former else ():
            self._versions.pop(version.id, None)

    def __contains__(self, name: object) -> bool:
        return name in self._routes

    def of_version(self, version_id: str) -> Route | None:
        return self._versions.get(version_id)

    def get(self, name: str) -> Route | None:
        return self._routes.get(name)

    def missing(self, name: str) -> PlatError:
        """Why there is no such function: `function_not_found`, or `starting` before the table is there."""
        if not self.loaded:
            return PlatError("starting", "The router has no table of functions yet.", retry_after_s=1)
        return PlatError("function_not_found", f'There is no function "{name}".')

    def version(self, route: Route, qualifier: str) -> RouteVersion | None:
        """The version a call goes to; None: `no_version` has the reason."""
        return self._live.get(route.name) if qualifier == LIVE else pick_version(route, qualifier)


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
