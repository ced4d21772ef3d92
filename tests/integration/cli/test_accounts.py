"""`plat token` and `plat user` against the control service itself."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from control.service import make_app
from plat.settings import Settings

TOKEN = "the-first-token"
Plat = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def plat(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plat]:
    """Runs a command line with a token: exit code, stdout, stderr."""
    monkeypatch.setenv("PLAT_CONFIG", str(data_dir / "config.toml"))
    async with make_app(Settings(data=str(data_dir), token=TOKEN)) as app:
        server = TestServer(app)
        await server.start_server()
        monkeypatch.setenv("PLAT_URL", str(server.make_url("")))

        async def run(*arguments: str, token: str = TOKEN) -> tuple[int, str, str]:
            monkeypatch.setenv("PLAT_TOKEN", token)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cli.main",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode is not None
            return process.returncode, out.decode(), err.decode()

        yield run
        await server.close()


async def test_a_token_from_its_making_to_its_end(plat: Plat) -> None:
    code, out, err = await plat(
        "token", "create", "ci", "--scope", "read", "--scope", "deploy:*", "--expires", "1d"
    )
    token = out.strip()
    assert (code, token.startswith("plat_"), "not shown again" in err, token in err) == (0, True, True, False)
    code, out, _ = await plat("token", "list", "--json", token=token)
    (shown,) = json.loads(out)
    assert (code, shown["name"], shown["scopes"], token in out) == (0, "ci", ["read", "deploy:*"], False)
    code, out, _ = await plat("token", "list")
    assert {line.split("\t")[1] for line in out.splitlines()} == {"admin", "ci"}
    code, _, err = await plat("token", "create", "more", "--scope", "admin", token=token)
    assert (code, '"admin"' in err) == (1, True)
    code, out, _ = await plat("token", "revoke", shown["id"])
    assert (code, out) == (0, f"{shown['id']} is revoked.\n")
    code, _, err = await plat("token", "list", token=token)
    assert (code, "not known" in err) == (1, True)


async def test_users(plat: Plat) -> None:
    assert (await plat("user", "create", "ann"))[0] == 0
    assert (await plat("user", "create", "ann"))[0] == 1
    code, out, _ = await plat("token", "create", "hers", "--scope", "invoke:*", "--user", "ann", "--json")
    made = json.loads(out)
    assert (code, made["owner"], made["token"].startswith("plat_")) == (0, "ann", True)
    code, out, _ = await plat("user", "list", "--json")
    assert (code, [each["name"] for each in json.loads(out)]) == (0, ["ann"])
    assert (await plat("user", "delete", "ann"))[0] == 2
    assert (await plat("user", "delete", "ann", "--yes"))[0] == 0
    assert (await plat("user", "delete", "ann", "--yes"))[0] == 1
    assert (await plat("token", "list", token=made["token"]))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("token", "create", "ci"), 2),
        (("token", "create", "ci", "--scope", "root"), 2),
        (("token", "create", "ci", "--scope", "read", "--expires", "soon"), 2),
        (("token", "create", "ci", "--scope", "read", "--user", "nobody"), 1),
        (("token", "revoke", "unknown"), 1),
        (("token", "revoke", "../users"), 1),
        (("user", "delete", "nobody", "--yes"), 1),
        (("user", "create", "Ann"), 1),
    ],
)
async def test_what_goes_wrong(plat: Plat, arguments: tuple[str, ...], code: int) -> None:
    ended = await plat(*arguments)
    assert (ended[0], ended[1], len(ended[2].splitlines())) == (code, "", 1)
