"""Which version a call goes to: the table of routes, and the parsing of a call's target. Decides only."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from plat.errors import PlatError
from plat.feed import Route, RouteVersion

FUNCTION_PREFIX = "/function/"
LIVE = "live"

_TARGET = re.compile(r"/function/([^/?#]+)(/[^?#]*)?(\?[^#]*)?")
_ABSOLUTE_FORM = re.compile(r"https?://[^/?#]+(?=[/?]|$)", re.IGNORECASE)


class Target(NamedTuple):
    """A call's target, taken apart: `/function/<name>[:<qualifier>][/<path>][?<query>]`."""

    name: str
    qualifier: str
    """`live` unless the call names an alias or a version."""
    prefix: str
    """What the function is mounted at: `/function/<name>`."""
    path: str
    """What the instance sees: path and query, as they came; at least `/`."""


def origin_form(target: str) -> str:
    """The target without scheme and authority (RFC 9112, 3.2.2 asks servers to accept them)."""
    match = _ABSOLUTE_FORM.match(target)
    return target[match.end() :] or "/" if match else target


def parse_target(target: str) -> Target:
    """Raises PlatError: `not_found` when it is no call of a function, `bad_request`."""
    match = _TARGET.fullmatch(target)
    if "#" in target:
        raise PlatError("bad_request", "A request's target has no fragment (#).")
    if match is None:
        raise PlatError("not_found", "Functions are called at /function/<name>.")
    segment, path, query = match.groups()
    name, _, qualifier = unquote(segment).partition(":")
    return Target(name, qualifier or LIVE, FUNCTION_PREFIX + segment, (path or "/") + (query or ""))


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
