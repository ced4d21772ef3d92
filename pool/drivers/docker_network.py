"""The network that containers of functions are on: ours is made on demand, a user's must be there."""

from plat.errors import PlatError
from pool.drivers.docker_engine import Engine, EngineRefusalError
from pool.drivers.docker_spec import OUR_NETWORK, network

BUILT_IN = frozenset({"none", "bridge", "host", "default"})


async def make_network(engine: Engine, name: str) -> None:
    """Raises PlatError `instance_start_failed` for a network that does not exist and is not ours.

    Two platforms that make it in the same moment make two of one name, and the engine then takes
    the name for neither: the next look removes what is not in use.
    """
    if name in BUILT_IN:
        return
    found = await engine.networks(name)
    if not found and name != OUR_NETWORK:
        detail = f'The Docker network "{name}" does not exist. Make it: docker network create {name}'
        raise PlatError("instance_start_failed", detail)
    if not found:
        await engine.create_network(network(name))
    if name == OUR_NETWORK:
        for surplus in found[1:]:
            await _remove_if_unused(engine, surplus)


async def remove_network(engine: Engine, name: str) -> None:
    """Ours goes with the last instance on it; the next start makes it again."""
    if name == OUR_NETWORK:
        for each in await engine.networks(name):
            await _remove_if_unused(engine, each)


async def _remove_if_unused(engine: Engine, network_id: str) -> None:
    try:
        await engine.remove_network(network_id)
    except EngineRefusalError as error:
        if error.status != 403:  # "has active endpoints"
            raise
