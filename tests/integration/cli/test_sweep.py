"""Instances that nobody looks after any more are ended by whoever stops last."""

from pathlib import Path

from cli.sweep import sweep
from plat.feed import VersionEntry
from plat.model import FunctionSpec, VersionSpec
from plat.settings import Settings
from pool.drivers.base import Listener, StartOrder
from pool.drivers.process import ProcessDriver
from tests.integration.cli.waiting import processes_with, until

VERSION = VersionEntry(
    id="v1", function="hello", number=1, digest="ab" * 32, spec=VersionSpec.of(FunctionSpec(name="hello"))
)
DEAF = Listener(
    exited=lambda _: None, changed=lambda: None, wrote=lambda _: None, last_written=lambda _: None
)


async def test_instances_of_this_platform_are_ended_and_no_others(data_dir: Path) -> None:
    code = data_dir / "code"
    code.mkdir()
    (code / "main.py").write_text("def handler(event, context):\n    return 1\n")
    mine = Settings(data=str(data_dir / "mine"), driver="process")
    other = Settings(data=str(data_dir / "other"), driver="process")
    drivers = [ProcessDriver(settings) for settings in (mine, other)]
    for driver, instance in zip(drivers, ("0" * 16, "1" * 16), strict=True):
        await driver.open(DEAF)
        await driver.start(StartOrder(instance=instance, version=VERSION, code=code))
    try:
        await drivers[0].close()
        await sweep(mine)
        await until(lambda: not processes_with(str(data_dir / "mine")), "the end of what is mine")
        assert len(processes_with(str(data_dir / "other"))) == 1
        dead = mine.run_dir / "instances" / "what a killed core had half removed"
        dead.mkdir(parents=True)
        await sweep(mine)  # nothing left is no error
        assert not dead.exists()
    finally:
        await drivers[1].stop("1" * 16, 0)
        await drivers[1].close()
