"""The platforms' network at the end of one: it goes as soon as the engine lets it go."""

import pytest

from pool.drivers import docker_network
from pool.drivers.docker_engine import EngineRefusalError
from pool.drivers.docker_network import remove_network
from pool.drivers.docker_spec import OUR_NETWORK

ACTIVE_ENDPOINTS = EngineRefusalError(403, "error while removing network: has active endpoints")


class Engine:
    """Refuses to remove its one network `refusals` times."""

    def __init__(self, refusals: float, *, in_use: bool = False) -> None:
        self.refusals = refusals
        self.in_use = in_use
        self.asked = 0
        self.removed = False

    async def networks(self, name: str) -> list[str]:
        return ["its id"] if name == OUR_NETWORK else ["somebody's"]

    async def is_network_in_use(self, network: str) -> bool:
        assert network == "its id"
        return self.in_use

    async def remove_network(self, network: str) -> None:
        assert network == "its id"
        self.asked += 1
        if self.asked <= self.refusals:
            raise ACTIVE_ENDPOINTS
        self.removed = True


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_network, "LET_GO_S", (0.0, 0.0, 0.0))


async def end(engine: Engine, name: str = OUR_NETWORK) -> None:
    await remove_network(engine, name)  # type: ignore[arg-type]


@pytest.mark.parametrize("refusals", [0, 1, 2, 3])
async def test_it_goes_as_soon_as_the_engine_lets_it_go(
    refusals: int, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(refusals)
    await end(engine)
    assert caplog.text == ""
    assert engine.removed


async def test_one_that_others_are_on_is_theirs(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(float("inf"), in_use=True)
    await end(engine)
    assert caplog.text == ""
    assert engine.asked == 1


async def test_one_that_the_engine_never_lets_go_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(float("inf"))
    await end(engine)
    assert docker_network.NOT_LET_GO in caplog.text
    assert engine.asked == 1 + len(docker_network.LET_GO_S)


async def test_a_users_network_is_left_alone() -> None:
    engine = Engine(0)
    await end(engine, "mine")
    assert engine.asked == 0


async def test_another_refusal_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ACTIVE_ENDPOINTS", EngineRefusalError(500, "no space left on device"))
    with pytest.raises(EngineRefusalError, match="no space left"):
        await end(Engine(1))
