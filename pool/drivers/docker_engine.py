"""The Docker engine's API by aiodocker, with its errors in our words. Decides nothing.

Whatever says that the engine is away becomes PlatError `engine_unavailable`, here and nowhere else;
what the engine refuses is EngineRefusalError, with its own message.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiodocker
import aiohttp

from plat.errors import PlatError

DEFAULT_URL = "unix:///var/run/docker.sock"
REQUEST_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 5
SUMMARY_KEYS = ("Id", "Names", "State", "Labels", "Created", "NetworkSettings")
_NO_CONNECTION = 900
"""aiodocker's own status for an engine that it cannot connect to."""

_ENDPOINT = "ep-"
"""What the engine names an endpoint by that no container has."""

_ONE_SHOT = {"stream": "false", "one-shot": "true"}
"""Without the second, the engine takes a second to compare two looks."""

Json = dict[str, Any]
list_ = list  # inside the class, the name is a method's


class EngineRefusalError(Exception):
    """The engine answered 4xx or 5xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Engine:
    """Use it inside one event loop; `aclose` it. Every method may be cancelled: the engine may go on."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        self._connector = _connector(self.url)
        # Beside a connector of ours, aiodocker takes the URL only for the start of every request's.
        base = self.url if self._connector is None else "unix://localhost"
        self._docker = aiodocker.Docker(base, connector=self._connector, timeout=self._timeout)

    async def aclose(self) -> None:
        await self._docker.close()
        if self._connector is not None:
            await self._connector.close()

    async def info(self) -> Json:
        with self._translated():
            return dict(await self._docker.system.info())

    async def require_image(self, name: str) -> None:
        """It is there, or EngineRefusalError is raised."""
        with self._translated():
            await self._docker.images.inspect(name)

    async def list(self, *labels: str, everything: bool) -> list[Json]:
        """Containers that have all the labels (`name` or `name=value`); `everything`: stopped ones too."""
        filters = json.dumps({"label": list(labels)})
        with self._translated():
            found = await self._docker.containers.list(all=everything, filters=filters)
            return [{key: container[key] for key in SUMMARY_KEYS} for container in found]

    async def create(self, config: Json, name: str) -> str:
        with self._translated():
            return (await self._docker.containers.create(config, name=name)).id

    async def start(self, container: str) -> None:
        with self._translated():
            await self._docker.containers.container(container).start()

    async def rename(self, container: str, name: str) -> None:
        with self._translated():
            await self._docker.containers.container(container).rename(name)

    async def pause(self, container: str) -> None:
        """One that is paused already is refused."""
        with self._translated():
            await self._docker.containers.container(container).pause()

    async def unpause(self, container: str) -> None:
        """One that is not paused is refused."""
        with self._translated():
            await self._docker.containers.container(container).unpause()

    async def cpu_s(self, container: str) -> float:
        """Processor seconds that it has used; of one that has ended, none."""
        async with self.stream(f"containers/{container}/stats", _ONE_SHOT) as content:
            stats = json.loads(await content.read())
        return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    async def stop(self, container: str, grace_s: int) -> None:
        """Returns when it has ended; one that is gone or stopped already is no error."""
        with self._translated(), _gone_is_fine():
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S + grace_s, sock_connect=CONNECT_TIMEOUT_S)
            await self._docker.containers.container(container).stop(t=grace_s, timeout=timeout)

    async def remove(self, container: str) -> None:
        """With its volumes, running or not; one that is gone already is no error."""
        with self._translated(), _gone_is_fine():
            await self._docker.containers.container(container).delete(v=True, force=True)

    async def inspect(self, container: str) -> Json | None:
        """None: there is no such container."""
        with self._translated():
            try:
                return await self._docker.containers.container(container).show()
            except aiodocker.DockerError as error:
                if error.status == 404:
                    return None
                raise

    async def networks(self, name: str) -> list_[str]:
        """The ids of the networks of that name: the engine may have several."""
        with self._translated():
            found = await self._docker.networks.list(filters={"name": name})
            return sorted(network["Id"] for network in found if network["Name"] == name)

    async def is_network_in_use(self, network: str) -> bool:
        """Whether a container is on it. An endpoint that the engine still has of one that is gone is none."""
        with self._translated():
            try:
                found = await (await self._docker.networks.get(network)).show()
            except aiodocker.DockerError as error:
                if error.status == 404:
                    return False
                raise
            return any(not name.startswith(_ENDPOINT) for name in found["Containers"])

    async def create_network(self, config: Json) -> None:
        """One that somebody else made meanwhile is as good."""
        with self._translated():
            try:
                await self._docker.networks.create(config)
            except aiodocker.DockerError as error:
                if error.status != 409:
                    raise

    async def remove_network(self, network: str) -> None:
        """One that is gone is no error; one in use is refused."""
        with self._translated(), _gone_is_fine():
            await (await self._docker.networks.get(network)).delete()

    @asynccontextmanager
    async def stream(self, path: str, params: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a GET that may go on for ever. Its end says nothing about why it ended.

        aiodocker's own streams hide a lost connection and have queues without bounds; here whoever
        reads slowly slows the engine down, since the reader's buffer is bounded.
        """
        with self._translated():
            if self._docker.api_version == "auto":
                await self._docker.system.info()  # any request makes aiodocker ask for the version first
            url = f"{self._docker.docker_host}/{self._docker.api_version}/{path}"
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
            async with self._docker.session.get(url, params=params, timeout=timeout) as response:
                if response.status >= 400:
                    raise EngineRefusalError(response.status, (await response.text()).strip())
                yield response.content

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except aiodocker.DockerError as error:
            if error.status == _NO_CONNECTION:
                raise self._unavailable(str(error.message)) from error
            raise EngineRefusalError(error.status, str(error.message)) from error
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {REQUEST_TIMEOUT_S} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(str(error) or type(error).__name__) from error

    def _unavailable(self, why: str) -> PlatError:
        return PlatError(
            "engine_unavailable",
            f"The Docker engine at {self.url} does not answer: {why}. Start it, or use the process driver.",
            retry_after_s=1,
        )


def _connector(url: str) -> aiohttp.BaseConnector | None:
    """Without a limit of connections: each running container has one for its log."""
    scheme, _, path = url.partition("://")
    return aiohttp.UnixConnector(path, limit=0) if scheme == "unix" else None


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    """304: stopped already, 404: no such container, 409: somebody is removing it right now."""
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status not in (304, 404, 409):
            raise
