"""How many clients may be connected, and for how long without a word."""

import time

import pytest

from tests.integration.router.conftest import RouterProcess, RunInstance, RunRouter, get
from tests.integration.router.wire import WAIT_S


async def test_one_connection_too_many_is_told_and_closed(
    run_router: RunRouter, run_instance: RunInstance
) -> None:
    router = await run_router(connection_limit=3)
    await run_instance()
    wires = [await router.connect() for _ in range(3)]
    for wire in wires:
        await wire.send(get())
        assert (await wire.answer()).status == 200
    refused = await router.connect_raw()
    answer = await refused.answer()
    assert (answer.status, answer.get("Connection"), answer.get("Retry-After")) == (503, "close", "1")
    assert b"too_many_connections" in answer.body
    assert await refused.ended() == b""
    await wires[0].close()
    await wires[1].close()
    assert await _served_again(router)


async def _served_again(router: RouterProcess) -> bool:
    """The router learns of a client's end a moment after the client."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        wire = await router.connect_raw()
        await wire.send(get("/function/f", "Connection: close"))
        if (await wire.answer()).status == 200:
            return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET /function/f HT"])
async def test_a_client_that_says_nothing_is_let_go(
    run_router: RunRouter, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.client_connection.IDLE_S", 0.2)
    monkeypatch.setattr("router.client_connection.REQUEST_S", 0.2)
    router = await run_router()
    wire = await router.connect_raw()
    await wire.send(sent)
    assert await wire.ended() == b""
