"""The environment variables of an instance: the contract's, over the user's, over a few of the system's."""

from collections.abc import Mapping

from pool.drivers.base import StartOrder


def contract(order: StartOrder, *, socket: str, code: str) -> dict[str, str]:
    """What every runtime reads (DESIGN 9)."""
    version, spec = order.version, order.version.spec
    return {
        "PLAT_SOCKET": socket,
        "PLAT_CODE": code,
        "PLAT_HANDLER": spec.handler,
        "PLAT_EVENT": spec.event,
        "PLAT_FUNCTION": version.function,
        "PLAT_VERSION": str(version.number),
        "PLAT_CONCURRENCY": str(spec.concurrency),
        "PLAT_TIMEOUT_S": str(spec.timeout_s),
        "PLAT_MEMORY_MB": str(spec.memory_mb),
        "PLAT_INSTANCE": order.instance,
    }


def environment(order: StartOrder, system: Mapping[str, str], *, socket: str, code: str) -> dict[str, str]:
    """A user may set PATH or HOME, but not what tells an instance who it is."""
    return {**system, **order.version.spec.env, **contract(order, socket=socket, code=code)}
