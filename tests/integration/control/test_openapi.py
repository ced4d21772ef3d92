"""The served document against the served handlers, by schemathesis."""

import asyncio
import socket
import sys
from pathlib import Path

import msgspec

from tests.integration.control.platform import TOKEN, code, platform_in, settings_in

EXCLUDED_CHECKS = "positive_data_acceptance"
"""Rules no JSON Schema can say: a minimum is at most scale.max, limits.burst comes only with limits.rate, and
what each field of a cron expression may hold."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_handlers_do_what_the_document_says(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = msgspec.structs.replace(settings_in(tmp_path / "data"), control_address=f"tcp:{address}")
    async with platform_in(settings) as platform:
        platform.pool.follows = False
        await platform.call.create("0")  # the name that generated requests like best
        assert (await platform.call.deploy("0", code())).status == 201
        await _run_schemathesis(f"http://{address}/v1/openapi.json", tmp_path)


async def _run_schemathesis(url: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "st"),
        *("run", url, "--header", f"Authorization: Bearer {TOKEN}"),
        *("--checks", "all", "--exclude-checks", EXCLUDED_CHECKS),
        *("--max-examples", "25", "--generation-deterministic", "--suppress-health-check", "all"),
        *("--request-timeout", "20", "--no-color"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 300)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
