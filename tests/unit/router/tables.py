"""The tables of a router, and nothing behind them: no pool, no socket. Time stands still."""

from collections.abc import Awaitable, Callable

from plat.address import Address
from router.admission import Admission
from router.calls import Calls
from router.feed import PoolLink
from router.limits.limiter import Limiter
from router.metrics import Metrics
from router.upstream import UpstreamConnection, connect


def pool_link() -> PoolLink:
    return PoolLink("r1", Address(path="/nowhere"), clock=lambda: 0.0, queue_limit=10)


def calls_of(
    link: PoolLink,
    *,
    connect: Callable[[Address], Awaitable[UpstreamConnection]] = connect,
    body_limit_bytes: int = 100_000,
) -> Calls:
    return Calls(
        admission=Admission(link.routes, link.identities, Limiter(), body_limit_bytes),
        slots=link.slots,
        pool=link,
        metrics=Metrics(),
        queue_timeout_s=30,
        send_timeout_s=60,
        connect=connect,
    )
