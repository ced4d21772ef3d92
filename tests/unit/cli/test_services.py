"""Several services in one process: they end together, in order, and the first failure is told."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.failure import UsageFaultError
from cli.services import _serve_all, load_settings
from plat.errors import PlatError
from plat.settings import Settings
from plat.tasks import spawn

SETTINGS = Settings(drain_s=0)


class Served:
    """A service that waits for its stop, or fails with what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.started = asyncio.Event()
        self.stopped = False

    async def serve(self, settings: Settings, stop: asyncio.Event) -> None:
        if self.error is not None:
            raise self.error
        self.started.set()
        await stop.wait()
        self.stopped = True


@pytest.fixture(autouse=True)
def no_alarm_left() -> Iterator[None]:
    yield
    signal.alarm(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_all_to_end(number: signal.Signals) -> None:
    one, two = Served(), Served()
    run = spawn(_serve_all(SETTINGS, {"one": one.serve, "two": two.serve}, None), "all")
    await asyncio.gather(one.started.wait(), two.started.wait())
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(run, 10) is None
    assert (one.stopped, two.stopped) == (True, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PlatError("engine_unavailable", "No Docker engine answers."), "No Docker engine answers."),
        (OSError(98, "Address already in use"), "[Errno 98] Address already in use"),
        (OSError(28, "No space left on device"), "Free some space and try again"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
async def test_one_that_fails_ends_the_others_and_its_reason_is_told(error: Exception, said: str) -> None:
    one, two = Served(), Served(error)
    reason = await asyncio.wait_for(_serve_all(SETTINGS, {"one": one.serve, "two": two.serve}, None), 10)
    assert reason is not None
    assert said in reason
    assert one.stopped


async def test_the_end_of_the_lifeline_ends_them() -> None:
    lifeline, ours = os.pipe()
    one = Served()
    run = spawn(_serve_all(SETTINGS, {"one": one.serve}, lifeline), "all")
    await one.started.wait()
    os.close(ours)
    assert await asyncio.wait_for(run, 10) is None
    assert one.stopped
    assert signal.alarm(0) > 0  # had the loop been stuck, the kernel would have ended it
    os.close(lifeline)


def test_a_setting_that_is_wrong_is_usage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageFaultError, match="--port = 70000"):
        load_settings({"port": 70_000}, None)
    with pytest.raises(UsageFaultError, match=r"nowhere\.toml"):
        load_settings({}, tmp_path / "nowhere.toml")
    monkeypatch.setenv("PLAT_PROT", "1")
    with pytest.raises(UsageFaultError, match="PLAT_PROT"):
        load_settings({}, None)
