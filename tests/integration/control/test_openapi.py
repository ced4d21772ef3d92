"""The served document against the served handlers, by schemathesis."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.integration.control.platform import TOKEN, Platform, code, platform_in, settings_in

EXCLUDED_CHECKS = "positive_data_acceptance"
"""Rules no JSON Schema can say: a minimum is at most scale.max, limits.burst comes only with limits.rate, and
what each field of a cron expression may hold."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ALL_RIGHT = ("--checks", "all", "--exclude-checks", EXCLUDED_CHECKS, "--max-examples", "25")
NO_FAILURE_OF_OURS = (
    *("--checks", "not_a_server_error", "--max-examples", "5", "--phases", "fuzzing"),
    *("--exclude-operation-id", "revoke_token"),  # it finds its own in an answer, and has none from then on
)


@asynccontextmanager
async def documented(folder: Path) -> AsyncIterator[tuple[Platform, str]]:
    """A platform with something in it, and where its document is."""
    address = f"127.0.0.1:{free_port()}"
    settings = msgspec.structs.replace(settings_in(folder / "data"), control_address=f"tcp:{address}")
    async with platform_in(settings) as platform:
        platform.pool.follows = False
        await platform.call.create("0")  # the name that generated requests like best
        assert (await platform.call.deploy("0", code())).status == 201
        yield platform, f"http://{address}/v1/openapi.json"


async def test_the_handlers_do_what_the_document_says(tmp_path: Path) -> None:
    async with documented(tmp_path) as (_, url):
        await _run_schemathesis(url, TOKEN, tmp_path, ALL_RIGHT)


async def test_a_token_that_may_little_meets_no_failure_of_ours(tmp_path: Path) -> None:
    async with documented(tmp_path) as (platform, url):
        wanted = {"name": "little", "scopes": ["read", "deploy:0", "deploy:x-*"]}
        made = (await platform.call("POST", "/v1/tokens", wanted)).json
        await _run_schemathesis(url, made["token"], tmp_path, NO_FAILURE_OF_OURS)
        still = {"Authorization": f"Bearer {made['token']}"}
        assert (await platform.call("GET", "/v1/functions", headers=still)).status == 200
        audit = (await platform.call("GET", f"/v1/audit?limit=1000&actor={made['id']}")).json["items"]
        assert {"ok", "forbidden", "invalid"} <= {each["outcome"] for each in audit}


async def _run_schemathesis(url: str, token: str, folder: Path, options: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "st"),
        *("run", url, "--header", f"Authorization: Bearer {token}"),
        *options,
        *("--generation-deterministic", "--suppress-health-check", "all"),
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
