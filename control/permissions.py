"""Which scope an operation needs. Decides only."""

from aiohttp import web

from control.routes import Operation
from control.rows import TokenRow
from control.tokens import missing_scope
from plat.scopes import ADMIN, DEPLOY, READ, allows

CALLER = web.RequestKey("caller", TokenRow)
"""Where a request keeps the row of the token that it came with."""


def scopes_for(operation: Operation, function: str | None) -> tuple[str, ...]:
    """One of these is enough; none: any token will do. `function`: the one that the path names."""
    match operation.needs:
        case "deploy":
            return (f"{DEPLOY}:{function}",)
        case "read" if function is not None:
            return READ, f"{DEPLOY}:{function}"  # who deploys a function sees what becomes of it
        case "read":
            return (READ,)
        case "admin":
            return (ADMIN,)
        case _:
            return ()


def require(caller: TokenRow, operation: Operation, function: str | None) -> None:
    """Raises PlatError `forbidden`, which names the scope that is missing."""
    wanted = scopes_for(operation, function)
    if wanted and not any(allows(caller.scopes, each) for each in wanted):
        raise missing_scope(caller, wanted[0])
