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
        self._live = {route.name: live for route in routes if (live := _live_version(route)) is not None}
        self.loaded = True

    def put(self, route: Route) -> None:
        self.drop(route.name)
        self._routes[route.name] = route
        self._versions.update((version.id, route) for version in route.versions)
        live = _live_version(route)
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

    def route(self, name: str) -> Route:
        """Raises PlatError `function_not_found`, or `starting` before the table is there."""
        route = self._routes.get(name)
        if route is not None:
            return route
        if not self.loaded:
            raise PlatError("starting", "The router has no table of functions yet.", retry_after_s=1)
        raise PlatError("function_not_found", f'There is no function "{name}".')

    def version(self, route: Route, qualifier: str) -> RouteVersion:
        """The version a call goes to. Raises what `pick_version` raises."""
        live = self._live.get(route.name) if qualifier == LIVE else None
        return live if live is not None else pick_version(route, qualifier)


def _live_version(route: Route) -> RouteVersion | None:
    if route.stopped:
        return None
    return next((version for version in route.versions if version.number == route.live), None)


def pick_version(route: Route, qualifier: str) -> RouteVersion:
    """The version a call goes to.

    Raises PlatError: `function_stopped`, `function_not_deployed`, `version_not_found`.
    """
    if route.stopped:
        raise PlatError(
            "function_stopped", f'The function "{route.name}" is stopped. Start it: plat start {route.name}'
        )
    number = _number(route, qualifier)
    for version in route.versions:
        if version.number == number:
            return version
    raise PlatError("version_not_found", f'The function "{route.name}" has no version {number} to call.')


def _number(route: Route, qualifier: str) -> int:
    if qualifier == LIVE:
        if route.live is None:
            raise PlatError(
                "function_not_deployed", f'The function "{route.name}" has no live version: deploy it.'
            )
        return route.live
    if qualifier.isascii() and qualifier.isdigit() and len(qualifier) < 10:
        return int(qualifier)
    raise PlatError(
        "version_not_found", f'The function "{route.name}" has no version or alias "{qualifier}".'
    )
