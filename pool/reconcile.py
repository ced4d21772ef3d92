"""What a listing of the machine means: whom to adopt, whom to stop, who has gone. Decides only."""

from collections.abc import Iterable, Mapping, Set

from msgspec import Struct

from plat.feed import FunctionEntry, VersionEntry
from plat.model import VersionSpec
from pool.drivers.base import Running

DISCOVERED_TIMEOUT_S = 30.0
DISCOVERED_IDLE_S = 60.0


class Plan(Struct, frozen=True):
    """The difference between what runs and what the pool knows."""

    adopt: tuple[tuple[Running, VersionEntry], ...]
    stop: tuple[Running, ...]
    """Ours, but of a version that nobody knows any more."""
    gone: tuple[str, ...]
    """Known to the pool, and not there any more."""
    warm: tuple[Running, ...] = ()
    """Ours, and of no function yet."""


def plan(listed: Iterable[Running], known: Set[str], versions: Mapping[str, VersionEntry]) -> Plan:
    """`known`: instances the pool has; `versions`: by id, discovered ones included."""
    listed = list(listed)
    new = [each for each in listed if each.instance not in known and each.kind is None]
    warm = [each for each in listed if each.instance not in known and each.kind is not None]
    adopt = [(each, versions[version_id_of(each)]) for each in new if version_id_of(each) in versions]
    stop = [each for each in new if each.managed and each.version_id not in versions]
    gone = known - {each.instance for each in listed}
    return Plan(tuple(adopt), tuple(stop), tuple(sorted(gone)), tuple(warm))


def version_id_of(running: Running) -> str:
    """A container that somebody started by hand has no version id: its function's name gives one."""
    return running.version_id or f"label:{running.function}:{running.number or 1}"


def discovered(listed: Iterable[Running], known: Set[str]) -> list[FunctionEntry]:
    """Functions that exist only as containers with our label, started by hand: they are routed too."""
    functions = {}
    for each in listed:
        if not each.managed and each.function not in known:
            functions[each.function] = _entry(each)
    return list(functions.values())


def _entry(running: Running) -> FunctionEntry:
    number = running.number or 1
    spec = VersionSpec(
        runtime="image",
        handler="",
        event="http",
        concurrency=0,
        timeout_s=DISCOVERED_TIMEOUT_S,
        memory_mb=0,
        cpu=0,
        env={},
    )
    version = VersionEntry(version_id_of(running), running.function, number, "", spec)
    return FunctionEntry(
        name=running.function,
        live=number,
        stopped=False,
        auth="token",
        min=0,
        max=1,
        idle_s=DISCOVERED_IDLE_S,
        rate=None,
        burst=None,
        versions=(version,),
    )
