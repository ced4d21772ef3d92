"""What the tables say of a call, as long as they stay as they are: it holds for the next one like it too."""

from typing import Final

from plat.feed import Route, RouteVersion
from router.access.identity import Identity
from router.limits.limiter import CallLimits

ONCE: Final = -1
"""For this call only."""


class Terms:
    """The terms under which calls go on."""

    __slots__ = ("changes", "identity", "limits", "route", "version")

    def __init__(
        self,
        route: Route,
        version: RouteVersion,
        identity: Identity | None,
        limits: CallLimits | None,
        changes: int,
    ) -> None:
        self.route = route
        """The function that is called."""
        self.version = version
        """Its version that the call goes to."""
        self.identity = identity
        """Who calls; None where anybody may."""
        self.limits = limits
        """Of the function and of the caller; None: there are none."""
        self.changes = changes
        """How often the table of routes had changed: there are no others until it does again. Or ONCE."""
