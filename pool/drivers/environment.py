"""What an instance is told: by its environment when it starts, or by an order to load when it was warm.

The environment is the contract's variables, over the user's, over a few of the system's. Secrets are in the
order to load only: an environment can be read from outside (`docker inspect`, `/proc`) as long as it runs.
"""

from collections.abc import Mapping

from plat.errors import PlatError
from plat.feed import VersionEntry
from plat.model import VersionSpec
from pool.drivers.base import LoadOrder, StartOrder, WarmOrder

AT_START_PREFIXES = ("PYTHON", "NODE_", "LD_", "LC_", "MALLOC_")
AT_START_NAMES = frozenset({"LANG", "LANGUAGE", "GLIBC_TUNABLES", "UV_THREADPOOL_SIZE"})
LOADED_NAMES = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "NODE_ENV"})
"""They begin as those above, but have their effect also in an instance that was warm."""

LEAST_WARM_MB = 32
"""A warm instance has imported what any handler may need, and begins with 16 MB (Python) or more."""


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
    assert not order.version.spec.secrets, "secrets come with an order to load"
    return {**system, **order.version.spec.env, **contract(order, socket=socket, code=code)}


def warm_environment(order: WarmOrder, system: Mapping[str, str], *, socket: str) -> dict[str, str]:
    """Without a handler a runtime waits to be told what it is."""
    return {**system, "PLAT_SOCKET": socket, "PLAT_INSTANCE": order.instance}


def load_order(order: StartOrder, *, code: str) -> LoadOrder:
    """What makes a warm instance the same as one that was started with `environment`."""
    version, spec = order.version, order.version.spec
    ours = contract(order, socket="", code=code)
    return LoadOrder(
        function=version.function,
        version=version.number,
        handler=spec.handler,
        event=spec.event,
        concurrency=spec.concurrency,
        timeout_s=spec.timeout_s,
        memory_mb=spec.memory_mb,
        code=code,
        env={
            name: value for name, value in {**spec.env, **version.secrets.by_name}.items() if name not in ours
        },
    )


def require_secrets(version: VersionEntry) -> None:
    """Raises PlatError if it names secrets that are not there, or that cannot come with an order to load."""
    missing = [name for name in version.spec.secrets if name not in version.secrets.by_name]
    if missing:
        raise PlatError(
            "instance_start_failed",
            f'The secret "{missing[0]}" is not there: set it with `plat secret set {missing[0]}`.',
        )
    if version.spec.secrets and needs_own_start(version.spec):
        raise PlatError(
            "instance_start_failed",
            f"A function with secrets needs at least {LEAST_WARM_MB} MB of memory, and an env without"
            " variables that are read when its runtime starts (PYTHON*, NODE_*, LD_*, LC_*, MALLOC_*).",
        )


def needs_own_start(spec: VersionSpec) -> bool:
    """Whether a warm instance would serve it otherwise than one that was started for it.

    Interpreters and loaders read some variables only when a program starts; and it may have too little
    memory for all that a warm instance has imported.
    """
    return spec.memory_mb < LEAST_WARM_MB or any(
        (name.startswith(AT_START_PREFIXES) or name in AT_START_NAMES) and name not in LOADED_NAMES
        for name in spec.env
    )
