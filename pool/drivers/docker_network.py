"""The network that containers of functions are on: ours is made on demand, a user's must be there."""

import asyncio

from plat.errors import PlatError
from plat.logs import get_logger
from pool.drivers.docker_engine import Engine, EngineRefusalError
from pool.drivers.docker_spec import OUR_NETWORK, network

log = get_logger(__name__)

LET_GO_S = (0.1, 0.2, 0.4, 0.8, 1.6)
NOT_LET_GO = "the network is kept: the engine counts an endpoint that is nobody's"
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
            await _removed_if_unused(engine, surplus)


async def remove_network(engine: Engine, name: str) -> None:
    """Ours goes with the last instance on it; the next start makes it again.

    The engine may count an endpoint for a while after the last container is gone, and by a flaw of its
    own (moby/moby#42119) until it is started again: then the network stays, and the next platform uses it.
    """
    if name == OUR_NETWORK:
        for each in await engine.networks(name):
            await _remove_when_let_go(engine, each)


async def _remove_when_let_go(engine: Engine, network_id: str) -> None:
    for wait_s in (0.0, *LET_GO_S):
        await asyncio.sleep(wait_s)
        if await _removed_if_unused(engine, network_id) or await engine.is_network_in_use(network_id):
            return
    log.warning(NOT_LET_GO, network=network_id)


async def _removed_if_unused(engine: Engine, network_id: str) -> bool:
    try:
        await engine.remove_network(network_id)
    except EngineRefusalError as error:
        if error.status != 403:  # "has active endpoints"
            raise
        return False
    return True
